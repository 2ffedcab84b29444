"""When each frame is shown, and which frames stand for a given rate. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How far, in frames of the wanted rate, the end of a file may fall short of the last frame's end:
# rates written in decimals (29.97) are not quite those of the file (30000/1001).
_TOLERANCE = Fraction(1, 100)

# A rate whose intervals stray from the median by more than this share, and by more than the one
# tick that rounding to the time base costs, is called variable.
_VARIABLE_SHARE = 0.1

# With this share of intervals alike, the others are gaps in a constant rate.
_STEADY_SHARE = 0.9

USUAL_RATES = (
    *(Fraction(rate) for rate in (8, 10, 12, 15, 16, 24, 25, 30, 48, 50, 60, 100, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
)
"""Rates that cameras and encoders make, in frames a second."""


# Times are floats: a difference below a nanosecond is a tie, not a nearer frame.
_TIE = 1e-9

# Rates that differ by less are one: that of a file is measured, and 23.976 is written for
# 24000/1001.
_ALIKE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Timestamps:
    """Presentation times of the frames of one stream, in order.

    Attributes:
        ticks: int64 array ``[frames]``, in units of ``time_base``, strictly increasing.
        time_base: seconds a tick.
        timed: whether a decoder gives each frame its tick, so that it is recognized by it; if not,
            frames are counted. In a raw stream ``ticks`` only number them.
    """

    ticks: NDArray[np.int64]
    time_base: Fraction
    timed: bool = True

    def seconds(self) -> NDArray[np.float64]:
        """Float64 array ``[frames]``: seconds since the first frame. Not to be written to."""
        return _seconds(self)

    def average_rate(self) -> Fraction | None:
        """Frames a second, from the first frame to the last; None for a single frame."""
        if len(self.ticks) < 2:
            return None
        span = int(self.ticks[-1] - self.ticks[0])
        return Fraction(len(self.ticks) - 1, span) / self.time_base

    def is_variable(self) -> bool:
        """Whether the intervals between frames differ noticeably."""
        if len(self.ticks) < 3:
            return False
        intervals = np.diff(self.ticks)
        median = float(np.median(intervals))
        return bool(np.abs(intervals - median).max() > 1 + _VARIABLE_SHARE * median)

    def steady_intervals(self) -> NDArray[np.int64] | None:
        """Return the intervals of a constant rate that has gaps, without the gaps, in ticks.

        None if the rate is constant throughout, or is variable for more than a few intervals. For
        example, 24 frames a second that end in a gap of four frames, as cutting without decoding
        leaves it, are 24 frames a second and no 23.4.
        """
        if not self.is_variable():
            return None
        intervals = np.diff(self.ticks)
        median = float(np.median(intervals))
        steady = intervals[np.abs(intervals - median) <= 1 + _VARIABLE_SHARE * median]
        return steady if len(steady) >= _STEADY_SHARE * len(intervals) else None

    def to_json(self) -> dict[str, Any]:
        """A lossless form: first tick, span and count where the spacing is even."""
        base = {"time_base": str(self.time_base), "timed": self.timed}
        even = {"first": int(self.ticks[0]), "last": int(self.ticks[-1]), "count": len(self.ticks)}
        if np.array_equal(_evenly(**even), self.ticks):
            return {**base, **even}
        return {**base, "ticks": self.ticks.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Timestamps:
        """The inverse of `to_json`."""
        if "ticks" in data:
            ticks = np.asarray(data["ticks"], dtype=np.int64)
        else:
            ticks = _evenly(data["first"], data["last"], data["count"])
        return cls(ticks, Fraction(data["time_base"]), data["timed"])


@lru_cache(maxsize=16)  # a list may name thousands of parts of one long video
def _seconds(timestamps: Timestamps) -> NDArray[np.float64]:
    ticks = timestamps.ticks
    seconds: NDArray[np.float64] = (ticks - ticks[0]) * np.float64(timestamps.time_base)
    return seconds


def _evenly(first: int, last: int, count: int) -> NDArray[np.int64]:
    """`count` ticks from `first` to `last`, each rounded half up, in exact integers."""
    if count == 1:
        return np.array([first], dtype=np.int64)
    gaps = count - 1
    return first + (2 * np.arange(count, dtype=np.int64) * (last - first) + gaps) // (2 * gaps)


def usual_rate_within(rate: float) -> float:
    """Return the highest usual rate that is not above one; a whole number is usual enough.

    23.976 stays, and 23.4, the average of a variable rate, becomes 16.
    """
    whole = round(rate)
    if whole and abs(rate / whole - 1) < _ALIKE:
        return float(whole)
    within = [float(usual) for usual in USUAL_RATES if float(usual) <= rate * (1 + _ALIKE)]
    return max(within, default=float(int(rate)) or rate)


def frames_available(timestamps: Timestamps, source_rate: Fraction, rate: Fraction) -> int:
    """How many frames at ``rate`` the stream holds.

    Its duration counts the last frame's own time on screen, so at its own rate every frame
    counts.
    """
    count = len(timestamps.ticks)
    if rate == source_rate:
        return count
    span = int(timestamps.ticks[-1] - timestamps.ticks[0]) * timestamps.time_base
    return max(1, int((span + 1 / source_rate) * rate + _TOLERANCE))


def nearest_frame(seconds: NDArray[np.float64], time: float) -> int:
    """The index of the frame that is nearest in time, as in `nearest_frames`."""
    after = min(max(int(np.searchsorted(seconds, time)), 1), max(1, len(seconds) - 1))
    if len(seconds) == 1:
        return 0
    take_before = time - seconds[after - 1] <= seconds[after] - time + _TIE
    return after - 1 if take_before else after


def nearest_frames(
    seconds: NDArray[np.float64], rate: Fraction, count: int, start: float = 0.0
) -> NDArray[np.int32]:
    """For each ideal time ``start + i / rate`` the index of the frame that is nearest in time.

    Of two frames equally near the earlier one is taken.

    Args:
        seconds: float64 array ``[frames]``: when each frame is shown, from the first one on.
        rate: wanted frames a second.
        count: how many frames are wanted.
        start: seconds to the first.

    Returns:
        Int32 array ``[count]``.
    """
    ideal = start + np.arange(count, dtype=np.float64) * (rate.denominator / rate.numerator)
    return frames_at(seconds, ideal)


def frames_at(seconds: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the index of the frame that is nearest to each time, as `nearest_frames` does.

    Args:
        seconds: float64 array ``[frames]``: when each frame is shown.
        times: float64 array ``[count]``, in seconds on the same clock.

    Returns:
        Int32 array ``[count]``.
    """
    if len(seconds) == 1:
        return np.zeros(len(times), dtype=np.int32)
    after = np.clip(np.searchsorted(seconds, times), 1, len(seconds) - 1)
    before = after - 1
    take_before = times - seconds[before] <= seconds[after] - times + _TIE
    return np.where(take_before, before, after).astype(np.int32)
