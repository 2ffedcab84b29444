"""The end of a run: the catalogue, and counts that add up, from what the receipts now say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.encoding.result import ComponentResult, EncodeResult, Timings
from videoprep.families.component import CAPTION, Component
from videoprep.store.catalogue import (
    Artifacts,
    DamagedClip,
    SetAside,
    count_among,
    count_unlisted,
    is_among,
    read_artifacts,
    write_catalogue,
)
from videoprep.store.format import is_receipt, unit_of_receipt
from videoprep.store.layout import Store
from videoprep.store.receipt import ReceiptDamage

if TYPE_CHECKING:
    from videoprep.encoding.job import EncodeJob
    from videoprep.engine.run_stats import RunStats


def finish(
    job: EncodeJob,
    store: Store,
    before: Mapping[Component, Artifacts],
    tally: RunStats,
    damages: Sequence[ReceiptDamage],
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
    after, set_aside, damaged = _write(job, store)
    counts = {name: _count(job, before[name], made) for name, made in after.items()}
    lacking = {(entry.file, entry.line, entry.clip) for entry in set_aside}
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
        truncated=_count_truncated(job, after),
        tiled=sum(
            count_among(made.tiled, made.source.keys(job.index.table)) for made in after.values()
        ),
        damaged=damaged,
        damages=tuple(damages),
        swept=tuple(swept),
        seconds=seconds,
        reading=job.index.policy.get("reading"),
        as_they_are=job.index.as_they_are,
        timings=Timings(
            text=tally.phases.get("text", 0.0),
            video=tally.phases.get("video", 0.0),
            busy=tally.busy,
            waiting_for_decode=tally.input,
            waiting_for_write=tally.write,
        ),
    )


def _write(
    job: EncodeJob, store: Store
) -> tuple[Mapping[Component, Artifacts], list[SetAside], list[DamagedClip]]:
    """Writes anew until no other job has committed anything meanwhile: the last one sees it all."""
    store.save_index(job.index)
    while True:
        after = {name: read_artifacts(store, recipe) for name, recipe in job.recipes.items()}
        set_aside, damaged = write_catalogue(store, job.index, after)
        if all(_units(store, job, name) <= after[name].units for name in job.recipes):
            return after, set_aside, damaged


def _units(store: Store, job: EncodeJob, component: Component) -> set[str]:
    names = store.files.names(store.folder(job.recipes[component]))
    return set(map(unit_of_receipt, filter(is_receipt, names)))


def _count(job: EncodeJob, before: Artifacts, after: Artifacts) -> ComponentResult:
    counts = after.count(job.index.table)
    reused = count_among(after.planned(job.index.table), before.stored["key"])
    return ComponentResult(
        encoded=counts.stored - reused,
        reused=reused,
        set_aside=counts.failed,
        pending=counts.planned - counts.stored - counts.failed,
    )


def _complete(job: EncodeJob, after: Mapping[Component, Artifacts]) -> int:
    """Clips that have every component that they need."""
    table = job.index.table.filter(pc.is_null(job.index.table["left_out_code"]))
    whole = pa.chunked_array([pa.array([True] * table.num_rows)])
    for made in after.values():
        keys = made.source.keys(table)  # null if a clip has no sound
        stored = is_among(keys, made.stored["key"])
        whole = pc.and_(whole, pc.or_(pc.is_null(keys), stored))
    return int(pc.sum(whole).as_py() or 0)


def _count_truncated(job: EncodeJob, after: Mapping[Component, Artifacts]) -> int:
    """Captions that some text encoder did not take whole."""
    cut = {
        key
        for made in after.values()
        if made.source == CAPTION
        for key in made.truncated.to_pylist()
    }
    return count_among(pa.array(cut, pa.string()), CAPTION.keys(job.index.table))
