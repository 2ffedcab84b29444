"""Which frames of a clip a captioner is shown: chosen by time, in the range that is trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.index.placement import LeftOut, frames_of_range
from videoprep.media.clip import ClipPixels
from videoprep.media.decode import FrameChoice
from videoprep.media.geometry import whole
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import nearest_frame
from videoprep.spec.extras import TimeZero
from videoprep.spec.sample import Extras

# A window this much longer than asked for is not cut once more, in windows: 60.1 s are one of 60 s.
_ROUNDED = 0.01


@dataclass(frozen=True, slots=True)
class FrameSampling:
    """How frames are chosen."""

    frames: int | None = 16
    """How many of each window, from its first frame to its last at even times; None: by rate."""
    fps: float | None = None
    """Frames a second, from the window's first frame on; None: by number."""
    max_frames: int = 128
    """By rate, a window has no more."""
    long_side: int = 448
    """The longer side of a frame in pixels is scaled down to this; it is never enlarged."""
    window: float | None = 60.0
    """Seconds; a longer clip is cut into several windows alike. None: never."""

    def to_json(self) -> dict[str, Any]:
        """Return what frames depend on, for the settings of a run."""
        most = {} if self.fps is None else {"max_frames": self.max_frames}
        chosen = {"frames": self.frames} if self.fps is None else {"fps": self.fps}
        return {**chosen, **most, "long_side": self.long_side, "window": self.window}


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """The part of a clip that is asked about at once."""

    indices: tuple[int, ...]
    """Numbers of the frames in the video, from 0."""
    ticks: tuple[int, ...]
    """The presentation time of each."""
    duration: float
    """Seconds that the part lasts."""


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """The frames of one clip that are shown, as they are planned."""

    fingerprint: str
    """Of the file."""
    stream: int
    time_base: Fraction | None
    timed: bool
    """Whether frames are recognized by their time; if not, they are counted."""
    source: tuple[int, int]
    """Width and height of the upright frames in the file."""
    size: tuple[int, int]
    """Width and height as they are shown, in square pixels."""
    first: int
    """The presentation time of the clip's first frame."""
    windows: tuple[FrameWindow, ...]

    def times(self, window: FrameWindow) -> tuple[float, ...]:
        """Return when a window's frames are shown, in seconds from the clip's first frame."""
        base = self.time_base or Fraction(0)  # a still image has no time
        return tuple(float((tick - self.first) * base) for tick in window.ticks)

    def pixels(self, path: Path) -> ClipPixels:
        """Return what is decoded: the frames of all windows, upright and not squashed."""
        indices = [index for window in self.windows for index in window.indices]
        ticks = [tick for window in self.windows for tick in window.ticks]
        return ClipPixels(
            FrameChoice(path, self.stream, indices, ticks if self.timed else None, self.time_base),
            self.fingerprint,
            *self.source,
            whole(*self.source),
            whole(*self.size),
            *self.size,
        )

    def to_text(self) -> str:
        """Return a compact form; `from_text` reads it back."""
        windows = [[one.indices, one.ticks, one.duration] for one in self.windows]
        base = None if self.time_base is None else str(self.time_base)
        fields = [self.fingerprint, self.stream, base, self.timed, self.source, self.size]
        return json.dumps([*fields, self.first, windows], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> ClipFrames:
        """Return the inverse of `to_text`."""
        fingerprint, stream, base, timed, source, size, first, windows = json.loads(text)
        return cls(
            fingerprint,
            stream,
            None if base is None else Fraction(base),
            timed,
            tuple(source),
            tuple(size),
            first,
            tuple(FrameWindow(tuple(i), tuple(t), seconds) for i, t, seconds in windows),
        )


def choose_frames(
    media: MediaInfo, extras: Extras, time_zero: TimeZero, rule: FrameSampling
) -> ClipFrames | LeftOut:
    """Choose the frames of a sample.

    Args:
        media: what is in its file.
        extras: what its row says; its range counts.
        time_zero: where times in seconds count from.
        rule: how they are chosen.
    """
    found = frames_of_range(media, extras, time_zero)
    if isinstance(found, LeftOut):
        return found
    times = media.timestamps
    seconds = times.seconds()
    windows = tuple(
        FrameWindow(
            tuple(chosen),
            tuple(int(times.ticks[index]) for index in chosen),
            _end(seconds, part.stop, media) - float(seconds[part.start]),
        )
        for part in _parts(seconds, found, rule.window, media)
        for chosen in [_chosen(seconds, part, rule)]
    )
    return ClipFrames(
        media.fingerprint,
        media.stream,
        media.time_base,
        times.timed,
        (media.width, media.height),
        _shown(media.shown_size, rule.long_side),
        int(times.ticks[found.start]),
        windows,
    )


def _shown(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    scale = min(Fraction(1), Fraction(long_side, max(size)))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _end(seconds: NDArray[np.float64], stop: int, media: MediaInfo) -> float:
    """When the frame before ``stop`` is over."""
    return float(seconds[stop]) if stop < len(seconds) else media.duration or 0.0


def _parts(
    seconds: NDArray[np.float64], frames: range, window: float | None, media: MediaInfo
) -> list[range]:
    """Cut a range of frames into windows that are about equally long in time."""
    start, end = float(seconds[frames.start]), _end(seconds, frames.stop, media)
    count = 1 if window is None else max(1, ceil((end - start) / window - _ROUNDED))
    if count == 1:
        return [frames]
    ideal = start + np.arange(1, count) * ((end - start) / count)
    cuts = [frames.start, *(nearest_frame(seconds, float(time)) for time in ideal), frames.stop]
    return [range(a, b) for a, b in pairwise(cuts) if a < b]


def _chosen(seconds: NDArray[np.float64], frames: range, rule: FrameSampling) -> Sequence[int]:
    """Return the frames of a window that are shown, each once, in order."""
    start, last = float(seconds[frames.start]), float(seconds[frames.stop - 1])
    count = rule.frames or 1
    if rule.fps is not None:
        count = int((last - start) * rule.fps + _ROUNDED) + 1
        if count <= rule.max_frames:
            last = start + (count - 1) / rule.fps
        count = min(count, rule.max_frames)
    ideal = np.linspace(start, last, min(count, len(frames)))
    if len(ideal) == 1 and rule.fps is None:
        ideal = np.array([(start + last) / 2])
    near = (nearest_frame(seconds, float(time)) for time in ideal)
    return list(dict.fromkeys(min(max(index, frames.start), frames.stop - 1) for index in near))
