"""What one rank has done and where its time went; reported to rank 0 once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


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
