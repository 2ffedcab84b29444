"""Videos whose frames show their own number, so that it can be read off the pixels."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.conftest import need

_BITS, _SIDE = 10, 16
WIDTH, HEIGHT = _BITS * _SIDE, 2 * _SIDE
_DARK, _BRIGHT = 40, 215
# Colour at the edges of the blocks, which shows how chroma is read.
_TINTED = np.array([_BRIGHT, _BRIGHT - 60, 110], dtype=np.uint8)

X264 = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"
X265 = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:pools=1:log-level=none"


def picture_of(number: int) -> NDArray[np.uint8]:
    """Ten blocks for ten binary digits, and below each its opposite."""
    digits = np.array([number >> bit & 1 for bit in reversed(range(_BITS))], dtype=bool)
    blocks = np.stack([digits, ~digits]).repeat(_SIDE, axis=0).repeat(_SIDE, axis=1)
    return np.where(blocks[..., None], _TINTED, np.uint8(_DARK)).astype(np.uint8)


def number_on(picture: NDArray[np.uint8]) -> int:
    """The number that a frame shows.

    Raises:
        ValueError: it shows none: it is damaged, or a mixture of several.
    """
    blocks = picture[..., 0].reshape(2, _SIDE, _BITS, _SIDE)[:, 4:-4, :, 4:-4]
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    middle = (_DARK + _BRIGHT) // 2
    above, below = low > middle + 40, high < middle - 40
    if not (above[0] ^ above[1]).all() or not (above ^ below).all():
        raise ValueError("no number can be read")
    return int("".join("1" if digit else "0" for digit in above[0]), 2)


def numbers_on(pictures: Iterable[NDArray[np.uint8]]) -> list[int]:
    return [number_on(picture) for picture in pictures]


def write_numbered(
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    open_gop: bool = False,
    pixel_format: str = "yuv420p",
    times: Sequence[int] | None = None,
) -> Path:
    """Writes frames 0, 1, …: a key frame every twelve, and three B-frames between others.

    Args:
        path: its ending chooses the container.
        frames: how many.
        codec: ``libx264`` or ``libx265``.
        open_gop: whether B-frames before a key frame refer to frames before it, too.
        pixel_format: FFmpeg's name.
        times: milliseconds at which each is shown; 25 a second by default.
    """
    name, given = ("x264-params", X264) if codec == "libx264" else ("x265-params", X265)
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        stream.options = {name: f"{given}:open-gop={int(open_gop)}", "crf": "8", "threads": "1"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture_of(number), format="rgb24")
            frame.pts = 40 * number if times is None else times[number]
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def trimmed(path: Path, seconds: float, target: Path) -> Path:
    """A copy that begins later, as people cut it: without encoding it anew.

    What begins between two key frames takes the earlier one along; MP4 hides by an edit list what
    was not asked for.
    """
    command = ["ffmpeg", "-v", "error", "-y", "-ss", str(seconds), "-i", str(path)]
    try:
        subprocess.run([*command, "-c", "copy", str(target)], check=True)
    except FileNotFoundError:
        need("ffmpeg")
    return target


def with_edits(path: Path, parts: Sequence[tuple[int, int]], target: Path) -> Path:
    """A copy of a numbered MP4 whose edit list shows other parts of it.

    Args:
        path: as `write_numbered` writes it.
        parts: for each the first frame and how many.
        target: the copy.
    """
    data = bytearray(path.read_bytes())
    moov, tkhd = data.index(b"moov") - 4, data.index(b"tkhd") - 4
    movie_scale = _number(data, data.index(b"mvhd") + 16)
    media_scale = _number(data, data.index(b"mdhd") + 16)
    old = data.index(b"edts") - 4
    (zero,) = struct.unpack_from(">i", data, old + 8 + 16 + 4)  # where frame 0 lies
    entries = b"".join(
        struct.pack(">Iihh", count * movie_scale // 25, zero + first * media_scale // 25, 1, 0)
        for first, count in parts
    )
    elst = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(parts)) + entries
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    more = len(edts) - _number(data, old)
    for box in (moov, data.index(b"trak") - 4):
        struct.pack_into(">I", data, box, _number(data, box) + more)
    for duration in (data.index(b"mvhd") + 20, tkhd + 28):
        total = sum(count for _, count in parts)
        struct.pack_into(">I", data, duration, total * movie_scale // 25)
    data[old : old + _number(data, old)] = edts
    target.write_bytes(data)
    return target


def _number(data: bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def without_start(path: Path, drop: int, target: Path) -> Path:
    """A copy without its first packets, as where a broadcast is joined."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= drop and packet.size:
                packet.stream = stream
                container.mux(packet)
    return target
