"""What tells where scenes change: a few numbers for each frame, found out by decoding once.

Nothing is decided here. Thresholds are for `videoprep.scenes`, so that another one decodes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from videoprep.media.packed_scores import frames_kept, kept, packed, unpacked
from videoprep.media.probe import MediaInfo, probe_contents
from videoprep.media.refusals import no_film
from videoprep.media.video_reader import FrameFormat, ReadFrame, VideoReader

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SPANS = (2, 4, 6, 8, 11, 15, 20)
"""Steps to either side over which pictures are compared, to find what changes slowly. A step is a
frame, or several at high rates; see `SceneScores.step`."""

# Frames a second that a step comes close to: dissolves take as long at high rates.
_STEPS_A_SECOND = 30
_LONGEST_STEP = 100

INTACT, DAMAGED, MISSING, DIFFERENT = range(4)
"""What `SceneScores.state` says of a frame: whole, damaged, not decoded, of another format than the
first."""

_WIDTH, _HEIGHT = 64, 36
_WINDOW = cv2.createHanningWindow((_WIDTH, _HEIGHT), cv2.CV_32F)

# Structure that is larger than this many pixels of a small picture is light, not detail.
_LIGHT = 5.0

# What is smaller than this is grain, or what the codec made of it.
_GRAIN = 0.8

# A picture that differs from the one before by more than this may follow a cut, or be lit by a
# flash.
_UNLIKE = 0.5

# Steps after such a picture that are compared with the one before it.
FLASH_STEPS = 8

# Of two pictures that are shifted against each other, the share that has to be seen in both.
_OVERLAP = 0.35

TELLS_EVERY = 250
"""Frames after which it is said how far decoding is."""

_WASH = (8, 5)

# Pictures are alike if they differ by less than this share of what unlike ones do, squared.
_ALIKE = 0.25

# Of a histogram: bins a colour.
_BINS = 8

# Levels of detail that may be noise.
_QUIET = 1.5

Small = NDArray[np.float32]

OnDecoded = Callable[[int], None]
"""Called with how many frames are decoded."""


@dataclass(frozen=True, slots=True)
class SceneScores:
    """Numbers for each frame of a video, in the order of its time stamps.

    Arrays are uint8 ``[frames]`` unless stated otherwise. What compares a frame with the one before
    is 0 for the first.
    """

    state: NDArray[np.uint8]
    """`INTACT`, `DAMAGED`, `MISSING` or `DIFFERENT`."""
    brightness: NDArray[np.uint8]
    """Mean luma, 0 (black) to 255."""
    contrast: NDArray[np.uint8]
    """Standard deviation of the luma, in half levels."""
    detail: NDArray[np.uint8]
    """Standard deviation of the luma without what is larger than a tenth of the picture, in quarter
    levels."""
    change: NDArray[np.uint8]
    """Mean difference of the colours from those of the frame before, in half levels."""
    residue: NDArray[np.uint8]
    """The same of the luma once the camera's motion is compensated for, in quarter levels."""
    unlike: NDArray[np.uint8]
    """How little of its detail is that of the frame before, motion compensated for: 0 to 255."""
    palette: NDArray[np.uint8]
    """How much its colours are others than those of the frame before, wherever they are: 0 to
    255."""
    apart: NDArray[np.uint8]
    """The least `difference` of the frame before from one of those of the next `FLASH_STEPS`, times
    100; 255 for a frame that is like the one before."""
    lasts: NDArray[np.uint16]
    """Uint16 ``[frames]``: frames from this one to that one."""
    span: NDArray[np.uint8]
    """``[frames, spans]``: mean square difference, as a root, of the details as many steps before
    and after, in quarter levels."""
    blend: NDArray[np.uint8]
    """``[frames, spans]``: how far the frame is from the mean of these two, relative to their
    difference: 0 (it is their mean) to 255 (as far as they are apart, or these are alike)."""
    wash_span: NDArray[np.uint8]
    """As ``span``, of the colours of large areas, in half levels."""
    wash_blend: NDArray[np.uint8]
    """As ``blend``, of the colours of large areas."""
    step: int
    """Frames in a step: spans and flashes are counted in these."""
    complaint: str | None
    """What the decoder says of the first damaged frame, or of what cannot be read."""
    differs: str | None
    """How the first frame of another format differs, if one does."""

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        arrays = {name: _packed(name, getattr(self, name)) for name in _ARRAYS}
        rest = {name: getattr(self, name) for name in ("step", "complaint", "differs")}
        return {"frames": len(self.state), "spans": list(SPANS), **rest, **arrays}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SceneScores:
        """Return the inverse of `to_json`.

        Raises:
            ValueError: the data are of other spans, or not what they should be.
        """
        frames, step = frames_kept(data), kept(data, "step", int)
        if data.get("spans") != list(SPANS) or not 0 < step <= _LONGEST_STEP:
            raise ValueError("scores of another version")
        arrays: dict[str, Any] = {name: _unpacked(data, name, frames) for name in _ARRAYS}
        said: dict[str, Any] = {
            name: None if data.get(name) is None else kept(data, name, str)
            for name in ("complaint", "differs")
        }
        return cls(**arrays, step=step, **said)


_LONG = ("lasts",)
_WIDE = ("span", "blend", "wash_span", "wash_blend")
_ARRAYS = tuple(
    field.name
    for field in fields(SceneScores)
    if field.name not in ("step", "complaint", "differs")
)


def _packed(name: str, array: NDArray[Any]) -> str:
    if name not in _LONG:
        return packed(array)
    both = array.astype("<u2").view(np.uint8).reshape(len(array), 2)
    # Hardly any film needs the high bytes, and earlier versions have not written them.
    return packed(both if both[:, 1].any() else both[:, 0])


def _unpacked(data: dict[str, Any], name: str, frames: int) -> NDArray[Any]:
    columns = len(SPANS) if name in _WIDE else 1
    array = unpacked(data.get(name), frames, 2 if name in _LONG else columns)
    if name in _LONG:
        both = np.zeros((frames, 2), np.uint8)
        both[:, : array.shape[1]] = array
        return both.view("<u2")[:, 0].astype(np.uint16)
    if array.shape[1] != columns:
        raise ValueError("scores of another length")
    return array if columns > 1 else array[:, 0]


def scan_scenes(
    path: Path, fingerprint: str | None = None, on_decoded: OnDecoded | None = None
) -> SceneScores:
    """Decode every frame of the best video stream, one at a time, and compare it with others.

    Args:
        path: the file.
        fingerprint: that of its contents, if it is known.
        on_decoded: called with how many frames are decoded, at first and after every 250.

    Raises:
        MediaError: the file holds no video.
    """
    info = probe_contents(path, fingerprint)
    if info.is_still:
        raise no_film(path)
    step = min(_LONGEST_STEP, max(1, round(info.rate / _STEPS_A_SECOND)))
    places, gauge = FramePlaces(info), _SceneGauge(info.frames, step)
    with VideoReader(path, info.stream) as reader:
        first = reader.first
        ended: list[str] = []
        try:
            for number, frame in enumerate(reader.all_frames()):
                if on_decoded is not None and number % TELLS_EVERY == 0:
                    on_decoded(number)
                place = places.of(frame)
                if place is not None:
                    gauge.add(place, frame, first)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:  # what follows cannot be read
            ended.append(str(error.strerror))
        for complaint in (*reader.complaints, *ended):
            gauge.complain(complaint)
    return gauge.result()


class FramePlaces:
    """Finds the number of a frame among the time stamps, which are what plans go by."""

    def __init__(self, info: MediaInfo) -> None:
        self._ticks = info.timestamps.ticks
        self._timed = info.timestamps.timed
        self._next = 0

    def of(self, frame: ReadFrame) -> int | None:
        """Return the number of a frame, more than that of the last; None if it has none."""
        place = frame.number
        if self._timed:
            if frame.tick is None:
                return None
            place = int(np.searchsorted(self._ticks, frame.tick))
            if place == len(self._ticks) or self._ticks[place] != frame.tick:
                return None  # it has the time of another, and is never shown
        if not self._next <= place < len(self._ticks):
            return None
        self._next = place + 1
        return place


class _SceneGauge:
    """Compares one frame after the other; keeps the last few only."""

    def __init__(self, frames: int, step: int) -> None:
        self._step = step
        self._added = 0
        self._sampled = np.zeros(frames, dtype=bool)
        self._scaler = VideoReformatter()  # one for all frames: making one takes long
        plain = [name for name in _ARRAYS if name not in (*_WIDE, *_LONG)]
        self._of: dict[str, NDArray[Any]] = {name: np.zeros(frames, np.uint8) for name in plain}
        self._of |= {name: np.zeros(frames, np.uint16) for name in _LONG}
        self._of |= {name: np.zeros((frames, len(SPANS)), np.uint8) for name in _WIDE}
        self._of["state"][:], self._of["apart"][:] = MISSING, 255
        self._complaint: str | None = None
        self._differs: str | None = None
        self._before: _Picture | None = None
        self._recent: deque[tuple[int, _Picture]] = deque(maxlen=2 * SPANS[-1] + 1)
        self._watched: deque[tuple[int, _Picture]] = deque()

    def complain(self, complaint: str) -> None:
        """Note what the decoder says; the first is kept."""
        self._complaint = self._complaint or complaint

    def add(self, place: int, frame: ReadFrame, first: FrameFormat | None) -> None:
        """Take the next frame."""
        self._of["state"][place] = self._state(frame, first)
        picture = _picture(self._scaler, frame.frame)
        self._put("brightness", place, float(picture.luma.mean()))
        self._put("contrast", place, 2 * float(picture.luma.std()))
        self._put("detail", place, 4 * picture.deviation)
        if self._before is not None:
            self._compare(place, self._before, picture)
        self._before = picture
        if self._added % self._step == 0:
            self._sampled[place] = True
            self._recent.append((place, picture))
            self._look_around()
        self._added += 1

    def result(self) -> SceneScores:
        """Return what was found out. Frames between two steps have the numbers of the first."""
        numbers = np.arange(len(self._sampled))
        from_step = np.maximum.accumulate(np.where(self._sampled, numbers, 0))
        for name in _WIDE:
            self._of[name] = self._of[name][from_step]
        arrays: dict[str, Any] = self._of
        return SceneScores(
            **arrays, step=self._step, complaint=self._complaint, differs=self._differs
        )

    def _state(self, frame: ReadFrame, first: FrameFormat | None) -> int:
        difference = frame.format.difference(first) if first else None
        if difference is not None:
            self._differs = self._differs or difference
            return DIFFERENT
        if frame.damage is None:
            return INTACT
        self.complain(frame.damage)
        return DAMAGED

    def _put(self, name: str, place: int, value: float) -> None:
        self._of[name][place] = min(255, max(0, round(value)))

    def _compare(self, place: int, before: _Picture, now: _Picture) -> None:
        found = _compared(before, now)
        self._put("unlike", place, found.unlike)
        self._put("residue", place, found.residue)
        self._put("palette", place, found.palette)
        self._put("change", place, 2 * float(cv2.absdiff(before.colours, now.colours).mean()))
        while self._watched and place - self._watched[0][0] >= FLASH_STEPS * self._step:
            self._watched.popleft()
        for start, old in self._watched:
            apart = min(255, round(100 * _compared(old, now).difference))
            if apart < self._of["apart"][start]:
                self._of["apart"][start], self._of["lasts"][start] = apart, place - start
        if found.difference > _UNLIKE:
            self._watched.append((place, before))

    def _look_around(self) -> None:
        """Compare the newest frame with one before, for all the frames that are half-way."""
        recent = self._recent
        after = recent[-1][1]
        for column, span in enumerate(SPANS):
            if 2 * span >= len(recent):
                return
            place, middle = recent[-1 - span]
            before = recent[-1 - 2 * span][1]
            apart, blend = _between(before.detail, middle.detail, after.detail)
            if apart * apart < _ALIKE * (before.deviation**2 + after.deviation**2):
                blend = 1.0  # most pairs are alike: what is not looked at is packed small
            self._of["span"][place, column] = min(255, round(4 * apart))
            self._of["blend"][place, column] = min(255, round(255 * blend))
            apart, blend = _between(before.wash, middle.wash, after.wash)
            self._of["wash_span"][place, column] = min(255, round(2 * apart))
            self._of["wash_blend"][place, column] = min(255, round(255 * blend))


def _between(before: Small, middle: Small, after: Small) -> tuple[float, float]:
    """How far two pictures are apart, and how far the one in the middle is from their mean."""
    apart = _size(after - before)
    if apart < _QUIET:
        return apart, 1.0
    mean = cast(Small, (before + after) / 2)
    return apart, _size(middle - mean) / apart


T = TypeVar("T", float, NDArray[np.float64])


def difference(unlike: T, residue: T, palette: T) -> T:
    """Return how different two pictures are: 0 to 2.6, above 1 hardly ever within a scene.

    Args:
        unlike: as in `SceneScores`.
        residue: likewise; fifteen levels count for a half.
        palette: likewise.
    """
    return unlike / 255 + 0.8 * (residue / (residue + 60)) + 0.8 * (palette / 255)


class _Compared(NamedTuple):
    """Two pictures, as in `SceneScores`."""

    unlike: float
    residue: float
    palette: float

    @property
    def difference(self) -> float:
        return difference(*self)


def _compared(before: _Picture, now: _Picture) -> _Compared:
    likeness, residue = _likeness(before, now)
    distance = cv2.compareHist(before.palette, now.palette, cv2.HISTCMP_BHATTACHARYYA)
    return _Compared(255 * (1 - likeness), 4 * residue, 255 * float(distance))


@dataclass(frozen=True, slots=True)
class _Picture:
    """A small picture, and what is compared of it."""

    luma: Small
    """``[_HEIGHT, _WIDTH]``."""
    colours: NDArray[np.uint8]
    """RGB ``[_HEIGHT, _WIDTH, 3]``."""
    detail: Small
    """The luma without what is large."""
    deviation: float
    """Of the detail, in levels."""
    palette: Small
    """Histogram of the colours."""
    wash: Small
    """The colours of large areas, RGB ``[5, 8, 3]``."""


def _picture(scaler: VideoReformatter, frame: VideoFrame) -> _Picture:
    reduced = scaler.reformat(frame, _WIDTH, _HEIGHT, "rgb24", interpolation="AREA")
    colours = cast("NDArray[np.uint8]", reduced.to_ndarray())
    luma = cast(Small, cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY).astype(np.float32))
    detail = cv2.GaussianBlur(luma, (0, 0), _GRAIN) - cv2.GaussianBlur(luma, (0, 0), _LIGHT)
    palette = cast(Small, cv2.calcHist([colours], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3))
    wash = cv2.resize(colours, _WASH, interpolation=cv2.INTER_AREA).astype(np.float32)
    return _Picture(luma, colours, detail, float(detail.std()), palette, wash)


def _size(difference: Small) -> float:
    return float(np.sqrt(np.dot(difference.ravel(), difference.ravel()) / difference.size))


def _likeness(before: _Picture, now: _Picture) -> tuple[float, float]:
    """How much of the detail of two pictures is the same, 0 to 1, and what of the luma is not.

    The camera may have moved meanwhile: the best of a few shifts counts.
    """
    best, residue = -1.0, 255.0
    for across, down in _shifts(before.detail, now.detail):
        old, new = _overlap(before, across, down), _part(now, across, down)
        likeness = _correlation(old[0], new[0])
        if likeness > best:
            best = likeness
            residue = float(cv2.absdiff(old[1], new[1]).mean())
    return max(0.0, best), residue


def _correlation(a: Small, b: Small) -> float:
    """Noise is not detail: where there is little else, pictures are alike."""
    noise = _QUIET * _QUIET * a.size
    norm = (float(np.vdot(a, a)) + noise) * (float(np.vdot(b, b)) + noise)
    return (float(np.vdot(a, b)) + noise) / float(np.sqrt(norm))


def _shifts(before: Small, now: Small) -> list[tuple[float, float]]:
    """None at all, and what phase correlation finds; it cannot tell a shift from its opposite."""
    # OpenCV 5 puts the window onto what it is given.
    (x, y), _ = cv2.phaseCorrelate(before.copy(), now.copy(), _WINDOW)
    found = [(0.0, 0.0)]
    if abs(y) > _HEIGHT / 2:
        return found
    if abs(x) <= (1 - _OVERLAP) * _WIDTH:
        found.append((x, y))
    other = x - _WIDTH if x > 0 else x + _WIDTH
    if abs(other) <= (1 - _OVERLAP) * _WIDTH:
        found.append((other, y))
    return found


def _part(picture: _Picture, across: float, down: float) -> tuple[Small, Small]:
    """What of a picture was seen before the camera moved: its detail and its luma."""
    seen = _seen(across, down)
    return picture.detail[seen], picture.luma[seen]


def _overlap(picture: _Picture, across: float, down: float) -> tuple[Small, Small]:
    """The same part of the picture before, moved to where it is now."""
    if across == down == 0:
        return picture.detail, picture.luma
    matrix = np.array([[1, 0, across], [0, 1, down]], dtype=np.float32)
    moved = (
        cast(Small, cv2.warpAffine(one, matrix, (_WIDTH, _HEIGHT), borderMode=cv2.BORDER_REPLICATE))
        for one in (picture.detail, picture.luma)
    )
    seen = _seen(across, down)
    detail, luma = (one[seen] for one in moved)
    return detail, luma


def _seen(across: float, down: float) -> tuple[slice, slice]:
    """The part of a picture that was seen before the camera moved."""
    x, y = ceil(abs(across)), ceil(abs(down))
    rows = slice(y, None) if down > 0 else slice(0, _HEIGHT - y)
    return rows, slice(x, None) if across > 0 else slice(0, _WIDTH - x)
