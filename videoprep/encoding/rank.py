"""What one rank works with, and the work that it has in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videoprep.encoding.coordination import Coordinator
from videoprep.encoding.effort import Effort
from videoprep.encoding.heartbeat import Heartbeat
from videoprep.encoding.interruption import Interruption
from videoprep.encoding.job import Job
from videoprep.encoding.lanes import Landing, Lanes
from videoprep.encoding.tally import Tally
from videoprep.encoding.units import Unit
from videoprep.encoding.watchdog import Watchdog
from videoprep.errors import Code, FailuresError
from videoprep.families.component import MADE_FROM
from videoprep.families.contract import Family
from videoprep.index.clip import Clip
from videoprep.store.claims import Claim, Claims
from videoprep.store.layout import Store
from videoprep.store.receipt import Failure

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Rank:
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
        effort: micro-batches, workers, bounds.
    """

    job: Job
    family: Family
    store: Store
    claims: Claims
    coordinator: Coordinator
    tally: Tally
    heartbeat: Heartbeat
    interruption: Interruption
    watchdog: Watchdog
    device: torch.device
    lanes: Lanes
    effort: Effort

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

    def announce(self, work: Work, at: int) -> None:
        """Says which artifact of a unit is in hand, where that may end this process."""
        if work.claim.careful:
            self.claims.announce(work.claim, [work.keys[at]])

    def acquit(self, work: Work, result: Landing | None) -> None:
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
        most = self.effort.max_failures
        if most is not None and failures > most:
            raise FailuresError(
                f"{failures} artifacts were set aside, more than --max-failures {most}",
                where=self.store.location,
                remedy="see failures.jsonl once a run has ended, or `videoprep status`; what is "
                "encoded so far is kept",
            )


@dataclass(slots=True)
class Sent:
    """A unit's part of a micro-batch of results, on its way to the host.

    Attributes:
        landing: ``[B, …]``.
        keys: the artifacts, by their places in the micro-batch.
    """

    landing: Landing
    keys: Mapping[int, str]


@dataclass(slots=True, eq=False)
class Work:
    """A unit in hand.

    Attributes:
        unit: which one.
        claim: by which this process has it.
        folder: where its shard goes.
        keys: the artifacts, in the order in which they are made.
        clips: what each is made from.
        sent: results so far.
        failures: those set aside so far.
        truncated: keys of captions that were cut.
        tiled: keys of latents that were made in tiles for lack of memory.
        left: how many artifacts are neither sent nor set aside yet.
    """

    unit: Unit
    claim: Claim
    folder: str
    keys: Sequence[str]
    clips: Sequence[Clip]
    sent: list[Sent] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    tiled: list[str] = field(default_factory=list)
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
        read = MADE_FROM[self.unit.component]
        return {"caption": 0, "image": 1, "clip": self.clips[0].bucket.frames}[read]

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
