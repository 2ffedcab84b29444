"""Which clips are looked at, and which of their frames. Pure arithmetic."""

from __future__ import annotations

import numpy as np

from videoprep.index.bucket import BucketColumn


def spread(buckets: BucketColumn, count: int, seed: int) -> list[int]:
    """Numbers of clips, ascending: of each bucket as many, as far as it has them.

    Equal buckets and seeds give equal numbers.

    Args:
        buckets: the bucket of each clip.
        count: how many; fewer where there are fewer.
        seed: which.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for code in range(len(buckets.kinds)):
        there = np.flatnonzero(buckets.codes == code)
        some = generator.choice(len(there), min(count, len(there)), replace=False, shuffle=True)
        drawn.append(there[some].tolist())
    # First one of each bucket, then a second of each.
    turns = [numbers[turn] for turn in range(count) for numbers in drawn if turn < len(numbers)]
    return sorted(turns[:count])


def spread_frames(frames: int, count: int | None) -> list[int]:
    """Places of frames in a clip, the first and the last among them; None: all."""
    if count is None or count >= frames:
        return list(range(frames))
    return sorted({round(place) for place in np.linspace(0, frames - 1, count).tolist()})
