"""Cuts a film into ranges of frames: those that become samples, and the rest with its reasons.

Pure. Together the pieces are the whole film, each frame in exactly one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.media.probe import MediaInfo
from videoprep.media.scene_scan import DAMAGED, DIFFERENT, MISSING, SceneScores
from videoprep.scenes.options import SplitOptions
from videoprep.scenes.transitions import Transition

Reason = Literal[
    "dissolve",
    "fade",
    "transition",
    "short",
    "trimmed",
    "long",
    "remainder",
    "damaged",
    "other format",
    "one colour",
]
"""Why frames are in no range."""

REASONS: dict[Reason, str] = {
    "dissolve": "one scene dissolves into another",
    "fade": "the scene fades in or out",
    "transition": "one scene changes into another",
    "short": "the scene is shorter than the minimum",
    "trimmed": "trimmed off an end of the scene",
    "long": "the scene is longer than the maximum",
    "remainder": "what remains of a long scene is shorter than the minimum",
    "damaged": "frames are damaged or missing",
    "other format": "the size or another property differs from that of the first frame",
    "one colour": "the scene shows nothing but one colour",
}
"""What each reason means, in words."""

# Half levels of contrast up to which a picture is of one colour.
_ONE_COLOUR = 6

# Seconds within which two lengths are the same: times are rounded to ticks.
_SAME = 1e-3

_STATES: dict[int, Reason] = {DAMAGED: "damaged", MISSING: "damaged", DIFFERENT: "other format"}

# A difference from the middle between two frames that no rate of frames makes up for.
_PAST_MIDDLE = 1e-3

# What decimals lose as floats, in units of the last digit.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class FilmPiece:
    """Frames that follow each other."""

    first: int
    """Number of the first."""
    after: int
    """Number of the first frame after it."""
    reason: Reason | None = None
    """Why it is in no range; None: it is one."""


@dataclass(frozen=True, slots=True)
class FilmTimes:
    """When the frames of a film are shown, in seconds since the first."""

    starts: NDArray[np.float64]
    """Float64 ``[frames + 1]``: the start of each frame, and the end of the last."""
    late: float = 0.0
    """Seconds by which players show the first frame late; times in lists count from there."""

    @classmethod
    def of(cls, media: MediaInfo, late: float = 0.0) -> FilmTimes:
        """Return the times of a film; see `FilmTimes`."""
        return cls(np.append(media.timestamps.seconds(), media.seconds), late)

    def length(self, first: int, after: int) -> float:
        """Return how long frames are seen, in seconds."""
        return float(self.starts[after] - self.starts[first])

    def seen(self, first: int, after: int) -> tuple[str, str]:
        """Return when frames are seen, from when to when, for a reader."""
        start, end = (float(self.starts[frame]) + self.late for frame in (first, after))
        return _decimal(start), _decimal(end)

    def written(self, first: int, after: int) -> tuple[str, str]:
        """Return start and end as decimals that select exactly these frames.

        A range ends just past the middle between its last frame and the next one: with every rate
        that clips may be taken at, the last frame is then the nearest to the last time, and never
        the next one. For example, frames 24 to 47 of a film at 24 frames a second are written as
        ``1`` and ``1.98``, where frame 48 is shown at 2.
        """
        start = _decimal(float(self.starts[first]) + self.late)
        end = float(self.starts[after])
        if after == len(self.starts) - 1:
            return start, _decimal(end + self.late, up=True)
        middle = float(self.starts[after - 1] + end) / 2
        room = min(_PAST_MIDDLE, (end - middle) / 2)
        middle += self.late
        return start, _between(middle + room / 10, middle + room)


def _decimal(value: float, *, up: bool = False) -> str:
    """The value to a microsecond, or the next one above it."""
    micros = np.ceil(value * 1e6 - 1e-3) if up else np.rint(value * 1e6)
    return _short(int(micros))


def _between(low: float, high: float) -> str:
    """The shortest decimal between two values."""
    for digits in range(2, 10):
        scale = 10**digits
        units = int(np.ceil(low * scale))
        if units <= high * scale + _ROUNDING:
            return _short(units, digits)
    return repr(high)


def _short(units: int, digits: int = 6) -> str:
    whole, part = divmod(units, 10**digits)
    decimals = f"{part:0{digits}d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)


def cut_film(
    scores: SceneScores,
    transitions: Sequence[Transition],
    times: FilmTimes,
    options: SplitOptions,
) -> list[FilmPiece]:
    """Return the pieces of a film in order: ranges, and what is left with its reason."""
    count = len(scores.state)
    taken = _taken(scores, transitions)
    cuts = {0, count} | {one.first for one in transitions if one.kind == "cut"}
    pieces: list[FilmPiece] = []
    for first, after in pairwise(sorted(cuts | _edges(taken))):
        reason = taken[first]
        if reason:
            pieces.append(FilmPiece(first, after, _NAMES[reason]))
        elif _is_one_colour(scores, first, after):
            pieces.append(FilmPiece(first, after, "one colour"))
        else:
            pieces += _of_scene(first, after, times, options)
    return list(_joined(pieces))


_NAMES = dict(enumerate(REASONS, start=1))
_NUMBERS = {reason: number for number, reason in _NAMES.items()}


def _taken(scores: SceneScores, transitions: Sequence[Transition]) -> NDArray[np.uint8]:
    """Uint8 ``[frames]``: the number of the reason why a frame is in no scene, or 0."""
    taken = np.zeros(len(scores.state), dtype=np.uint8)
    for one in transitions:
        if one.kind != "cut":
            taken[one.first : one.after] = _NUMBERS[one.kind]
    for state, reason in _STATES.items():
        taken[scores.state == state] = _NUMBERS[reason]
    return taken


def _edges(taken: NDArray[np.uint8]) -> set[int]:
    return set((np.flatnonzero(np.diff(taken)) + 1).tolist())


def _is_one_colour(scores: SceneScores, first: int, after: int) -> bool:
    """Whether a scene shows nothing: a few frames with noise do not count."""
    empty = scores.contrast[first:after] <= _ONE_COLOUR
    return bool(np.count_nonzero(empty) >= 0.95 * (after - first))


def _of_scene(
    first: int, after: int, times: FilmTimes, options: SplitOptions
) -> Iterator[FilmPiece]:
    """The pieces of one scene: trimmed, then cut to length."""
    start, end = _trimmed(first, after, times, options.trim)
    length = times.length(start, end) if start < end else 0.0
    if length < options.min_length - _SAME or start >= end:
        yield FilmPiece(first, after, "short")
        return
    if first < start:
        yield FilmPiece(first, start, "trimmed")
    longest = options.max_length
    if longest is None or length <= longest + _SAME or options.long == "keep":
        yield FilmPiece(start, end)
    elif options.long == "drop":
        yield FilmPiece(start, end, "long")
    else:
        yield from _strides(start, end, times, longest, options.min_length)
    if end < after:
        yield FilmPiece(end, after, "trimmed")


def _trimmed(first: int, after: int, times: FilmTimes, trim: float) -> tuple[int, int]:
    if trim <= 0:
        return first, after
    low, high = float(times.starts[first]) + trim, float(times.starts[after]) - trim
    start = int(np.searchsorted(times.starts, low - _SAME / 2))
    end = int(np.searchsorted(times.starts, high + _SAME / 2, side="right")) - 1
    return max(first, start), min(after, end)


def _strides(
    start: int, end: int, times: FilmTimes, longest: float, shortest: float
) -> Iterator[FilmPiece]:
    """Ranges of the maximum length one after the other, and what remains."""
    while start < end:
        after = end
        if times.length(start, end) > longest + _SAME:
            until = float(times.starts[start]) + longest + _SAME
            after = int(np.searchsorted(times.starts, until, side="right")) - 1
            after = min(max(after, start + 1), end)
        enough = times.length(start, after) >= shortest - _SAME
        yield FilmPiece(start, after, None if enough else "remainder")
        start = after


def _joined(pieces: Sequence[FilmPiece]) -> Iterator[FilmPiece]:
    """The same with neighbours that are left out for one reason as one, if no scene lies between.

    Scenes that are too short stay apart.
    """
    last: FilmPiece | None = None
    for piece in pieces:
        alike = last is not None and piece.reason in ("dissolve", "fade", "damaged", "other format")
        if last is not None and alike and last.reason == piece.reason:
            last = FilmPiece(last.first, piece.after, piece.reason)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last
