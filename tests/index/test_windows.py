"""Which parts of a video become clips."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.index.windows import Window, WindowPolicy

RATE = Fraction(8)


def cut(mode: str, available: int, counts=(17, 33, 49), limit=None, gap=None) -> list[Window]:
    return WindowPolicy(mode, limit, gap).cut(available, counts, RATE)


@pytest.mark.parametrize(
    ("mode", "available", "options", "expected"),
    [
        ("head", 120, {}, [(0, 49)]),
        ("head", 40, {}, [(0, 33)]),
        ("middle", 120, {}, [(35, 49)]),
        ("uniform", 120, {"limit": 2}, [(0, 49), (71, 49)]),
        ("uniform", 120, {"limit": 5}, [(0, 49), (71, 49)]),
        ("uniform", 120, {"limit": 1}, [(35, 49)]),
        ("uniform", 60, {"limit": 2}, [(5, 49)]),
        ("uniform", 120, {"limit": 2, "gap": 3.0}, [(35, 49)]),
        ("chunk", 120, {}, [(0, 49), (49, 49), (98, 17)]),
        ("chunk", 120, {"limit": 2}, [(0, 49), (49, 49)]),
        ("chunk", 120, {"gap": 1.0}, [(0, 49), (57, 49)]),
        ("chunk", 131, {"gap": 1.0}, [(0, 49), (57, 49), (114, 17)]),
        ("slide", 100, {}, [(0, 49), (24, 49), (48, 49)]),
        ("slide", 100, {"gap": 4.0}, [(0, 49), (32, 49)]),
        ("slide", 100, {"gap": 0.0, "limit": 3}, [(0, 49), (1, 49), (2, 49)]),
    ],
)
def test_examples(mode: str, available: int, options, expected) -> None:
    found = cut(mode, available, **options)
    assert [(window.offset, window.frames) for window in found] == expected
    assert all(window.stride == 1 for window in found)


def test_one_clip_can_span_everything() -> None:
    assert cut("all-frames-stride", 98) == [Window(0, 49, Fraction(2))]
    assert cut("all-frames-stride", 97) == [Window(0, 49, Fraction(97, 49))]


@given(
    st.sampled_from(["head", "middle", "uniform", "chunk", "slide", "all-frames-stride"]),
    st.integers(0, 2000),
    st.lists(st.integers(1, 200), min_size=1, unique=True).map(sorted),
    st.integers(1, 9),
    st.none() | st.floats(0, 20),
)
def test_windows_lie_inside_in_order(mode: str, available: int, counts, limit: int, gap) -> None:
    found = cut(mode, available, counts, limit, gap)
    assert bool(found) == (counts[0] <= available)
    assert len(found) <= limit
    assert not found or found[0].frames == max(n for n in counts if n <= available)
    for window in found:
        assert window.frames in counts
        assert window.offset >= 0
        assert window.offset + (window.frames - 1) * window.stride < available
    for before, after in pairwise(found):
        apart = after.offset - (before.offset if mode == "slide" else before.offset + before.frames)
        assert apart >= (float(RATE) * gap if gap is not None else 0)


@given(st.integers(17, 5000))
def test_chunks_leave_less_than_the_shortest_clip(available: int) -> None:
    assert available - sum(window.frames for window in cut("chunk", available)) < 17
