"""Crop boxes: inside the picture, as large as can be, of the wanted shape."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videoprep.media.geometry import Box, center_box

sides = st.integers(16, 8192)


@given(sides, sides, sides, sides)
def test_the_box_lies_inside_and_touches_two_edges(w: int, h: int, to_w: int, to_h: int) -> None:
    box = center_box(w, h, to_w, to_h)
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= w
    assert box.y + box.height <= h
    assert box.width == w or box.height == h
    assert abs(w - box.width - 2 * box.x) <= 1
    assert abs(h - box.height - 2 * box.y) <= 1


@given(sides, sides, sides, sides)
def test_its_shape_strays_by_less_than_a_pixel(w: int, h: int, to_w: int, to_h: int) -> None:
    box = center_box(w, h, to_w, to_h)
    if box.width == w:
        assert abs(box.height - w * to_h / to_w) < 1 or box.height == h
    else:
        assert abs(box.width - h * to_w / to_h) < 1


def test_720_to_704_cuts_eight_columns_a_side() -> None:
    assert center_box(720, 480, 704, 480) == Box(8, 0, 704, 480)
