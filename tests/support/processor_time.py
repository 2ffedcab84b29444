"""Processor time, to which other work on the machine adds: the least of several counts."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_seconds(run: Callable[[], object], counts: int = 3) -> float:
    """Return the least processor time that a call took, in seconds.

    Args:
        run: what is counted.
        counts: how often it is called.
    """
    return min(_seconds(run) for _ in range(counts))


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
