"""Series of numbers come back from their text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.index.numbers import from_text, to_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([0, 1, 2, 3], "0:4"),
        ([0, 512, 1024], "0:1025:512"),
        ([0, 3, 6, 9, 13], "0,3,6,9,13"),
        ([7], "7"),
        ([5, 5, 5], "5,5,5"),
        ([-4, -2, 0], "-4:1:2"),
    ],
)
def test_examples(numbers: list[int], text: str) -> None:
    assert to_text(np.array(numbers, dtype=np.int64)) == text
    assert list(from_text(text)) == numbers


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50).map(sorted))
def test_any_series_comes_back(numbers: list[int]) -> None:
    assert list(from_text(to_text(np.array(numbers, dtype=np.int64)))) == numbers
