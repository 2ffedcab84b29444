"""Times of frames that a decoder does not tell, derived from what the container does. Pure.

An AVI numbers its chunks and says nothing else: each takes its place in the stream, whether it
holds a frame or is empty, which shows the frame before once more. In a program or transport stream
several frames may share one time stamp.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

Tick = int | None


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """When the frames of an AVI are shown.

    Attributes:
        ticks: for each frame a time in chunks; all that matters is how far they are apart.
        start: the chunk in whose place the first frame is shown.
        told: whether the decoder gives each frame its tick, so that it is recognized by it.
    """

    ticks: list[int]
    start: int
    told: bool


def times_of_chunks(
    presented: Sequence[Tick], decoded: Sequence[Tick], chunks: Sequence[Tick]
) -> ChunkTimes | None:
    """The times of the frames of an AVI, in the order in which they are shown.

    A decoder that reorders frames holds some back, and gives each when a later chunk comes in: that
    chunk's place is the frame's, and the whole is as much too late as the decoder holds back. With
    two frames held back and four chunks left out::

        chunks   0 1 2 3 8 9     the frames are shown at   2 3 8 9 + two that come at the end
                                 which is relative to the first   0 1 6 7 8 9

    The first frame is always in the first place, also where the picture starts late: it is taken to
    be shown from just before the second one, and what it only fills to come before the picture.

    Args:
        presented: the presentation time that the decoder gives each frame.
        decoded: the number of the chunk with which each frame came out; None: after the last.
        chunks: the numbers of the chunks that hold something.

    Returns:
        None where frames and chunks cannot be matched.
    """
    places = sorted({chunk for chunk in chunks if chunk is not None})
    if not presented or not places:
        return None
    gap = median_low([b - a for a, b in pairwise(places)] or [1])
    held = next((n for n, tick in enumerate(reversed(decoded)) if tick is not None), None)
    if held is None:
        return None
    # Frames and chunks differ in number where a chunk says that nothing changes, or a stream
    # starts between two key frames: then only the decoder knows which chunk was whose.
    matched = len(presented) == len(places) == len(chunks)
    known = places[held:] if matched else [tick for tick in decoded if tick is not None]
    last = known[-1]
    ticks = [*known, *(last + gap * (n + 1) for n in range(held))]
    if len(ticks) != len(presented) or not _ascending(ticks):
        return None
    if len(ticks) > 1:
        ticks[0] = max(ticks[0], ticks[1] - gap)
    start = max(0, ticks[0] - held * gap)
    told = [tick for tick in presented if tick is not None]
    if len(told) == len(ticks) and len({a - b for a, b in zip(told, ticks, strict=True)}) == 1:
        return ChunkTimes(told, start, told=True)
    return ChunkTimes([tick - ticks[0] + start for tick in ticks], start, told=False)


def evenly_timed(
    presented: Sequence[Tick], time_base: Fraction, rates: Sequence[Fraction]
) -> list[int] | None:
    """The ticks of frames of which only some have a time, if those lie on an even grid.

    A time stamp belongs to the first frame that begins after it, and is now and then taken for the
    one before, too: what two frames share is not believed. Two times make a grid only at a rate
    that the stream has; three make one of their own.

    Args:
        presented: the presentation time of each frame, in the order in which they are shown.
        time_base: seconds a tick.
        rates: frames a second that the stream may have; what it says in several places.

    Returns:
        None where the times that there are lie on no such grid.
    """
    times = Counter(presented)
    known = [(n, tick) for n, tick in enumerate(presented) if tick is not None and times[tick] == 1]
    if len(known) < 2:
        return None
    steps = [1 / (rate * time_base) for rate in rates]
    (number, tick), (last, end) = known[0], known[-1]
    if len(known) > 2:
        steps.insert(0, Fraction(end - tick, last - number))
    for step in steps:
        first = tick - number * step
        # Each time is rounded to a whole tick, the first one, too.
        if step > 1 and all(abs(first + n * step - at) <= 1 for n, at in known):
            return [round(first + n * step) for n in range(len(presented))]
    return None


def spread_doubled(presented: Sequence[Tick]) -> list[int] | None:
    """The ticks of frames of which some share theirs because a time was taken for another's.

    A time stamp that is taken for the frame before makes that one late by a frame, and all that are
    counted on from it, until the next stamp puts it right: a gap of two frames, and two frames at
    one time. A stamp that is taken for a later frame makes times go back, and then leap. What lies
    between is spread evenly::

        0 1 2 4 5 6 6 7     →   0 1 2 3 4 5 6 7
        0 1 2 1 2 3 6 7 8   →   0 1 2 3 4 5 6 7 8

    Returns:
        None where a frame has no time, or where times repeat or go back without such a gap.
    """
    told = [tick for tick in presented if tick is not None]
    if len(told) < max(2, len(presented)):
        return None
    gaps = [b - a for a, b in pairwise(told)]
    step = median_low(gaps)
    slack = min(1, step // 4)  # times are rounded to ticks
    ticks = list(told)
    uneven = [number for number, gap in enumerate(gaps) if abs(gap - step) > slack]
    done = 0
    for place, number in enumerate(uneven):
        if gaps[number] > 0 or place < done:
            continue
        beside = uneven[max(done, place - 1) : place] + uneven[place + 1 : place + 2]
        matching = (n for n in beside if abs(gaps[n] + gaps[number] - 2 * step) <= slack)
        match = next(matching, None)
        if match is None:
            return None
        before, last = sorted((match, number))
        done = uneven.index(last) + 1
        start, count = told[before], last + 1 - before
        span = told[last + 1] - start
        for n in range(1, count):
            ticks[before + n] = start + round(Fraction(n * span, count))
    return ticks if _ascending(ticks) else None


def _ascending(ticks: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(ticks))
