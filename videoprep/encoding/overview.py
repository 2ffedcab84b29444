"""What all ranks together have done: pure arithmetic on what each of them tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from videoprep.families.component import MADE_FROM, Component
from videoprep.reporting.progress import ComponentProgress, Progress

SILENT_SECONDS = 60.0
"""A rank that has not been heard of for so long is taken for lost."""

_LATELY_SECONDS = 30.0

State = Mapping[str, Any]
"""What a rank tells: `Tally.snapshot`, and ``beat`` and ``finished``."""


class Overview:
    """Adds up what the ranks tell.

    Args:
        totals: artifacts and cost of each component that this run has to make.
        ranks: how many there are.
    """

    def __init__(self, totals: Mapping[Component, tuple[int, int]], ranks: int) -> None:
        # The text pass comes first.
        self._totals = dict(sorted(totals.items(), key=lambda item: _phase(item[0])))
        self._ranks = ranks
        self._states: dict[int, State] = {}
        self._heard: dict[int, float] = {}
        self._history: deque[tuple[float, int, int]] = deque()
        self._started: float | None = None

    def hear(self, rank: int, state: State, now: float) -> None:
        """Takes what a rank tells; the same beat again is no sign of life."""
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
            heard = self._heard.get(rank, self._started)
            if now - heard > SILENT_SECONDS and not (state and state["finished"]):
                silent.append(rank)
        return tuple(silent)

    def sessions(self, ranks: Sequence[int]) -> set[str]:
        """The names by which ranks are known at the store."""
        return {self._states[rank]["session"] for rank in ranks if rank in self._states}

    def progress(self, phase: str, now: float) -> Progress:
        """How far the run is."""
        lost = self.lost(now)
        assert self._started is not None  # noqa: S101
        done = sum(self._of(component, "done") for component in self._totals)
        frames = sum(state["frames"] for state in self._states.values())
        clips_rate, frames_rate = self._rates(now, done, frames)
        elapsed = sum(sum(state["phases"].values()) for state in self._states.values())
        left = self._seconds_left()
        known = [left[name] for name in self._totals]
        return Progress(
            phase=phase,
            components={name: self._component(name, left[name]) for name in self._totals},
            seconds=now - self._started,
            clips_per_second=clips_rate,
            frames_per_second=frames_rate,
            seconds_left=None if None in known else self._all_left(left),
            busy=self._share("busy", elapsed),
            waiting_for_decode=self._share("decode", elapsed),
            waiting_for_write=self._share("write", elapsed),
            ranks=self._ranks,
            lost=lost,
        )

    def _of(self, component: Component, what: str) -> int:
        return sum(s["counts"].get(component, {}).get(what, 0) for s in self._states.values())

    def _component(self, name: Component, left: float | None) -> ComponentProgress:
        total, cost_total = self._totals[name]
        return ComponentProgress(
            done=self._of(name, "done"),
            total=total,
            set_aside=self._of(name, "set_aside"),
            cost_done=self._of(name, "cost"),
            cost_total=cost_total,
            seconds_left=left,
        )

    def _rates(self, now: float, done: int, frames: int) -> tuple[float, float]:
        self._history.append((now, done, frames))
        while len(self._history) > 2 and now - self._history[1][0] > _LATELY_SECONDS:
            self._history.popleft()
        then, done_then, frames_then = self._history[0]
        took = now - then
        if took <= 0:
            return 0.0, 0.0
        return (done - done_then) / took, (frames - frames_then) / took

    def _seconds_left(self) -> dict[Component, float | None]:
        left: dict[Component, float | None] = {}
        for name, (_, total) in self._totals.items():
            phase = _phase(name)
            same = [other for other in self._totals if _phase(other) == phase]
            done = sum(self._of(n, "cost") for n in same)
            took = max((s["phases"].get(phase, 0.0) for s in self._states.values()), default=0.0)
            rest = total - self._of(name, "cost")
            left[name] = 0.0 if rest <= 0 else rest * took / done if done and took else None
        return left

    @staticmethod
    def _all_left(left: Mapping[Component, float | None]) -> float:
        return sum(seconds or 0.0 for seconds in left.values())

    def _share(self, what: str, elapsed: float) -> float:
        if elapsed <= 0:
            return 0.0
        return min(1.0, float(sum(state[what] for state in self._states.values())) / elapsed)


def _phase(component: Component) -> str:
    return "text" if MADE_FROM[component] == "caption" else "video"
