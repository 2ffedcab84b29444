"""What one rank has done and where its time went; told to rank 0 once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from videoprep.families.component import Component

Phase = Literal["text", "video", "finishing", "done"]


@dataclass(slots=True)
class Counts:
    """What became of one component's artifacts in this rank.

    Attributes:
        done: encoded or set aside.
        set_aside: those of them that could not be made.
        cost: pixels (of captions: how many) of those that are done.
    """

    done: int = 0
    set_aside: int = 0
    cost: int = 0


@dataclass(slots=True)
class Tally:
    """Counts and seconds of one rank. Every thread may add to it.

    Attributes:
        session: by what name this process is known at the store.
        counts: by component.
        phase: what is being done.
        frames: of clips that were encoded.
        busy: seconds in which the accelerator, or the CPU in its place, encoded.
        decode: seconds in which it waited for pixels.
        write: seconds in which it waited for the disk.
        phases: seconds that each phase has taken.
    """

    session: str
    counts: dict[Component, Counts]
    phase: Phase
    frames: int = 0
    busy: float = 0.0
    decode: float = 0.0
    write: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)
    _lock: Any = field(default_factory=threading.Lock)

    def settle(
        self, component: Component, encoded: int, failed: int, pixels: int, frames: int
    ) -> None:
        """Counts artifacts that were encoded or set aside; ``pixels`` and ``frames`` are of one."""
        with self._lock:
            counts = self.counts[component]
            counts.done += encoded + failed
            counts.set_aside += failed
            counts.cost += (encoded + failed) * pixels
            self.frames += encoded * frames

    def spoil(self, component: Component, count: int) -> None:
        """Some that were counted as encoded turned out to be of no use."""
        with self._lock:
            self.counts[component].set_aside += count

    def add_busy(self, seconds: float) -> None:
        """Adds to the time in which the accelerator encoded."""
        with self._lock:
            self.busy += seconds

    def add_decode(self, seconds: float) -> None:
        """Adds to the time in which it waited for pixels."""
        with self._lock:
            self.decode += seconds

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Counts the block as waiting for the disk."""
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.write += time.monotonic() - started

    def begin(self, phase: Phase) -> None:
        """Goes over to another phase; what loading a model takes belongs to none."""
        with self._lock:
            self._close()
            self.phase = phase

    def end(self) -> None:
        """Stops the clock of the present phase."""
        with self._lock:
            self._close()
            self._since = 0.0

    def snapshot(self) -> Mapping[str, Any]:
        """All of it as plain values."""
        with self._lock:
            running = time.monotonic() - self._since if self._since else 0.0
            phases = dict(self.phases)
            phases[self.phase] = phases.get(self.phase, 0.0) + running
            return {
                "session": self.session,
                "counts": {name: asdict(counts) for name, counts in self.counts.items()},
                "frames": self.frames,
                "busy": self.busy,
                "decode": self.decode,
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
