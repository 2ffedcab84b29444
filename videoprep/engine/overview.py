"""What all ranks together have done: pure arithmetic on what each of them tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from videoprep.engine.progress import GroupProgress, Phase, Progress, UnitGroup
from videoprep.engine.run_stats import Counts, RunStats

SILENT_SECONDS = 60.0
"""A rank that has not been heard of for so long is taken for lost."""

_LATELY_SECONDS = 30.0
_COUNTED = [field.name for field in fields(Counts)]

State = Mapping[str, Any]
"""What a rank tells: `RunStats.snapshot`, and ``beat`` and ``finished``."""


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
            busy=self._share("busy", elapsed),
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
                group.name: Counts(*(self._of(group.name, what) for what in _COUNTED))
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
