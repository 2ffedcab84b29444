"""SIGTERM and Ctrl-C: what is on the accelerator is finished, then the run ends cleanly."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Under torchrun one Ctrl-C comes twice: from the terminal, and from torchrun's agent.
_SAME_SECONDS = 1.0


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
