"""What ends a rank early: a signal, once work on the device is done; and a step that hangs."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Under torchrun one Ctrl-C comes twice: from the terminal, and from torchrun's agent.
_SAME_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_EXIT_CODE = 2


class Interruption:
    """Takes note of signals while a block runs. A second one ends the process at once.

    Attributes:
        signal: the first signal that came, or None.
    """

    def __init__(self, on_second: Callable[[int], None] | None = None) -> None:
        self.signal: int | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {}
        self._on_second = on_second or _exit_at_once

    def __enter__(self) -> Interruption:
        # Only the main thread may; elsewhere, as in some servers, signals are somebody else's.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def raise_if_requested(self) -> None:
        """Ends the run where a signal came.

        Raises:
            KeyboardInterrupt: it was SIGINT.
            SystemExit: it was SIGTERM, with 143.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
        elif "LOCAL_RANK" not in os.environ or now - self._since > _SAME_SECONDS:
            self._on_second(number)


def _exit_at_once(number: int) -> None:
    """Without unwinding: a store holds nothing that is half done, whenever its process ends."""
    sys.stderr.write("stopped at once; what is committed stays: run the same command to resume\n")
    sys.stderr.flush()
    os._exit(128 + number)


class Watchdog:
    """Watches over steps that have to end. Use it in a ``with`` block.

    Args:
        seconds: how long one step may take; 0: for ever.
        on_hang: called with the last word before the process ends; tells the other ranks.
    """

    def __init__(self, seconds: float, on_hang: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._on_hang = on_hang
        self._lock = threading.Lock()
        self._steps: dict[int, tuple[float, str]] = {}
        self._next = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """Watches over the block; ``what`` says in the last word what was being done."""
        with self._lock:
            self._next += 1
            number = self._next
            self._steps[number] = time.monotonic(), what
        try:
            yield
        finally:
            with self._lock:
                del self._steps[number]

    def _watch(self) -> None:
        while not self._closed.wait(min(_LOOK_SECONDS, self._seconds / 4)):
            now = time.monotonic()
            with self._lock:
                late = [w for since, w in self._steps.values() if now - since > self._seconds]
            if late:
                self._end(late[0])

    def _end(self, what: str) -> None:
        word = (
            f"{what} has not ended for {self._seconds:.0f} s: this process is ended; what is "
            "committed stays. Run the same command again; raise `watchdog` to allow more time"
        )
        sys.stderr.write(f"error: {word}\n")
        faulthandler.dump_traceback()
        sys.stderr.flush()
        # Telling the others may hang as well; it must not keep this process alive.
        teller = threading.Thread(target=self._on_hang, args=(word,), daemon=True)
        teller.start()
        teller.join(_LOOK_SECONDS)
        os._exit(_EXIT_CODE)
