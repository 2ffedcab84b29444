"""What one process works with, and the units that it claims and has in progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from videoprep.engine.claims import Claim, Claims
from videoprep.engine.coordination import Coordinator
from videoprep.engine.heartbeat import Heartbeat
from videoprep.engine.interruption import Interruption, Watchdog
from videoprep.engine.progress import RunStats
from videoprep.engine.task import TaskDescription, TaskOptions, TaskUnit
from videoprep.errors import FailuresError
from videoprep.failpoints import reach

Committed = Callable[[Sequence[TaskUnit]], Collection[str]]
"""Return the ids of the given units that are committed."""


@dataclass(frozen=True, slots=True)
class RankContext:
    """What one process works with."""

    description: TaskDescription
    """What the task is called."""
    location: str
    """The task's files, for messages."""
    options: TaskOptions
    claims: Claims
    """Who works on which unit."""
    coordinator: Coordinator
    """The other ranks of the run."""
    stats: RunStats
    """What this rank has done."""
    heartbeat: Heartbeat
    """Reports it to the others."""
    interruption: Interruption
    """Whether a signal came."""
    watchdog: Watchdog
    """Ends this process if a step hangs."""

    @property
    def cores(self) -> int:
        """This rank's share of the machine's cores."""
        return max(1, len(os.sched_getaffinity(0)) // self.coordinator.local_world_size)

    def check(self) -> None:
        """End this rank if it must not go on. Call it between steps that take long.

        Raises:
            KeyboardInterrupt: SIGINT came.
            SystemExit: SIGTERM came.
            OtherRankError: Another rank failed.
        """
        self.interruption.raise_if_requested()
        self.heartbeat.check()

    def count_failures(self, count: int) -> None:
        """Count failed items, over all ranks.

        Raises:
            FailuresError: They are more than may be.
        """
        if not count:
            return
        failures = self.coordinator.add("failures", count)
        most = self.options.max_failures
        if most is not None and failures > most:
            raise FailuresError(
                f"failed {self.description.items}: {failures}, more than `max_failures={most}`",
                where=self.location,
                remedy=self.description.failures,
            )


@dataclass(slots=True, eq=False)
class ClaimedUnit:
    """A unit in progress."""

    unit: TaskUnit
    claim: Claim
    """By which this process has it."""
    claims: Claims
    stats: RunStats
    settled: int = 0
    """How many of its items are counted as done or failed."""
    failed: int = 0
    """How many of these failed."""

    @property
    def careful(self) -> bool:
        """Whether the items are to be done one at a time, each in a `doing` block."""
        return self.claim.careful

    def kills(self, item: str) -> str | None:
        """Return why an item must not be tried any more: it has ended its process too often."""
        if not self.claim.kills(item):
            return None
        deaths = self.claim.deadly[item]
        return f"the process died {deaths} times in a row while it worked on this"

    @contextmanager
    def doing(self, item: str) -> Iterator[None]:
        """Announce an item for the time of the block, if what ends this process then is its fault.

        The block has to last until the item's result is there: what ends the process after it is
        something else.
        """
        if not self.careful:
            yield
            return
        self.claims.announce(self.claim, [item])
        yield
        self.claims.announce(self.claim, ())

    def settle(self, done: int = 0, failed: int = 0, amount: int = 0) -> None:
        """Count items as done or failed before the unit is committed, for progress.

        Args:
            done: how many are done.
            failed: how many failed.
            amount: what else is counted of each that is done.
        """
        cost = self.unit.cost // max(1, self.unit.items)
        self.stats.settle(self.unit.group, done, failed, cost, amount)
        self.settled += done + failed
        self.failed += failed

    def settle_rest(self, failed: int) -> None:
        """Count what is not counted yet when the unit is committed.

        Args:
            failed: how many of all its items failed.
        """
        rest = self.unit.items - self.settled
        late = max(0, failed - self.failed)
        among_rest = min(rest, late)
        self.stats.spoil(self.unit.group, late - among_rest)
        self.settle(done=rest - among_rest, failed=among_rest)


def claimed(
    rank: RankContext, units: Sequence[TaskUnit], name: str, committed: Committed
) -> Iterator[ClaimedUnit]:
    """Yield units that no other rank of this run has taken.

    Those that another run works on are passed over; see `free`.

    Args:
        rank: this one.
        units: the same for all ranks, the most expensive first.
        name: of the counter by which the ranks share them.
        committed: tells which are committed.
    """
    while (number := rank.coordinator.add(f"claimed/{name}", 1) - 1) < len(units):
        rank.check()
        work = take(rank, units[number], committed)
        if work is not None:
            yield work


def take(rank: RankContext, unit: TaskUnit, committed: Committed) -> ClaimedUnit | None:
    """Claim a unit; None if it is committed already, or another living process has it."""
    claim = rank.claims.take(unit.folder, unit.name)
    if claim is None:
        return None
    if committed([unit]):
        rank.claims.release(claim)
        return None
    reach("unit.claimed", unit.name)
    return ClaimedUnit(unit, claim, rank.claims, rank.stats)


def free(
    rank: RankContext, units: Sequence[TaskUnit], committed: Committed
) -> Iterator[ClaimedUnit]:
    """Yield the given units that no process has in progress, without waiting for the others.

    To wait with work in progress would not do: two runs could wait for each other.
    """
    for unit in units:
        rank.check()
        work = take(rank, unit, committed)
        if work is not None:
            yield work


def uncommitted(units: Sequence[TaskUnit], committed: Committed) -> list[TaskUnit]:
    """Return the given units that are not committed yet."""
    done = committed(units) if units else ()
    return [unit for unit in units if unit.id not in done]
