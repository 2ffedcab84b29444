"""Which units a rank takes, one after the other: the most expensive first, each by one rank."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import TaskUnit
from videoprep.failpoints import reach

Committed = Callable[[Sequence[TaskUnit]], Collection[str]]
"""Return the ids of the given units that are committed."""


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
