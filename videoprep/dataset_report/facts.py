"""What the page tells of a dataset as a whole: plain values, apart from how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from videoprep.encoding.status import SetAsideGroup
from videoprep.errors import Code
from videoprep.families.component import Component
from videoprep.index.calibration import Calibration
from videoprep.index.role_counts import RoleCounts
from videoprep.index.summary import Summary
from videoprep.pages.charts import Chart
from videoprep.store.catalogue import DamagedClip
from videoprep.validators.report import Report

State = Literal["encoded", "failed", "to do", "skipped", "planned"]
"""Where a clip or a sample has ended.

- ``encoded``: everything of it is in the store.
- ``failed``: something of it could not be made; the store says why.
- ``to do``: something of it is still to be made.
- ``skipped``: it is not planned; the plan says why.
- ``planned``: it has a place in the plan, and there is no store.
"""

STATES: tuple[State, ...] = ("encoded", "failed", "to do", "skipped", "planned")


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """The artifacts of one component.

    Attributes:
        name: which one.
        planned: ``done``, ``set_aside`` and ``to_do``; None where the store has no plan.
        done: stored.
        set_aside: could not be made.
        to_do: neither.
        stale: those of ``to_do`` of which the store has something older.
        bytes: size of all that is stored, needed or not.
        orphans: stored, but no clip of the plan needs them.
        damages: receipts that do not hold, in words.
        recipe: how they are made: the fields that people ask about, in words.
    """

    name: Component
    planned: int | None
    done: int
    set_aside: int
    to_do: int
    stale: int
    bytes: int
    orphans: int
    damages: tuple[str, ...]
    recipe: str


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What was encoded.

    Attributes:
        location: path or URL of the store.
        family: the model family.
        model: how the model was called.
        revision: its commit on the hub.
        components: in their natural order.
        set_aside: what could not be made, by component and code.
        damaged: clips whose frames are damaged, and that were encoded all the same.
        at_work: how many processes work at it now.
        catalogue: current, outdated, missing or damaged.
        truncated: captions that were cut to the text encoder's limit.
        tiled: latents that were made in tiles because memory did not suffice.
        speed: how fast the last run on this dataset was, if that is known here.
    """

    location: str
    family: str
    model: str
    revision: str | None
    components: tuple[ComponentFacts, ...]
    set_aside: tuple[SetAsideGroup, ...]
    damaged: tuple[DamagedClip, ...]
    at_work: int
    catalogue: str
    truncated: int
    tiled: int
    speed: Calibration | None

    @property
    def bytes(self) -> int:
        """Size of all that is stored."""
        return sum(one.bytes for one in self.components)


@dataclass(frozen=True, slots=True)
class Worst:
    """A clip that loses much.

    Attributes:
        row: of the plan.
        video: the file, as the dataset names it.
        bucket: where it goes.
        share: of its picture that is cut off, or of its sample's frames that are in no clip.
    """

    row: int
    video: str
    bucket: str
    share: float


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What was planned.

    Attributes:
        summary: buckets, frames, what is skipped.
        clip_seconds: of all clips, at the planned rate.
        source_seconds: of all videos that the plan uses, whole.
        bucket_seconds: of each bucket's clips, in the order of the summary's buckets.
        losses: charts of what is cut off and passed over.
        clips: charts of durations, sizes, rates, captions.
        most_cut: the clips that lose most of their picture.
        most_passed: the clips of the samples that lose most frames; one a sample.
        left_out: for each code an example of its reason.
        roles: how many clips have sound, and other media beside their picture.
    """

    summary: Summary
    clip_seconds: float
    source_seconds: float
    bucket_seconds: tuple[float, ...]
    losses: tuple[Chart, ...]
    clips: tuple[Chart, ...]
    most_cut: tuple[Worst, ...]
    most_passed: tuple[Worst, ...]
    left_out: Mapping[str, str]
    roles: RoleCounts

    def to_json(self) -> dict[str, Any]:
        """The counts, in a form that `json` can write."""
        return {
            **self.summary.to_json(),
            "clips_by_role": dict(self.roles.clips),
            "files_by_role": dict(self.roles.files),
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is told of a dataset as a whole.

    Attributes:
        name: what was asked about.
        kind: store, plan or dataset.
        samples: by where they ended; each is counted once.
        clips: planned clips by where they ended.
        asked: what was asked for, where it differs from the defaults.
        plan: what was planned; None where there is no plan.
        no_plan: why there is none.
        store: what was encoded; None where no store was given.
        findings: what the rules say; None where they were not applied.
    """

    name: str
    kind: Literal["store", "plan", "dataset"]
    samples: Mapping[State, int]
    clips: Mapping[State, int]
    asked: tuple[tuple[str, str], ...]
    plan: PlanFacts | None
    no_plan: str | None
    store: StoreFacts | None
    findings: Report | None

    @property
    def total(self) -> int:
        """Samples of the plan."""
        return sum(self.samples.values())

    @property
    def dropped(self) -> int:
        """Those of the skipped samples that a person dropped in a review."""
        reasons = () if self.plan is None else self.plan.summary.left_out
        return sum(one.samples for one in reasons if one.code == Code.DROPPED.value)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, was skipped or is to do, and no rule is broken.

        What a person dropped in a review is as it was asked for.
        """
        bad = sum(self.samples.get(state, 0) for state in ("failed", "to do", "skipped"))
        bad -= self.dropped
        clean = self.findings is None or self.findings.ok
        return self.plan is not None and not bad and clean

    def to_json(self) -> dict[str, Any]:
        """The counts, in a form that `json` can write."""
        store = self.store
        return {
            "ok": self.ok,
            "name": self.name,
            "kind": self.kind,
            "samples": {"total": self.total, **self.samples},
            "clips": dict(self.clips),
            "asked": dict(self.asked),
            "plan": None if self.plan is None else self.plan.to_json(),
            "no_plan": self.no_plan,
            "store": None if store is None else {**asdict(store), "bytes": store.bytes},
            "findings": None if self.findings is None else self.findings.summary(),
        }
