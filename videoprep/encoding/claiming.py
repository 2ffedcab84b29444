"""Which units this rank takes, one after the other: dearest first, each by one rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from videoprep.encoding.unit_work import UnitWork, WorkerContext
from videoprep.encoding.units import Unit
from videoprep.failpoints import reach


def claimed(rank: WorkerContext, units: Sequence[Unit], name: str) -> Iterator[UnitWork]:
    """Takes units that no other rank of this run has taken.

    Those that another run at the same store works on are passed over; see `free`.

    Args:
        rank: this one.
        units: the same for all ranks, dearest first.
        name: of the pass.
    """
    while (number := rank.coordinator.add(f"claimed/{name}", 1) - 1) < len(units):
        rank.check()
        work = take(rank, units[number])
        if work is not None:
            yield work


def take(rank: WorkerContext, unit: Unit) -> UnitWork | None:
    """Claims a unit; None where it is committed already, or another living process has it."""
    folder = rank.job.folder(unit)
    claim = rank.claims.take(folder, unit.name)
    if claim is None:
        return None
    if rank.store.files.size(f"{folder}/{unit.name}.json") is not None:
        rank.claims.release(claim)
        return None
    reach("unit.claimed", unit.name)
    source = rank.job.specs[unit.component].source
    return UnitWork(unit, claim, folder, rank.job.keys(unit), rank.job.clips(unit), source)


def free(rank: WorkerContext, units: Sequence[Unit]) -> Iterator[UnitWork]:
    """Takes those of some units that nobody has in hand; waits for none of the others.

    To wait with work in hand would not do: two runs at one store could wait for each other.
    """
    for unit in units:
        rank.check()
        work = take(rank, unit)
        if work is not None:
            yield work


def uncommitted(rank: WorkerContext, units: Sequence[Unit]) -> list[Unit]:
    """Those of some units that have no receipt yet."""
    folders = {rank.job.folder(unit) for unit in units}
    there = {folder: set(rank.store.files.names(folder)) for folder in folders}
    return [unit for unit in units if f"{unit.name}.json" not in there[rank.job.folder(unit)]]
