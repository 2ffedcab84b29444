"""What an encode run did, in numbers that add up."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from videoprep.index.table import LeftOutSample
from videoprep.store.catalogue import SetAside
from videoprep.store.recipe import Component


@dataclass(frozen=True, slots=True)
class ComponentResult:
    """What became of the artifacts of one component.

    Attributes:
        encoded: made by this run.
        reused: already there.
        set_aside: failed, now or before.
    """

    encoded: int
    reused: int
    set_aside: int


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """What a run did.

    Attributes:
        store: the store.
        samples: samples in the lists; each has clips or is in ``left_out``.
        clips: clips planned; each is complete or in ``set_aside``.
        complete: clips that have every component.
        components: counts of distinct artifacts.
        left_out: samples that were not planned, with reasons.
        set_aside: clips that lack an artifact, with reasons.
        unlisted: clips of an earlier plan that are not in this one; what was encoded for them stays
            in the store, but the catalogue no longer names them.
        truncated: captions that were cut to the text encoder's limit.
        decoder: which library decoded.
        seconds: how long the run took.
    """

    store: str
    samples: int
    clips: int
    complete: int
    components: Mapping[Component, ComponentResult]
    left_out: Sequence[LeftOutSample]
    set_aside: Sequence[SetAside]
    unlisted: int
    truncated: int
    decoder: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every sample is encoded."""
        return not self.left_out and not self.set_aside

    @property
    def encoded(self) -> int:
        """Artifacts made by this run; 0 when there was nothing to do."""
        return sum(result.encoded for result in self.components.values())

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {"ok": self.ok, "encoded": self.encoded, **asdict(self)}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{r.encoded}</td><td>{r.reused}</td><td>{r.set_aside}</td></tr>"
            for name, r in self.components.items()
        )
        return (
            f"<p><b>{html.escape(self.store)}</b>: {self.complete} of {self.clips} clips are "
            f"complete, {self.clips - self.complete} set aside, {len(self.left_out)} of "
            f"{self.samples} samples left out</p>"
            f"<table><tr><th></th><th>encoded</th><th>reused</th><th>set aside</th></tr>{rows}"
            "</table>"
        )
