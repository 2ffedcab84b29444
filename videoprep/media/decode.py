"""Decoding chosen frames, upright, one at a time.

Both decoders go forward through the file and hand frames out as they come, so that memory does
not grow with the length of the video. One decoding thread a file: several give different pixels
for damaged frames from run to run.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError, VideoprepError
from videoprep.media.orientation import orientation_of
from videoprep.media.probe import OPEN_OPTIONS

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

DecoderName = Literal["torchcodec", "pyav"]
Picture = NDArray[np.uint8]
"""One upright frame: uint8 RGB ``[H, W, 3]``, full range."""

_TORCHCODEC_CHUNK = 16


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


def decode_frames(
    path: Path, stream: int, indices: Sequence[int], decoder: DecoderName, *, mirrored: bool
) -> Iterator[Picture]:
    """Yields the frames of one stream at ``indices``, which must not decrease.

    An index that is repeated gives its frame again.

    Args:
        path: the video file.
        stream: index of the stream in the file.
        indices: frame numbers in the order of presentation, from 0.
        decoder: which library decodes.
        mirrored: whether the file's display matrix mirrors; torchcodec takes a mirror for a
            rotation, so such a file goes to PyAV whichever decoder is chosen.

    Raises:
        MediaError: with `Code.DECODE_FAILED`, where a frame is missing or does not decode.
    """
    try:
        if decoder == "torchcodec" and not mirrored:
            yield from _decode_torchcodec(path, stream, indices)
        else:
            yield from _decode_pyav(path, stream, indices)
    except MediaError:
        raise
    except (av.error.FFmpegError, OSError, RuntimeError, ValueError, IndexError) as error:
        raise MediaError(
            f"does not decode: {error}", code=Code.DECODE_FAILED, where=str(path)
        ) from error


def _decode_pyav(path: Path, stream: int, indices: Sequence[int]) -> Iterator[Picture]:
    with av.open(os.fspath(path), options=OPEN_OPTIONS) as container:
        video = container.streams[stream]
        video.codec_context.thread_count = 1
        wanted = iter(indices)
        target = next(wanted, None)
        decoded = 0
        for number, frame in enumerate(container.decode(video)):
            decoded = number + 1
            if number != target:
                continue
            picture = _to_rgb(frame)  # type: ignore[arg-type]
            while target == number:
                yield picture
                target = next(wanted, None)
            if target is None:
                return
        if target is not None:
            raise MediaError(
                f"frame {target} is missing: only {decoded} frames decode",
                code=Code.DECODE_FAILED,
                where=str(path),
            )


def _to_rgb(frame: VideoFrame) -> Picture:
    return orientation_of(frame).apply(cast(Picture, frame.to_ndarray(format="rgb24")))


def _decode_torchcodec(path: Path, stream: int, indices: Sequence[int]) -> Iterator[Picture]:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(
        os.fspath(path),
        stream_index=stream,
        dimension_order="NHWC",
        num_ffmpeg_threads=1,
        seek_mode="exact",
    )
    for start in range(0, len(indices), _TORCHCODEC_CHUNK):
        chunk = [int(i) for i in indices[start : start + _TORCHCODEC_CHUNK]]
        yield from decoder.get_frames_at(indices=chunk).data.numpy()
