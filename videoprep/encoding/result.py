"""What an encode run did, in numbers that add up."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from videoprep.families.component import Component
from videoprep.index.table import LeftOutSample
from videoprep.store.catalogue import DamagedClip, SetAside
from videoprep.store.receipt import ReceiptDamage


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
        clips: clips planned: those ``complete``, ``failed`` and ``pending``.
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

    @property
    def ok(self) -> bool:
        """Whether nothing was skipped and nothing failed; other jobs may have work to do yet."""
        return not self.left_out and not self.set_aside

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
            f"<p><b>{html.escape(self.store)}</b>: {self.complete} of {self.clips} clips are "
            f"complete, {self.failed} failed, {self.pending} pending, {len(self.left_out)} of "
            f"{self.samples} samples skipped · {self.seconds:.1f} s</p>"
            f"<table><tr>{head}</tr>{rows}</table>"
        )
