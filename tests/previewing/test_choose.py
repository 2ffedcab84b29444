"""Which clips and frames are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.previewing.choose import spread, spread_frames

KINDS = tuple(Bucket(frames, 64, 96) for frames in (9, 17, 33))


def column(*counts: int) -> BucketColumn:
    return BucketColumn(np.repeat(np.arange(len(counts)), counts), KINDS[: len(counts)])


def test_every_bucket_has_its_turn() -> None:
    numbers = spread(column(1000, 3, 1), 5, seed=0)
    assert numbers == sorted(set(numbers))
    assert [sum(low <= n < high for n in numbers) for low, high in ((0, 1000), (1000, 1003))] == [
        2,
        2,
    ]
    assert 1003 in numbers


@given(
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=3),
    count=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_as_many_as_there_are_and_the_same_again(counts: list[int], count: int, seed: int) -> None:
    buckets = column(*counts)
    numbers = spread(buckets, count, seed)
    assert len(set(numbers)) == len(numbers) == min(count, sum(counts))
    assert numbers == spread(buckets, count, seed)
    assert all(0 <= number < len(buckets) for number in numbers)


def test_another_seed_chooses_others() -> None:
    assert spread(column(1000), 5, 0) != spread(column(1000), 5, 1)


@pytest.mark.parametrize(
    ("frames", "count", "places"),
    [
        (17, 5, [0, 4, 8, 12, 16]),
        (3, 5, [0, 1, 2]),
        (1, 5, [0]),
        (9, None, list(range(9))),
        (9, 1, [0]),
    ],
)
def test_frames_from_first_to_last(frames: int, count: int | None, places: list[int]) -> None:
    assert spread_frames(frames, count) == places
