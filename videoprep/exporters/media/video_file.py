"""Pixels as a video file of a constant frame rate, of which readers get the same frames.

Sound lies in it as FLAC. Unlike AAC it needs no edit list to say where it begins: readers that pass
over edit lists get the same samples, the first with the first frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from videoprep.fs.atomic import Writer
from videoprep.media.audio import Sound
from videoprep.media.audio_mix import mixed
from videoprep.media.x264 import set_repeatable

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

# No B-frames: presentation order is file order, and no edit list is needed to say so.
_LOSSY = {"preset": "veryfast", "bf": "0"}
_LOSSLESS = {"qp": "0", "preset": "ultrafast", "bf": "0"}

# Readers that ignore what a file says of its colours take it for BT.601; of those that do not,
# this file says the same.
_MATRIX = 6  # AVCOL_SPC_SMPTE170M

# Layouts that FLAC knows by their number of channels; others are mixed down.
_PLAIN_LAYOUTS = ("mono", "stereo")
_FLAC_LAYOUTS = ("3.0", "quad", "5.0", "5.0(side)", "5.1", "5.1(side)", "6.1", "7.1")

# Where an MP4 says that some of its sound is missing.
_STATE = "comment"


def writing(
    pixels: NDArray[np.uint8], rate: Fraction, *, lossless: bool, sound: Sound | None = None
) -> Writer:
    """Writes an MP4 file of H.264, with a frame at each multiple of 1 / ``rate`` seconds.

    Args:
        pixels: uint8 ``[F, 3, H, W]`` RGB; even sides, but where ``lossless``.
        rate: frames a second.
        lossless: write RGB to the last bit, and sound of 24 bits; else YUV 4:2:0 that no eye tells
            from it, and 16 bits.
        sound: that of the frames. Silence stands before sound that starts late, and the file says
            what is missing. A file of no sound has no audio stream.
    """
    height, width = pixels.shape[2:]
    frames = (picture.transpose(1, 2, 0) for picture in pixels)
    return writing_frames(frames, (height, width), rate, lossless=lossless, sound=sound)


def writing_picture(pixels: NDArray[np.uint8]) -> Writer:
    """Writes a PNG file of uint8 ``[1, 3, H, W]`` RGB."""

    def write(file: BinaryIO) -> None:
        from PIL import Image

        Image.fromarray(np.ascontiguousarray(pixels[0].transpose(1, 2, 0))).save(file, "PNG")

    return write


def writing_frames(
    frames: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    rate: Fraction,
    *,
    lossless: bool = False,
    sound: Sound | None = None,
    crf: int = 10,
) -> Writer:
    """The same of frames that come one at a time: uint8 ``[H, W, 3]``; ``size`` is (H, W).

    A higher ``crf`` gives a smaller file of lossy pictures.
    """

    def write(file: BinaryIO) -> None:
        with av.open(file, "w", format="mp4") as container:
            codec = "libx264rgb" if lossless else "libx264"
            stream = cast("VideoStream", container.add_stream(codec, rate=rate))
            stream.height, stream.width = size
            stream.pix_fmt = "rgb24" if lossless else "yuv420p"
            set_repeatable(stream, _LOSSLESS if lossless else {**_LOSSY, "crf": str(crf)})
            if not lossless:
                stream.codec_context.colorspace = _MATRIX
                stream.codec_context.color_range = ColorRange.MPEG
            if sound is not None and not sound.is_none:
                _add_sound(container, sound, lossless=lossless)
            for number, picture in enumerate(frames):
                frame = _frame(picture, lossless=lossless)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return write


def sound_in(path: Path) -> str:
    """Return what a file that was written here says of its sound, as `Sound.state` has it."""
    with av.open(os.fspath(path), options={"probesize": "32"}) as container:
        if not container.streams.audio:
            return "none"
        return str(container.metadata.get(_STATE, "complete"))


def _add_sound(container: OutputContainer, sound: Sound, *, lossless: bool) -> None:
    """Encodes all sound before the first frame is: the muxer puts the packets in order."""
    samples, layout, rate = sound.samples, sound.layout, sound.sample_rate
    if len(samples) > len(_PLAIN_LAYOUTS):
        to_stereo = 2 if layout not in _FLAC_LAYOUTS else None
        samples, layout = mixed(samples, layout, rate, to_stereo)
    else:
        layout = _PLAIN_LAYOUTS[len(samples) - 1]
    samples = np.pad(samples, ((0, 0), (sound.late, 0)))
    stream = container.add_stream("flac", rate=rate)
    stream.layout, stream.format = layout, "s32" if lossless else "s16"
    stream.codec_context.thread_count = 1
    if not sound.is_complete:
        container.metadata[_STATE] = sound.state
    values = np.ascontiguousarray(_integers(samples, lossless=lossless).T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(values, format=stream.format.name, layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _integers(samples: NDArray[np.float32], *, lossless: bool) -> NDArray[np.int32 | np.int16]:
    """16 bits, or 24 in the upper bits of 32. What is louder than full scale is clipped."""
    full = 1 << (23 if lossless else 15)
    scaled = np.clip(np.rint(samples.astype(np.float64) * full), -full, full - 1)
    return scaled.astype(np.int32) << 8 if lossless else scaled.astype(np.int16)


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
