"""Frames spread evenly over a video, as trainers do it with torch's `linspace`."""

from __future__ import annotations

import numpy as np


def spread_evenly(available: int, count: int) -> tuple[int, ...]:
    """Return so many frame numbers from the first to the last of those that there are.

    In single precision and from both ends to the middle, as `torch.linspace` does, then cut to
    whole numbers: of 9 frames 4 are 0, 2, 5 and 8.

    Args:
        available: frames that there are.
        count: how many are wanted; may be more.
    """
    if count < 2 or count == available:
        return tuple(range(count))
    last = np.float32(available - 1)
    step = last / np.float32(count - 1)
    numbers = np.arange(count)
    ahead = step * numbers.astype(np.float32)
    behind = last - step * (count - 1 - numbers).astype(np.float32)
    spread = np.where(numbers < count // 2, ahead, behind).astype(np.int64)
    return tuple(int(number) for number in spread)
