"""Decoding chosen frames, upright, one at a time.

Both decoders go forward through the file and hand frames out as they come, so that memory does
not grow with the length of the video. One decoding thread a file: several give different pixels
for damaged frames from run to run.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.media.orientation import orientation_of
from videoprep.media.probe import open_file, time_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

logger = logging.getLogger(__name__)

DecoderName = Literal["torchcodec", "pyav"]
Picture = NDArray[np.uint8]
"""One upright frame: uint8 RGB ``[H, W, 3]``, full range."""


@cache
def torchcodec_missing() -> str | None:
    """Why torchcodec cannot be used, or None where it can."""
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        return str(error).strip().splitlines()[0]
    return None


def choose_decoder(asked: str = "auto") -> DecoderName:
    """Chooses torchcodec where it imports, else PyAV; or the one that is asked for.

    Raises:
        VideoprepError: torchcodec is asked for and does not import, or the name is unknown.
    """
    if asked == "auto":
        return "pyav" if torchcodec_missing() else "torchcodec"
    if asked == "torchcodec" and (reason := torchcodec_missing()):
        raise VideoprepError(
            f"torchcodec cannot be used: {reason}",
            remedy="install videoprep[torchcodec] and FFmpeg's libraries, or use --decoder pyav",
        )
    if asked not in ("torchcodec", "pyav"):
        raise VideoprepError(
            f"no decoder {asked!r}", remedy="choose one of: auto, torchcodec, pyav"
        )
    return asked  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of a file.

    Attributes:
        path: the video file.
        stream: index of the stream in the file.
        indices: frame numbers in the order of presentation, from 0; they do not decrease, and one
            that is repeated gives its frame again.
        ticks: the presentation time of each, by which it is recognised; None where the file has
            no times, so that only counting is left.
        time_base: seconds a tick.
        pyav_only: see `MediaInfo.pyav_only`.
    """

    path: Path
    stream: int
    indices: Sequence[int]
    ticks: Sequence[int] | None
    time_base: Fraction
    pyav_only: bool

    def first(self) -> FrameChoice:
        """The first frame alone."""
        ticks = None if self.ticks is None else self.ticks[:1]
        return replace(self, indices=self.indices[:1], ticks=ticks)

    def after(self, count: int) -> FrameChoice:
        """What is left once the first ``count`` frames are there."""
        ticks = None if self.ticks is None else self.ticks[count:]
        return replace(self, indices=self.indices[count:], ticks=ticks)


def decode_frames(choice: FrameChoice, decoder: DecoderName) -> Iterator[Picture]:
    """Yields the chosen frames.

    Where torchcodec fails, or gives a frame of another time than was asked for, PyAV takes over:
    both give the same pixels of an undamaged file, or torchcodec is not asked.

    Raises:
        MediaError: with `Code.DECODE_FAILED`, where a frame is missing or does not decode.
        SourceError: the file cannot be read.
    """
    done = 0
    if decoder == "torchcodec" and not choice.pyav_only:
        for picture in _decode_torchcodec(choice):
            done += 1
            yield picture
    try:
        if done < len(choice.indices):
            yield from _decode_pyav(choice.after(done))
    except OSError as error:  # the file system's fault and not the video's: it may pass
        raise SourceError(
            f"the video cannot be read: {error.strerror}",
            where=str(choice.path),
            remedy="run the same command again; what is encoded so far is kept",
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _failed(choice, f"does not decode: {error}") from error


def _decode_pyav(choice: FrameChoice) -> Iterator[Picture]:
    wanted = deque(choice.indices if choice.ticks is None else choice.ticks)
    with open_file(choice.path) as container:
        video = container.streams[choice.stream]
        video.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video)):
            at = number if choice.ticks is None else time_of(cast("VideoFrame", frame))
            if at == wanted[0]:
                picture = _to_rgb(cast("VideoFrame", frame))
                while wanted and wanted[0] == at:
                    wanted.popleft()
                    yield picture
            if not wanted:
                return
            if at is not None and at > wanted[0]:
                break
    missing = choice.indices[len(choice.indices) - len(wanted)]
    raise _failed(choice, f"frame {missing} is missing")


def _failed(choice: FrameChoice, what: str) -> MediaError:
    return MediaError(
        what,
        code=Code.DECODE_FAILED,
        where=str(choice.path),
        remedy="re-encode the file, for instance: ffmpeg -i IN -c:v libx264 OUT.mp4",
    )


def _to_rgb(frame: VideoFrame) -> Picture:
    # By default PyAV starts as many threads as there are cores, for each frame anew.
    picture = frame.to_ndarray(format="rgb24", threads=1)
    return orientation_of(frame).apply(cast(Picture, picture))


def _decode_torchcodec(choice: FrameChoice) -> Iterator[Picture]:
    """Yields frames as long as torchcodec gives those that were asked for."""
    from torchcodec.decoders import VideoDecoder

    try:
        decoder = VideoDecoder(
            os.fspath(choice.path.absolute()),
            stream_index=choice.stream,
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode="exact",
        )
        for number, index in enumerate(choice.indices):
            if not number or index != choice.indices[number - 1]:
                frame = decoder.get_frame_at(int(index))
                if not _is_asked_for(frame.pts_seconds, number, choice):
                    return
            yield frame.data.numpy()
    except (RuntimeError, ValueError, IndexError) as error:
        logger.debug("torchcodec gives %s up, PyAV goes on: %s", choice.path, error)


def _is_asked_for(seconds: float, number: int, choice: FrameChoice) -> bool:
    """Whether a frame is shown when the choice's frame of this number is."""
    if choice.ticks is None:
        return False
    tick = float(choice.time_base)
    return abs(seconds - float(choice.ticks[number]) * tick) < tick / 2
