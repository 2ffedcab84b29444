"""How a picture of one size becomes a picture of another. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture, in whole pixels, from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


def whole(width: int, height: int) -> Box:
    """The box that is the whole picture."""
    return Box(0, 0, width, height)


def center_box(width: int, height: int, to_width: int, to_height: int) -> Box:
    """The largest centred box with the aspect ratio of ``to_width`` × ``to_height``.

    Rounding to whole pixels strays from that ratio by less than one pixel.
    """
    box_width = min(width, max(1, round(height * to_width / to_height)))
    box_height = min(height, max(1, round(width * to_height / to_width)))
    return Box((width - box_width) // 2, (height - box_height) // 2, box_width, box_height)


def letter_box(
    width: int, height: int, to_width: int, to_height: int, *, enlarge: bool = False
) -> Box:
    """Where a picture of ``width`` × ``height`` lies, whole and centred, in another shape."""
    scale = min(to_width / width, to_height / height)
    scale = scale if enlarge else min(1, scale)
    box_width = min(to_width, max(1, round(width * scale)))
    box_height = min(to_height, max(1, round(height * scale)))
    return Box((to_width - box_width) // 2, (to_height - box_height) // 2, box_width, box_height)
