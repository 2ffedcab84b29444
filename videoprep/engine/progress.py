"""What a rank has done and where its time went, and what all ranks together have done."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

SILENT_SECONDS = 60.0
"""A rank that has not been heard of for so long is taken for lost."""
_LATELY_SECONDS = 30.0
State = Mapping[str, Any]
"""What a rank tells: `RunStats.snapshot`, and ``beat`` and ``finished``."""


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
    is_timed: bool = True
    """Whether it is measured how long the device works in it."""


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
    busy: float | None
    """Fraction of the time in which the device, or the CPU without one, computes; None if that is
    not measured, as where a server computes."""
    waiting_for_input: float
    """Share of the time in which it waits for what it is to work on."""
    waiting_for_write: float
    """Share of the time in which it waits for results to be written."""
    ranks: int
    """Number of ranks of the run."""
    lost: tuple[int, ...]
    """The ranks that have not been heard of for too long."""


OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class Counts:
    """What became of one group's items in this rank."""

    done: int = 0
    """Items that were done or failed."""
    failed: int = 0
    """Those of them that failed."""
    cost: int = 0
    """The cost of those that are done."""


@dataclass(slots=True)
class RunStats:
    """Counts and seconds of one rank. Every thread may add to it."""

    session: str
    """The name of this process's session."""
    counts: dict[str, Counts]
    """By group."""
    phase: str
    """What is being done: a phase of the task, ``finishing`` or ``done``."""
    amount: int = 0
    """What else was counted, such as lines."""
    busy: float = 0.0
    """Seconds in which the device, or the CPU in its place, worked."""
    input: float = 0.0
    """Seconds in which it waited for what it was to work on."""
    write: float = 0.0
    """Seconds in which it waited for results to be written."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds that each phase has taken."""
    _since: float = field(default_factory=time.monotonic)
    _lock: Any = field(default_factory=threading.Lock)

    def settle(self, group: str, done: int, failed: int, cost: int, amount: int) -> None:
        """Count items that are done or failed; ``cost`` and ``amount`` are of one."""
        with self._lock:
            counts = self.counts[group]
            counts.done += done + failed
            counts.failed += failed
            counts.cost += (done + failed) * cost
            self.amount += done * amount

    def spoil(self, group: str, count: int) -> None:
        """Count items as failed that were counted as done."""
        with self._lock:
            self.counts[group].failed += count

    def add_busy(self, seconds: float) -> None:
        """Add to the time in which the device worked."""
        with self._lock:
            self.busy += seconds

    def add_input(self, seconds: float) -> None:
        """Add to the time in which it waited for what it was to work on."""
        with self._lock:
            self.input += seconds

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Count the block as waiting for results to be written."""
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.write += time.monotonic() - started

    def begin(self, phase: str) -> None:
        """Go over to another phase; what opening a stage takes belongs to none."""
        with self._lock:
            self._close()
            self.phase = phase

    def end(self) -> None:
        """Stop the clock of the present phase."""
        with self._lock:
            self._close()
            self._since = 0.0

    def snapshot(self) -> Mapping[str, Any]:
        """Return all of it as plain values."""
        with self._lock:
            running = time.monotonic() - self._since if self._since else 0.0
            phases = dict(self.phases)
            phases[self.phase] = phases.get(self.phase, 0.0) + running
            return {
                "session": self.session,
                "counts": {name: asdict(counts) for name, counts in self.counts.items()},
                "amount": self.amount,
                "busy": self.busy,
                "input": self.input,
                "write": self.write,
                "phases": phases,
                "phase": self.phase,
            }

    def _close(self) -> None:
        now = time.monotonic()
        if self._since:
            took = now - self._since
            self.phases[self.phase] = self.phases.get(self.phase, 0.0) + took
        self._since = now


class RunOverview:
    """Adds up what the ranks report.

    Args:
        phases: what the task's phases are called, in their order.
        groups: the task's groups, in the order in which they are worked on.
        totals: items and cost of each group that this run has to do.
        ranks: how many there are.
        late: whether ranks may begin long after the run; one that has not come is not lost then.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        groups: Sequence[UnitGroup],
        totals: Mapping[str, tuple[int, int]],
        ranks: int,
        *,
        late: bool = False,
    ) -> None:
        self._phases = {phase.name: phase for phase in phases}
        self._groups = groups
        self._totals = totals
        self._ranks = ranks
        self._late = late
        self._states: dict[int, State] = {}
        self._heard: dict[int, float] = {}
        self._history: deque[tuple[float, int, int]] = deque()
        self._started: float | None = None

    def hear(self, rank: int, state: State, now: float) -> None:
        """Record the state that a rank reports. A repeated beat is not a sign of life."""
        known = self._states.get(rank)
        if known is None or known["beat"] != state["beat"]:
            self._heard[rank] = now
        self._states[rank] = state

    def finished(self, without: Sequence[int] = ()) -> bool:
        """Whether the ranks other than 0, apart from those in ``without``, are done."""
        others = (rank for rank in range(1, self._ranks) if rank not in without)
        states = (self._states.get(rank) for rank in others)
        return all(state is not None and state["finished"] for state in states)

    def lost(self, now: float) -> tuple[int, ...]:
        """The ranks that came, have not finished, and have not been heard of for too long."""
        if self._started is None:
            self._started = now
        silent = []
        for rank in range(1, self._ranks):
            state = self._states.get(rank)
            heard = self._heard.get(rank, now if self._late else self._started)
            if now - heard > SILENT_SECONDS and not (state and state["finished"]):
                silent.append(rank)
        return tuple(silent)

    def sessions(self, ranks: Sequence[int]) -> set[str]:
        """The names by which ranks are known at the store."""
        return {self._states[rank]["session"] for rank in ranks if rank in self._states}

    def progress(self, phase: str, now: float) -> Progress:
        """Return how far the run is, in a phase of the task, ``finishing`` or ``done``."""
        lost = self.lost(now)
        assert self._started is not None  # noqa: S101
        done = sum(self._of(group.name, "done") for group in self._groups)
        amount = sum(state["amount"] for state in self._states.values())
        items_rate, amounts_rate = self._rates(now, done, amount)
        elapsed = sum(sum(state["phases"].values()) for state in self._states.values())
        left = {group.name: self._seconds_left(group) for group in self._groups}
        # After the work as in its last phase.
        words = self._phases.get(phase) or replace(
            [*self._phases.values()][-1], name=phase, label=phase.capitalize()
        )
        return Progress(
            phase=phase,
            label=words.label,
            items=words.items,
            amounts=words.amounts,
            groups={name: self._group(name, seconds) for name, seconds in left.items()},
            seconds=now - self._started,
            items_per_second=items_rate,
            amounts_per_second=amounts_rate,
            seconds_left=_sum_of(left.values()),
            busy=self._share("busy", elapsed) if words.is_timed else None,
            waiting_for_input=self._share("input", elapsed),
            waiting_for_write=self._share("write", elapsed),
            ranks=self._ranks,
            lost=lost,
        )

    def total(self, session: str) -> RunStats:
        """Return the statistics of all ranks together, in the name of a session."""
        states = self._states.values()
        phases = {name for state in states for name in state["phases"]}
        total = RunStats(
            session,
            {
                group.name: Counts(*(self._of(group.name, what.name) for what in fields(Counts)))
                for group in self._groups
            },
            "done",
            amount=sum(state["amount"] for state in states),
            busy=sum(state["busy"] for state in states),
            input=sum(state["input"] for state in states),
            write=sum(state["write"] for state in states),
            phases={name: sum(s["phases"].get(name, 0.0) for s in states) for name in phases},
        )
        total.end()
        return total

    def _of(self, group: str, what: str) -> int:
        return sum(s["counts"].get(group, {}).get(what, 0) for s in self._states.values())

    def _group(self, name: str, left: float | None) -> GroupProgress:
        total, cost_total = self._totals[name]
        return GroupProgress(
            done=self._of(name, "done"),
            total=total,
            failed=self._of(name, "failed"),
            cost_done=self._of(name, "cost"),
            cost_total=cost_total,
            seconds_left=left,
        )

    def _rates(self, now: float, done: int, amount: int) -> tuple[float, float]:
        self._history.append((now, done, amount))
        while len(self._history) > 2 and now - self._history[1][0] > _LATELY_SECONDS:
            self._history.popleft()
        then, done_then, amount_then = self._history[0]
        took = now - then
        if took <= 0:
            return 0.0, 0.0
        return (done - done_then) / took, (amount - amount_then) / took

    def _seconds_left(self, group: UnitGroup) -> float | None:
        same = [other.name for other in self._groups if other.phase == group.phase]
        done = sum(self._of(name, "cost") for name in same)
        took = max((s["phases"].get(group.phase, 0.0) for s in self._states.values()), default=0.0)
        rest = self._totals[group.name][1] - self._of(group.name, "cost")
        if rest <= 0:
            return 0.0
        return rest * took / done if done and took else None

    def _share(self, what: str, elapsed: float) -> float:
        if elapsed <= 0:
            return 0.0
        return min(1.0, float(sum(state[what] for state in self._states.values())) / elapsed)


def _sum_of(seconds: Collection[float | None]) -> float | None:
    """The sum, or None if one is not known."""
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None
