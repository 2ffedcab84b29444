"""Pixels as a video file of a constant frame rate, of which readers get the same frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from videoprep.durable import Writer

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# No B-frames: presentation order is file order, and no edit list is needed to say so. No
# macroblock trees: with them x264 gives other bytes from run to run.
_LOSSY: dict[str, object] = {"crf": "10", "preset": "veryfast", "bf": "0", "mbtree": "0"}
_LOSSLESS: dict[str, object] = {"qp": "0", "preset": "ultrafast", "bf": "0"}

# Readers that ignore what a file says of its colours take it for BT.601; of those that do not,
# this file says the same.
_MATRIX = 6  # AVCOL_SPC_SMPTE170M

# Rates are kept as floats; what 30000/1001 was is found again exactly.
_MOST_DENOMINATOR = 100_000


def rate_of(fps: float) -> Fraction:
    """Frames a second as a fraction: what a video file says, and its reader gets back."""
    return Fraction(fps).limit_denominator(_MOST_DENOMINATOR)


def writing(pixels: NDArray[np.uint8], rate: Fraction, *, lossless: bool) -> Writer:
    """Writes an MP4 file of H.264, with a frame at each multiple of 1 / ``rate`` seconds.

    Args:
        pixels: uint8 ``[F, 3, H, W]`` RGB; even sides, but where ``lossless``.
        rate: frames a second.
        lossless: write RGB to the last bit; else YUV 4:2:0 that no eye tells from it.
    """
    height, width = pixels.shape[2:]
    frames = (picture.transpose(1, 2, 0) for picture in pixels)
    return writing_frames(frames, (height, width), rate, lossless=lossless)


def writing_frames(
    frames: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    rate: Fraction,
    *,
    lossless: bool = False,
) -> Writer:
    """The same of frames that come one at a time: uint8 ``[H, W, 3]``; ``size`` is (H, W)."""

    def write(file: BinaryIO) -> None:
        with av.open(file, "w", format="mp4") as container:
            codec = "libx264rgb" if lossless else "libx264"
            stream = cast("VideoStream", container.add_stream(codec, rate=rate))
            stream.height, stream.width = size
            stream.pix_fmt = "rgb24" if lossless else "yuv420p"
            stream.options = _LOSSLESS if lossless else _LOSSY
            # One thread a file: how many there are would change its bytes.
            stream.codec_context.thread_count = 1
            if not lossless:
                stream.codec_context.colorspace = _MATRIX
                stream.codec_context.color_range = ColorRange.MPEG
            for number, picture in enumerate(frames):
                frame = _frame(picture, lossless=lossless)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return write


def _frame(picture: NDArray[np.uint8], *, lossless: bool) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    if lossless:
        return frame
    return frame.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA,
        threads=1,
    )
