"""How a picture of one size becomes a picture of another. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SQUARE = Fraction(1)
"""Width of a square pixel over its height."""


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


def pixel_aspect(width: int, height: int, ratio: Fraction) -> Fraction:
    """Return what a picture's pixels are stretched by: width over height.

    A ratio that makes neither side longer by more than a pixel comes from rounding that side, as
    ``scale=-2:480`` does: such pixels are square.
    """
    longer = width * (ratio - 1) if ratio > 1 else height * (1 / ratio - 1)
    return ratio if longer > 1 else SQUARE


def square_size(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """Return ``(width, height)`` of a picture once its pixels are square.

    One side becomes longer, as in players, and none shorter: 1440×1080 with pixels of 4:3 is
    1920×1080, and 720×480 with pixels of 8:9 is 720×540. Turned by 90° it is the same picture.
    """
    ratio = pixel_aspect(width, height, ratio)
    return round(width * max(ratio, SQUARE)), round(height * max(1 / ratio, SQUARE))


def center_box(
    width: int, height: int, to_width: int, to_height: int, ratio: Fraction = SQUARE
) -> Box:
    """The largest centred box that has the aspect ratio of ``to_width`` × ``to_height`` when shown.

    Rounding to whole pixels strays from that ratio by less than one pixel.

    Args:
        width: of the picture, in its own pixels.
        height: likewise.
        to_width: of the shape, in square pixels.
        to_height: likewise.
        ratio: width of the picture's pixels over their height.
    """
    across, down = to_width * ratio.denominator, to_height * ratio.numerator
    box_width = min(width, max(1, round(height * across / down)))
    box_height = min(height, max(1, round(width * down / across)))
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


def scaled_box(box: Box, size: tuple[int, int], to: tuple[int, int]) -> Box:
    """Return the same part of a picture in another resolution of it, to whole pixels.

    For example, the box from 240 to 1680 of 1920 pixels is from 120 to 840 of 960.

    Args:
        box: the part.
        size: width and height of the picture that it is a part of.
        to: width and height of the other picture.
    """
    left, right = _scaled(box.x, box.x + box.width, size[0], to[0])
    top, bottom = _scaled(box.y, box.y + box.height, size[1], to[1])
    return Box(left, top, right - left, bottom - top)


def _scaled(start: int, end: int, length: int, to: int) -> tuple[int, int]:
    """Both ends of a part of a side, rounded half up; it keeps at least one pixel."""
    first = min((2 * start * to + length) // (2 * length), to - 1)
    return first, max(first + 1, min((2 * end * to + length) // (2 * length), to))
