"""Scores of frames as text in the fact cache, which a stranger may have written."""

from __future__ import annotations

import base64
import zlib
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_MOST_FRAMES = 50_000_000


def packed(array: NDArray[np.uint8]) -> str:
    """Return uint8 ``[frames]`` or ``[frames, columns]`` as text; `unpacked` reads it back."""
    # Column by column: what is much the same from frame to frame takes little room.
    columns = np.ascontiguousarray(array.reshape(len(array), -1).T)
    return base64.b64encode(zlib.compress(columns.tobytes(), 6)).decode()


def unpacked(text: object, frames: int, most_columns: int = 1) -> NDArray[np.uint8]:
    """Return the inverse of `packed`, uint8 ``[frames, columns]``.

    Args:
        text: what `packed` returned.
        frames: how many there are.
        most_columns: there may be so many columns, or fewer.

    Raises:
        ValueError: It is of another size, or something else.
    """
    if not isinstance(text, str):
        raise ValueError("scores that are no text")
    # One byte more would show, and a bomb is not unpacked.
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text), frames * most_columns + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    columns, rest = divmod(len(data), frames)
    if rest or not 0 < columns <= most_columns:
        raise ValueError("scores of another length")
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(columns, frames).T)


def kept(data: object, name: str, kind: type[T]) -> T:
    """Return a field of what was kept.

    Raises:
        ValueError: There is none, or it is of another type.
    """
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is no {kind.__name__}")
    return value


def frames_kept(data: object) -> int:
    """Return how many frames were kept.

    Raises:
        ValueError: There are none, or more than a film has.
    """
    frames = kept(data, "frames", int)
    if not 0 < frames <= _MOST_FRAMES:
        raise ValueError("scores of no frames")
    return frames
