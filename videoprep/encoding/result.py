"""What an encode run did, in numbers that add up; and its end, when the catalogue is written."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import CAPTION, Component
from videoprep.index.row_words import CLIP, row_word
from videoprep.index.table import LeftOutSample
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
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.encoding.job import EncodeJob
    from videoprep.engine.progress import RunStats


@dataclass(frozen=True, slots=True)
class ComponentResult:
    """What became of the artifacts of one component, distinct ones; the four add up to the plan's.

    Attributes:
        encoded: made since the run began.
        reused: already there.
        set_aside: failed, now or before.
        pending: neither: the work of other jobs, where several share it.
    """

    encoded: int
    reused: int
    set_aside: int
    pending: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of this process went, in seconds.

    Attributes:
        text: the text pass, without loading.
        video: the video pass, without loading.
        busy: the accelerator, or the CPU in its place, encoded.
        waiting_for_decode: it waited for pixels.
        waiting_for_write: it waited for the disk.
    """

    text: float
    video: float
    busy: float
    waiting_for_decode: float
    waiting_for_write: float


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """What a run did.

    Attributes:
        store: the store.
        samples: samples in the lists; each has clips or is in ``left_out``.
        clips: rows planned, which `word` names: those ``complete``, ``failed`` and ``pending``.
        complete: clips that have every component.
        failed: clips that lack a component because making it failed.
        components: counts of distinct artifacts.
        left_out: samples that were not planned, with reasons.
        set_aside: the failures of ``failed``, with reasons.
        unlisted: clips of an earlier plan that are not in this one; what was encoded for them stays
            in the store, but the catalogue no longer names them.
        truncated: captions that were cut to the text encoder's limit.
        tiled: latents that were made in tiles because memory did not suffice.
        damaged: clips with damaged frames that were encoded all the same, with `allow_damaged`.
        damages: files of the store that were found damaged, and whose units were made anew.
        swept: leftovers of dead processes that were removed.
        seconds: how long the run took.
        timings: where this process's time went.
    """

    store: str
    samples: int
    clips: int
    complete: int
    failed: int
    components: Mapping[Component, ComponentResult]
    left_out: Sequence[LeftOutSample]
    set_aside: Sequence[SetAside]
    unlisted: int
    truncated: int
    tiled: int
    damaged: Sequence[DamagedClip]
    damages: Sequence[ReceiptDamage]
    swept: Sequence[str]
    seconds: float
    timings: Timings
    reading: Mapping[str, Any] | None = None
    """How the dataset was read: the files and columns, and what was passed over."""
    as_they_are: Mapping[str, int] = field(default_factory=dict)
    """How many videos are encoded as they are although they are interlaced (``VP115``) or HDR
    (``VP116``), by code."""

    word: str = CLIP
    """What ``clips`` counts: ``clip``, or ``bucket assignment`` if a clip may be in several
    buckets."""
    stills: int = 0
    """How many of them are still images."""
    not_of_stills: tuple[Component, ...] = ()
    """The components that are not made of still images, if there are any."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing was skipped but what a person dropped in a review.

        Other jobs may have work to do yet.
        """
        return not self.set_aside and not self.skipped

    @property
    def dropped(self) -> int:
        """How many of the samples in ``left_out`` a person dropped in a review."""
        return sum(sample.is_dropped for sample in self.left_out)

    @property
    def skipped(self) -> int:
        """How many of the samples in ``left_out`` nobody dropped: something is wrong with them."""
        return len(self.left_out) - self.dropped

    @property
    def samples_told(self) -> str:
        """How many samples are not planned, in words."""
        told = f"{self.skipped} of {self.samples} samples skipped"
        return f"{told}, {self.dropped} dropped in a review" if self.dropped else told

    @property
    def pending(self) -> int:
        """Clips that wait for other jobs."""
        return self.clips - self.complete - self.failed

    @property
    def encoded(self) -> int:
        """Artifacts made by this run; 0 when there was nothing to do."""
        return sum(result.encoded for result in self.components.values())

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {"ok": self.ok, "encoded": self.encoded, "pending": self.pending, **asdict(self)}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{r.encoded}</td><td>{r.reused}</td><td>{r.set_aside}</td>"
            f"<td>{r.pending}</td></tr>"
            for name, r in self.components.items()
        )
        names = ("", "encoded", "already there", "failed", "pending")
        head = "".join(f"<th>{name}</th>" for name in names)
        return (
            f"<p><b>{html.escape(self.store)}</b>: {self.complete} of "
            f"{counted(self.clips, self.word)} are complete, {self.failed} failed, "
            f"{self.pending} pending · {self.samples_told} · {self.seconds:.1f} s</p>"
            f"<table><tr>{head}</tr>{rows}</table>"
        )


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
        damages: what was found damaged when the run began, and encoded again.
        swept: leftovers of dead processes that were removed.
        seconds: how long the run took.
    """
    unlisted = count_unlisted(store, job.index)
    after, set_aside, damaged = _write(job, store)
    counts = {name: _count(job, before[name], made) for name, made in after.items()}
    return EncodeResult(
        store=store.location,
        samples=job.index.samples,
        clips=len(job.index),
        complete=_complete(job, after),
        failed=_failed(job, after),
        components=counts,
        left_out=job.index.left_out,
        set_aside=set_aside,
        unlisted=unlisted,
        truncated=_count_truncated(job, after),
        tiled=sum(
            count_among(made.tiled, made.source.all_keys(job.index.table))
            for made in after.values()
        ),
        damaged=damaged,
        damages=tuple(damages),
        swept=tuple(swept),
        seconds=seconds,
        reading=job.index.policy.get("reading"),
        as_they_are=job.index.as_they_are,
        word=row_word(job.index.policy),
        stills=job.index.stills,
        not_of_stills=tuple(
            name for name, made in after.items() if job.index.stills and made.source.of_video_alone
        ),
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
    """Write again until no other job has committed anything meanwhile: the last job sees all."""
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
    whole = np.ones(table.num_rows, np.bool_)
    for made in after.values():
        keys = made.source.all_keys(table)  # null if a clip has no sound
        lacking = pc.and_(pc.is_valid(keys), pc.invert(is_among(keys, made.stored["key"])))
        places = np.flatnonzero(lacking.to_numpy())
        whole[CaptionPlaces.of(table).rows(places)] = False
    return int(whole.sum())


def _failed(job: EncodeJob, after: Mapping[Component, Artifacts]) -> int:
    """Clips of which something could not be made."""
    table = job.index.table
    lacking, places = np.zeros(table.num_rows, np.bool_), CaptionPlaces.of(table)
    for made in after.values():
        failed = is_among(made.source.all_keys(table), made.failed["key"])
        lacking[places.rows(np.flatnonzero(failed.to_numpy()))] = True
    return int(lacking.sum())


def _count_truncated(job: EncodeJob, after: Mapping[Component, Artifacts]) -> int:
    """Captions that some text encoder did not take whole."""
    cut = {
        key
        for made in after.values()
        if made.source == CAPTION
        for key in made.truncated.to_pylist()
    }
    return count_among(pa.array(cut, pa.string()), CAPTION.all_keys(job.index.table))
