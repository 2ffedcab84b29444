"""How far a run is, over all ranks: what a panel, a log line or a notebook shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run that is timed for itself, and what progress calls it."""

    name: str
    """A word for logs and programs, such as ``hash``."""
    label: str
    """A heading, such as ``Hashing files``."""
    items: str = "items"
    """What its units consist of, in the plural, such as ``files``."""
    amounts: str | None = None
    """What else of them is counted, in the plural, such as ``lines``; None: nothing."""


@dataclass(frozen=True, slots=True)
class UnitGroup:
    """Units that are counted together, in a line of their own."""

    name: str
    """Such as ``text_files``; progress shows an underscore as a space."""
    phase: str
    """The name of the phase in which they are done."""


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """How far one group is. What was done before the run is not counted."""

    done: int
    """Items that are settled by this run: done or failed."""
    total: int
    """Items that this run has to do."""
    failed: int
    """Those of ``done`` that failed."""
    cost_done: int
    """The cost of those that are done, in the unit in which the task counts it."""
    cost_total: int
    """The cost of all that this run has to do."""
    seconds_left: float | None
    """Estimated seconds left, from the cost per second so far; None if nothing is done yet."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. Shares are means over the ranks that are at work, from 0 to 1."""

    phase: str
    """What is being done: a phase of the task, ``finishing`` or ``done``."""
    label: str
    """The heading of the phase."""
    items: str
    """What the items of the phase are called, in the plural."""
    amounts: str | None
    """What else is counted in the phase, in the plural."""
    groups: Mapping[str, GroupProgress]
    """How far each group is, in the order in which they are worked on."""
    seconds: float
    """Seconds since the work began."""
    items_per_second: float
    """Items that became settled, lately."""
    amounts_per_second: float
    """What else was counted, lately."""
    seconds_left: float | None
    """Estimated seconds left in total; None if nothing is done yet."""
    busy: float
    """Fraction of the time in which the device, or the CPU without one, computes."""
    waiting_for_input: float
    """Share of the time in which it waits for what it is to work on."""
    waiting_for_write: float
    """Share of the time in which it waits for results to be written."""
    ranks: int
    """Number of ranks of the run."""
    lost: tuple[int, ...]
    """The ranks that have not been heard of for too long."""


OnProgress = Callable[[Progress], None]
