"""A column of buckets is what a list of them is."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket, BucketColumn

SIDES = st.sampled_from([1, 9, 64, 96])
buckets = st.lists(st.builds(Bucket, SIDES, SIDES, SIDES), max_size=20)


@given(buckets)
def test_it_is_a_sequence_of_its_buckets(given: list[Bucket]) -> None:
    column = BucketColumn.from_buckets(given)
    assert list(column) == given
    assert len(column) == len(given)
    assert column == given
    assert column == tuple(given)
    assert given == column
    assert column != [*given, Bucket(1, 1, 1)]
    assert [column[i] for i in range(-len(given), len(given))] == given * 2
    assert column[1:-1] == given[1:-1]
    assert column.counts() == Counter(given)
    assert list(column.counts()) == sorted(set(given)) == list(column.kinds)


@given(buckets)
def test_it_is_made_of_columns_of_numbers(given: list[Bucket]) -> None:
    sides = ([getattr(b, side) for b in given] for side in ("frames", "height", "width"))
    column = BucketColumn.of(*(np.array(side, dtype=np.int32) for side in sides))
    assert column == given
    assert column.kinds == BucketColumn.from_buckets(given).kinds


def test_kinds_that_do_not_occur() -> None:
    kinds = [Bucket(1, 2, 3), Bucket(4, 5, 6), Bucket(7, 8, 9)]
    column = BucketColumn(np.array([0, 2, 2]), kinds)
    assert column == BucketColumn.from_buckets([kinds[0], kinds[2], kinds[2]])
    assert column.counts() == {kinds[0]: 1, kinds[2]: 2}
    assert repr(column) == "BucketColumn(1×2×3: 1, 7×8×9: 2)"


def test_it_cannot_be_changed_and_survives_pickling() -> None:
    codes = np.array([1, 0], dtype=np.int32)
    column = BucketColumn(codes, [Bucket(1, 2, 3), Bucket(4, 5, 6)])
    codes[0] = 0
    again = pickle.loads(pickle.dumps(column))
    assert again == column == [Bucket(4, 5, 6), Bucket(1, 2, 3)]
    assert column != "ab"
    for each in (column, again, column[:1]):
        with pytest.raises(ValueError, match="read-only"):
            each.codes[0] = 0
    with pytest.raises(IndexError):
        column[2]
    with pytest.raises(TypeError, match="unhashable"):
        hash(column)


@pytest.mark.parametrize(
    ("codes", "kinds", "message"),
    [
        ([0], [Bucket(4, 5, 6), Bucket(1, 2, 3)], "not in order"),
        ([0], [Bucket(1, 2, 3)] * 2, "not distinct"),
        ([0, 1], [Bucket(1, 2, 3)], "codes from 0 to 1"),
        ([-1], [Bucket(1, 2, 3)], "codes from -1"),
    ],
)
def test_columns_that_make_no_sense(codes: list[int], kinds: list[Bucket], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        BucketColumn(np.array(codes), kinds)
