"""Pictures of known RGB, made YCbCr here with the matrices of the standards, and stored as such.

FFmpeg's own conversion takes no part, so that a test of it does not compare it with itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.support.assets import MATRICES as DISPLAY_MATRICES

Rgb = NDArray[np.uint8]
Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Matrix:
    """How YCbCr is made of RGB: the weights of red and blue in luma, and FFmpeg's number."""

    red: float
    blue: float
    number: int


BT709 = Matrix(0.2126, 0.0722, 1)
BT601 = Matrix(0.299, 0.114, 6)
MATRICES = {
    "bt709": BT709,
    "smpte170m": BT601,
    "bt470bg": Matrix(0.299, 0.114, 5),
    "bt2020nc": Matrix(0.2627, 0.0593, 9),
}
UNTAGGED_MATRIX, UNTAGGED_RANGE, LIMITED, FULL = 2, 0, 1, 2


@dataclass(frozen=True)
class Layout:
    """How pixels are stored.

    What is asked of decoders is a mean error of 2 levels at most for 8 bits, 3 for 10; they keep
    tighter bounds, which tell all the matrices apart.

    Attributes:
        pixel_format: FFmpeg's name.
        bits: of a sample.
        halved: whether there is one pair of chroma samples for four pixels.
        bound: by how many levels decoded pixels may be off in the mean.
    """

    pixel_format: str
    bits: int
    halved: bool
    bound: float


# Where chroma is halved, FFmpeg rounds down (a level or two darker), and edges of colours are soft.
LAYOUTS = {
    layout.pixel_format: layout
    for layout in (
        Layout("yuv444p", 8, False, 1.0),
        Layout("yuv444p10le", 10, False, 1.0),
        Layout("yuv420p", 8, True, 2.5),
        Layout("yuv420p10le", 10, True, 2.5),
    )
}


def cube(width: int = 96, height: int = 64, side: int = 4) -> Rgb:
    """Patches of colours from all over the RGB cube, its corners included."""
    levels = np.arange(0, 256, 51)
    colours = np.array(list(itertools.product(levels, repeat=3)), dtype=np.uint8)
    rows, columns = height // side, width // side
    chosen = np.arange(rows * columns) * 37 % len(colours)
    return colours[chosen].reshape(rows, columns, 3).repeat(side, axis=0).repeat(side, axis=1)


def waves(width: int = 192, height: int = 128) -> Rgb:
    """Colours that change slowly, so that little is lost where chroma is halved."""
    x, y = np.meshgrid(np.linspace(0, 2 * np.pi, width), np.linspace(0, 2 * np.pi, height))
    channels = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    return np.rint(127.5 + 100 * channels).astype(np.uint8)


def picture_for(layout: Layout) -> Rgb:
    return waves() if layout.halved else cube()


def planes_of(
    picture: Rgb, layout: Layout, matrix: Matrix, full: bool
) -> list[NDArray[np.uint8 | np.uint16]]:
    """Y, Cb and Cr as BT.601, BT.709 and BT.2020 define them."""
    red, green, blue = np.moveaxis(picture / 255.0, -1, 0)
    luma = matrix.red * red + (1 - matrix.red - matrix.blue) * green + matrix.blue * blue
    chroma = [
        (blue - luma) / (2 * (1 - matrix.blue)),
        (red - luma) / (2 * (1 - matrix.red)),
    ]
    if layout.halved:
        chroma = [_halved(plane) for plane in chroma]
    most, step = 2**layout.bits - 1, 2 ** (layout.bits - 8)
    luma_scale, chroma_scale, black = (
        (most, most, 0) if full else (219 * step, 224 * step, 16 * step)
    )
    planes = [luma * luma_scale + black, *(plane * chroma_scale + 128 * step for plane in chroma)]
    kind = np.uint8 if layout.bits == 8 else np.uint16
    return [np.clip(np.rint(plane), 0, most).astype(kind) for plane in planes]


def _halved(plane: Plane) -> Plane:
    """Samples lie where H.264 has them by default: in the left column, between two rows."""
    padded = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
    smooth = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (smooth[0::2, 0::2] + smooth[1::2, 0::2]) / 2


def write_colours(
    path: Path,
    picture: Rgb,
    layout: Layout,
    matrix: Matrix = BT709,
    *,
    full: bool = False,
    tags: tuple[int, int] | None = None,
    display: str = "upright",
) -> Path:
    """Writes two frames of a picture, without loss.

    Args:
        path: ``.mp4`` holds H.264, ``.mkv`` FFV1.
        picture: uint8 RGB ``[H, W, 3]``.
        layout: how it is stored.
        matrix: what YCbCr is made with.
        full: whether it takes the full range.
        tags: numbers of the matrix and range that the file names, instead of the true ones.
        display: a name in `tests.support.assets.MATRICES`.
    """
    colorspace, color_range = tags or (matrix.number, FULL if full else LIMITED)
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], layout.pixel_format)
    for target, plane in zip(frame.planes, planes_of(picture, layout, matrix, full), strict=True):
        padded = np.zeros((target.height, target.line_size // plane.itemsize), plane.dtype)
        padded[:, : plane.shape[1]] = plane
        target.update(padded.tobytes())
    frame.colorspace, frame.color_range = colorspace, color_range
    with av.open(str(path), "w") as container:
        codec = "libx264" if path.suffix == ".mp4" else "ffv1"
        stream = cast(VideoStream, container.add_stream(codec, rate=25))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = layout.pixel_format
        stream.options = {"qp": "0", "threads": "1"} if codec == "libx264" else {}
        stream.codec_context.colorspace = colorspace
        stream.codec_context.color_range = color_range
        a, b, c, d = (value << 16 for value in DISPLAY_MATRICES[display])
        if display != "upright":
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
