"""The end of a run: the catalogue, and counts that add up, from what the receipts now say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.encoding.result import ComponentResult, EncodeResult, Timings
from videoprep.families.component import KEY_COLUMN, Component
from videoprep.store.catalogue import (
    Artifacts,
    SetAside,
    count_unlisted,
    read_artifacts,
    write_catalogue,
)
from videoprep.store.layout import Store, is_receipt
from videoprep.store.receipt import Damage

if TYPE_CHECKING:
    from videoprep.encoding.job import Job
    from videoprep.encoding.tally import Tally


def finish(
    job: Job,
    store: Store,
    before: Mapping[Component, Artifacts],
    tally: Tally,
    damages: Sequence[Damage],
    swept: Sequence[str],
    seconds: float,
) -> EncodeResult:
    """Writes plan, catalogue and failures, and counts.

    Args:
        job: what was to be done.
        store: where it is.
        before: what was there when the run began.
        tally: where this process's time went.
        damages: what was found damaged when the run began, and made anew.
        swept: leftovers of dead processes that were removed.
        seconds: how long the run took.
    """
    unlisted = count_unlisted(store, job.index)
    after, set_aside = _write(job, store)
    counts = {name: _count(job, name, before[name], made) for name, made in after.items()}
    lacking = {(entry.file, entry.line, entry.clip) for entry in set_aside}
    planned = job.index.table["prompt_key"]
    return EncodeResult(
        store=store.location,
        samples=job.index.samples,
        clips=len(job.index),
        complete=_complete(job, after),
        failed=len(lacking),
        components=counts,
        left_out=job.index.left_out,
        set_aside=set_aside,
        unlisted=unlisted,
        truncated=_count_in(after["prompt_embeds"].truncated, planned),
        tiled=sum(
            _count_in(made.tiled, job.index.table[KEY_COLUMN[name]]) for name, made in after.items()
        ),
        damages=tuple(damages),
        swept=tuple(swept),
        decoder=job.settings.decoder,
        seconds=seconds,
        timings=Timings(
            text=tally.phases.get("text", 0.0),
            video=tally.phases.get("video", 0.0),
            busy=tally.busy,
            waiting_for_decode=tally.decode,
            waiting_for_write=tally.write,
        ),
    )


def _write(job: Job, store: Store) -> tuple[Mapping[Component, Artifacts], list[SetAside]]:
    """Writes anew until no other job has committed anything meanwhile: the last one sees it all."""
    store.save_index(job.index)
    while True:
        after = {name: read_artifacts(store, recipe) for name, recipe in job.recipes.items()}
        set_aside = write_catalogue(store, job.index, after)
        if all(_units(store, job, name) <= after[name].units for name in job.recipes):
            return after, set_aside


def _units(store: Store, job: Job, component: Component) -> set[str]:
    names = store.files.names(store.folder(job.recipes[component]))
    return {name.removesuffix(".json") for name in names if is_receipt(name)}


def _count(job: Job, component: Component, before: Artifacts, after: Artifacts) -> ComponentResult:
    planned = pc.unique(job.index.table[KEY_COLUMN[component]].drop_null())
    stored = _count_in(planned, after.stored["key"])
    failed = _count_in(planned, after.failed["key"])
    reused = _count_in(planned, before.stored["key"])
    return ComponentResult(
        encoded=stored - reused,
        reused=reused,
        set_aside=failed,
        pending=len(planned) - stored - failed,
    )


def _complete(job: Job, after: Mapping[Component, Artifacts]) -> int:
    """Clips that have every component."""
    table = job.index.table.filter(pc.is_null(job.index.table["left_out_code"]))
    whole = pa.chunked_array([pa.array([True] * table.num_rows)])
    for name, made in after.items():
        stored = made.stored["key"].combine_chunks()
        whole = pc.and_(whole, pc.is_in(table[KEY_COLUMN[name]], value_set=stored))
    return int(pc.sum(whole).as_py() or 0)


def _count_in(keys: pa.Array, among: pa.ChunkedArray | pa.Array) -> int:
    """How many of some distinct keys are among others."""
    distinct = pc.unique(keys)
    values = among.combine_chunks() if isinstance(among, pa.ChunkedArray) else among
    return int(pc.sum(pc.is_in(distinct, value_set=values)).as_py() or 0)
