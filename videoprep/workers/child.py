"""A worker process's side: it answers lines with lines, and ends when its parent is gone.

It is started by `videoprep.workers.pool`, which watches over its time; its memory it limits
itself.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import av

from videoprep.workers.pool import STOPPING

MIB = 1 << 20

# Nothing is written but, by a library perhaps, to standard error.
_MOST_WRITTEN = 16 * MIB

# Where memory runs out, the kernel ends a worker rather than its parent: it costs one file.
_END_ME_FIRST = "500"


class Service:
    """The way from and to the parent. Made first of all, so that nothing else is on it."""

    def __init__(self) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)  # the parent's to handle
        # Kept for answers alone: libraries may print what they like.
        self._answers = os.fdopen(os.dup(1), "w", encoding="ascii")
        os.dup2(2, 1)
        av.logging.set_level(None)
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, _MOST_WRITTEN)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_END_ME_FIRST, encoding="ascii")
        self._requests: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def run(self, answer: Callable[[bytes], str]) -> NoReturn:
        """Says that this worker is ready; then gives an answer a request, without an end."""
        self._answers.write("{}\n")
        while True:
            self._answers.flush()
            self._answers.write(answer(self._requests.get()) + "\n")

    def tell(self, text: str) -> None:
        """Says something before the answer: one line."""
        self._answers.write(text + "\n")
        self._answers.flush()

    def _read(self) -> None:
        """Ends the process when the parent is gone, also in the middle of a file.

        Not by PR_SET_PDEATHSIG: it tells of the end of the thread that started this process.
        """
        with os.fdopen(os.dup(0), "rb") as lines:
            for line in lines:
                self._requests.put(line)
            os._exit(0)


def limit_memory(memory_mib: int) -> None:
    """Limits what is taken from now on.

    What this process takes by itself, which may grow from file to file, does not count.
    """
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, now + memory_mib * MIB)


def unlimit_memory() -> None:
    """Takes the limit back, for what this process takes by itself."""
    _lower(resource.RLIMIT_AS, resource.RLIM_INFINITY)


def _lower(kind: int, wanted: int) -> None:
    """Sets a limit, or keeps the one there is where it is tighter."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        wanted = hard if wanted == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (wanted, hard))
