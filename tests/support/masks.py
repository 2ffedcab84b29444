"""Masks whose frames tell which they are: a white square that moves."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

Pictures = NDArray[np.uint8]
"""uint8 ``[F, H, W]``."""


def squares(frames: int, width: int, height: int, *, step: int = 6, side: int = 20) -> Pictures:
    """A white square on black, `step` pixels further to the right in each frame."""
    pictures = np.zeros((frames, height, width), np.uint8)
    for number in range(frames):
        left = number * step % (width - side)
        pictures[number, 5 : 5 + side, left : left + side] = 255
    return pictures


def write_mask(path: Path, pictures: Pictures, rate: int | Fraction) -> Path:
    """A video of exactly these values, in FFV1: grey ``[F, H, W]``, or RGBA ``[F, H, W, 4]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("ffv1", rate=rate))
        stream.height, stream.width = pictures.shape[1:3]
        grey = pictures.ndim == 3
        stream.pix_fmt = "bgr0" if grey else "bgra"
        for picture in pictures:
            colours = np.repeat(picture[..., None], 3, axis=2) if grey else picture
            frame = av.VideoFrame.from_ndarray(colours, format="rgb24" if grey else "rgba")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_still(path: Path, picture: NDArray[np.uint8]) -> Path:
    """A picture: ``[H, W]`` grey, or ``[H, W, 3 or 4]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def averaged(
    pictures: Pictures, groups: Sequence[Sequence[int]], side: int = 8
) -> NDArray[np.float64]:
    """What a latent mask is, by hand: ``[1, F', H', W']``, the mean of blocks and of frames."""
    values = pictures.astype(np.float64) / 255
    rows, columns = values.shape[1] // side, values.shape[2] // side
    made = np.zeros((1, len(groups), rows, columns))
    for place, group in enumerate(groups):
        for row in range(rows):
            for column in range(columns):
                block = values[
                    list(group),
                    row * side : (row + 1) * side,
                    column * side : (column + 1) * side,
                ]
                made[0, place, row, column] = block.mean()
    return made
