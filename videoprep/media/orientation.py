"""How a file's picture has to be turned and mirrored to stand upright."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transpose first, then mirror left-right and up-down.

    A rotation alone cannot tell a mirrored picture from a turned one, so the whole display
    matrix is kept: all eight ways a picture can lie are told apart.
    """

    transpose: bool = False
    flip_horizontal: bool = False
    flip_vertical: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether no rotation alone gives this orientation."""
        return self.transpose ^ self.flip_horizontal ^ self.flip_vertical

    def __str__(self) -> str:
        parts = [
            field.name.replace("_", " ") for field in fields(self) if getattr(self, field.name)
        ]
        return " and ".join(parts) or "upright"

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turns an ``[H, W, C]`` picture upright."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.flip_horizontal:
            picture = picture[:, ::-1]
        if self.flip_vertical:
            picture = picture[::-1]
        return picture


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read how a decoded frame has to be turned.

    Raises:
        MediaError: the matrix turns by something else than a multiple of 90°.
    """
    return from_display_matrix(display_matrix(frame))


def display_matrix(frame: VideoFrame) -> bytes | None:
    """Return the display matrix that FFmpeg attaches to a decoded frame, if there is one."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    return None if side_data is None else bytes(cast(bytes, side_data))


def from_display_matrix(matrix: bytes | None) -> Orientation:
    """Read a frame's display matrix; None is upright.

    Raises:
        MediaError: the matrix turns by something else than a multiple of 90°.
    """
    return UPRIGHT if matrix is None else from_matrix(struct.unpack("=9i", matrix))


def from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Reads FFmpeg's nine 16.16 numbers ``a b u c d v x y w``: x' = a·x + c·y, y' = b·x + d·y.

    Raises:
        MediaError: the matrix turns by something else than a multiple of 90°.
    """
    a, b, _, c, d = matrix[:5]
    if a and d and not b and not c:
        return Orientation(False, a < 0, d < 0)
    if b and c and not a and not d:
        return Orientation(True, c < 0, b < 0)
    raise MediaError(
        "its display matrix turns the picture by something else than a multiple of 90°",
        code=Code.UNREADABLE,
        remedy="re-encode the file upright",
    )
