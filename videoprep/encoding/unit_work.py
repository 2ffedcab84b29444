"""What one rank works with, and the work that it has in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videoprep.encoding.job import EncodeJob
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.units import Unit
from videoprep.engine.claims import Claim, Claims
from videoprep.engine.coordination import Coordinator
from videoprep.engine.device_stream import DeviceStream, PendingResult
from videoprep.engine.heartbeat import Heartbeat
from videoprep.engine.interruption import Interruption
from videoprep.engine.run_stats import RunStats
from videoprep.engine.watchdog import Watchdog
from videoprep.errors import Code, FailuresError
from videoprep.families.component import Source
from videoprep.families.contract import Family
from videoprep.index.clip import Clip
from videoprep.store.layout import Store
from videoprep.store.receipt import Failure

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class WorkerContext:
    """All that encoding units takes in one process.

    Attributes:
        job: the plan, the model, the recipes.
        family: what is being encoded for.
        store: where it goes.
        claims: who works on what at the store.
        coordinator: the other ranks of this run.
        tally: what this rank has done.
        heartbeat: tells the others.
        interruption: whether a signal came.
        watchdog: ends this process where the device hangs.
        device: where the models run.
        lanes: how it is fed.
        options: micro-batches, workers, bounds.
    """

    job: EncodeJob
    family: Family
    store: Store
    claims: Claims
    coordinator: Coordinator
    tally: RunStats
    heartbeat: Heartbeat
    interruption: Interruption
    watchdog: Watchdog
    device: torch.device
    lanes: DeviceStream
    options: EncodeOptions

    def check(self) -> None:
        """Ends this rank where it must not go on.

        Raises:
            KeyboardInterrupt: SIGINT came.
            SystemExit: SIGTERM came.
            OtherRankError: another rank failed.
            FailuresError: more artifacts were set aside than may be.
        """
        self.interruption.raise_if_requested()
        self.heartbeat.check()

    def announce(self, work: UnitWork, at: int) -> None:
        """Says which artifact of a unit is in hand, where that may end this process."""
        if work.claim.careful:
            self.claims.announce(work.claim, [work.keys[at]])

    def acquit(self, work: UnitWork, result: PendingResult | None) -> None:
        """Says that none is any more, once its result is there: what ends this process is another.

        A unit waits to be committed while the next one is made.
        """
        if work.claim.careful:
            if result is not None:
                result.wait()
            self.claims.announce(work.claim, ())

    def count_failures(self, count: int) -> None:
        """Counts artifacts set aside, over all ranks.

        Raises:
            FailuresError: they are more than may be.
        """
        if not count:
            return
        failures = self.coordinator.add("failures", count)
        most = self.options.max_failures
        if most is not None and failures > most:
            raise FailuresError(
                f"{failures} artifacts were set aside, more than `max_failures={most}`",
                where=self.store.location,
                remedy="see failures.jsonl once a run has ended, or `videoprep status`; what is "
                "encoded so far is kept",
            )


@dataclass(slots=True)
class UnitBatch:
    """A unit's part of a micro-batch of results, on its way to the host.

    Attributes:
        landing: ``[B, …]``.
        keys: the artifacts, by their places in the micro-batch.
    """

    landing: PendingResult
    keys: Mapping[int, str]


@dataclass(slots=True, eq=False)
class UnitWork:
    """A unit in hand.

    Attributes:
        unit: which one.
        claim: by which this process has it.
        folder: where its shard goes.
        keys: the artifacts, in the order in which they are made.
        clips: what each is made from.
        source: what of each clip is read.
        sent: results so far.
        failures: those set aside so far.
        truncated: keys of captions that were cut.
        tiled: keys of latents that were made in tiles for lack of memory.
        damaged: what is damaged of the frames of some artifacts, by key.
        left: how many artifacts are neither sent nor set aside yet.
    """

    unit: Unit
    claim: Claim
    folder: str
    keys: Sequence[str]
    clips: Sequence[Clip]
    source: Source
    sent: list[UnitBatch] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    tiled: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.keys)

    @property
    def pixels(self) -> int:
        """What one artifact costs."""
        return self.unit.cost // max(1, len(self.unit))

    @property
    def frames(self) -> int:
        """Frames that one artifact is made from; none for a caption."""
        return len(self.source.decoded(self.clips[0].bucket.frames))

    def kills(self, at: int) -> Failure | None:
        """The failure of an artifact that has killed its process too often."""
        key = self.keys[at]
        if not self.claim.kills(key):
            return None
        deaths = self.claim.deadly[key]
        reason = f"the encoding process died {deaths} times in a row while it worked on this"
        return self.failure(at, Code.KILLS_ITS_PROCESS, reason)

    def failure(self, at: int, code: Code, reason: str) -> Failure:
        """A failure of the artifact at a place."""
        return Failure(self.keys[at], code.value, reason)
