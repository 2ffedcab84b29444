"""Decoding chosen frames, upright, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError, SourceError
from videoprep.media.orientation import Orientation
from videoprep.media.still_image import DEFAULT_BACKGROUND, load_still, load_still_alpha
from videoprep.media.video_reader import FrameFormat, ReadFrame, VideoReader

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Picture = NDArray[np.uint8]
"""One upright frame: uint8 RGB ``[H, W, 3]``, full range."""

_RUNS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of a video, or a still image."""

    path: Path
    """The file."""
    stream: int
    """Index of the stream in the file."""
    indices: Sequence[int]
    """Frame numbers in the order of presentation, from 0. They do not decrease, and one that is
    repeated gives its frame again."""
    ticks: Sequence[int] | None
    """The presentation time of each, by which it is recognized; None if the file has no times, so
    that only counting is left."""
    time_base: Fraction | None
    """Seconds in a tick; None of a still image, which has one frame and no time."""
    background: str | None = None
    """The colour under transparent pixels of a still image, as ``#rrggbb``; None: the default."""

    @property
    def is_still(self) -> bool:
        """Whether the file is a still image."""
        return self.time_base is None

    @property
    def start(self) -> Fraction | None:
        """Seconds on the file's clock at which the first is shown; None if it has no times."""
        if self.ticks is None or self.time_base is None:
            return None
        return int(self.ticks[0]) * self.time_base

    def select(self, positions: Sequence[int]) -> FrameChoice:
        """Return the frames at some positions of this choice alone."""
        ticks = None if self.ticks is None else [self.ticks[at] for at in positions]
        return replace(self, indices=[self.indices[at] for at in positions], ticks=ticks)


@dataclass(frozen=True, slots=True)
class FrameDamage:
    """Frames of a choice that are not as they were encoded, as far as the decoder can tell."""

    frames: tuple[int, ...]
    """Their numbers in the video, from 0."""
    complaint: str
    """What the decoder says of the first."""

    def __str__(self) -> str:
        shown = list(islice(_runs(self.frames), _RUNS_SHOWN + 1))
        more = ", …" if len(shown) > _RUNS_SHOWN else ""
        several = "frames" if len(self.frames) > 1 else "frame"
        return (
            f"{len(self.frames)} damaged {several}: {', '.join(shown[:_RUNS_SHOWN])}{more} "
            f"(the decoder says: {self.complaint})"
        )


class FrameDecoder:
    """Decodes choices of frames. The last file stays open for the choice that comes next.

    Choices of one file cost least in the order of their frames: none is then decoded twice.
    """

    def __init__(self) -> None:
        self.damage: FrameDamage | None = None
        """What is damaged of the last choice, once all of its frames are taken."""
        self._reader: VideoReader | None = None
        self._open: tuple[Path, int] | None = None

    def close(self) -> None:
        """Close the file that is open, if one is: it may have changed."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._open = None

    def frames(self, choice: FrameChoice, *, alpha: bool = False) -> Iterator[Picture]:
        """Yield the chosen frames, and note what is damaged.

        Args:
            choice: which.
            alpha: whether to give the alpha channel as grey in the place of the colours.

        Raises:
            MediaError: with `Code.DECODE_FAILED` if a frame is missing or does not decode, with
                `Code.CHANGES_MIDWAY` if one differs from the first of the file in its format.
            SourceError: the file cannot be read.
        """
        self.damage = None
        try:
            if choice.is_still:
                yield from self._still(choice, alpha=alpha)
            else:
                yield from self._frames(choice, _to_alpha if alpha else _to_rgb)
        except BaseException as error:
            self.close()
            raise_meaning(choice.path, error)
            raise

    def _frames(
        self, choice: FrameChoice, convert: Callable[[VideoFrame, Orientation], Picture]
    ) -> Iterator[Picture]:
        reader = self._reader_of(choice)
        damaged: dict[int, str] = {}
        picture: Picture | None = None
        for place, number in enumerate(choice.indices):
            if picture is None or number != choice.indices[place - 1]:
                found = _found(reader, choice, place)
                form = found.format
                _require_format(reader, choice, number, form)
                picture = convert(found.frame, form.orientation)
                if found.damage is not None:
                    damaged[number] = found.damage
            yield picture
        if damaged:
            self.damage = FrameDamage(tuple(damaged), next(iter(damaged.values())))

    def _still(self, choice: FrameChoice, *, alpha: bool) -> Iterator[Picture]:
        self.close()
        background = choice.background or DEFAULT_BACKGROUND
        picture = load_still_alpha(choice.path) if alpha else load_still(choice.path, background)
        for _ in choice.indices:
            yield picture

    def _reader_of(self, choice: FrameChoice) -> VideoReader:
        if self._reader is None or self._open != (choice.path, choice.stream):
            self.close()
            self._reader = VideoReader(choice.path, choice.stream)
            self._open = choice.path, choice.stream
        return self._reader


def _found(reader: VideoReader, choice: FrameChoice, place: int) -> ReadFrame:
    number = choice.indices[place]
    if choice.ticks is None:
        found = reader.by_number(number)
    else:
        found = reader.at_time(choice.ticks[place])
    if found is None:
        raise decode_failed(choice.path, f"frame {number} is missing")
    return found


def _require_format(
    reader: VideoReader, choice: FrameChoice, number: int, found: FrameFormat
) -> None:
    """Refuse a frame that is of another kind than the first, which the plan was made for."""
    difference = found.difference(reader.first) if reader.first else None
    if difference is not None:
        raise MediaError(
            f"the video changes before or at frame {number}: {difference}",
            code=Code.CHANGES_MIDWAY,
            where=str(choice.path),
            remedy="cut the video where it changes, or choose a range before that",
        )


def _to_rgb(frame: VideoFrame, orientation: Orientation) -> Picture:
    # By default PyAV starts as many threads as there are cores, for each frame anew.
    picture = frame.to_ndarray(format="rgb24", threads=1)
    return orientation.apply(cast(Picture, picture))


def _to_alpha(frame: VideoFrame, orientation: Orientation) -> Picture:
    """The alpha channel as a grey picture: 255 where the frame is opaque.

    Raises:
        MediaError: it has none.
    """
    if frame.format.name != "pal8" and not any(one.is_alpha for one in frame.format.components):
        raise MediaError(
            f"has no alpha channel ({frame.format.name})",
            code=Code.DECODE_FAILED,
            remedy="read its brightness, with `mask_channel='luma'`, or make it anew with alpha",
        )
    picture = frame.to_ndarray(format="rgba", threads=1)[:, :, 3:].repeat(3, axis=2)
    return orientation.apply(cast(Picture, picture))


def raise_meaning(path: Path, error: BaseException) -> None:
    """Raise what an error of the decoder means for the clip; others pass."""
    if isinstance(error, OSError) and not isinstance(error, av.error.InvalidDataError):
        # the file system's fault and not the video's: it may pass
        raise SourceError(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            remedy="run the same command again; what is encoded so far is kept",
        ) from error
    if isinstance(error, av.error.FFmpegError | ValueError):
        raise decode_failed(path, f"does not decode: {error}") from error


def decode_failed(path: Path, what: str) -> MediaError:
    """Return the error for a file of which something does not decode."""
    return MediaError(
        what,
        code=Code.DECODE_FAILED,
        where=str(path),
        remedy="copy or download the file again, or re-encode it",
    )


def _runs(numbers: Sequence[int]) -> Iterator[str]:
    """Numbers that follow each other as ranges: ``12–49``."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            first, last = numbers[start], numbers[at - 1]
            yield str(first) if first == last else f"{first}–{last}"
            start = at
