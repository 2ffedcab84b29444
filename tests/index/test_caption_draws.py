"""Captions are drawn by seed and epoch alone: whatever the ranks, the batches and the restarts."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.caption_draws import CaptionDraws, ClipDraw, unpacked
from videoprep.index.sampler import BucketBatchSampler
from videoprep.index.shuffle import hashes

KINDS = (Bucket(9, 64, 96), Bucket(17, 64, 96))

patient = settings(deadline=None)  # the machine may be busy


@dataclass
class Data:
    """Clips with so many captions each."""

    counts: Sequence[int] | None
    size: int = 0
    multiplicity: Sequence[float] | None = None
    digest: str = "cd" * 16
    buckets: list[Bucket] = field(init=False)

    def __post_init__(self) -> None:
        count = self.size or len(self.counts or ())
        self.buckets = [KINDS[number % len(KINDS)] for number in range(count)]

    @property
    def caption_counts(self) -> Any:
        return None if self.counts is None else np.array(self.counts)


class Regularized(Data):
    """Of which the second half is for regularization."""

    has_regularization = True

    def draws(self, regularization: float) -> Any:
        half = len(self.buckets) // 2
        return np.array([1.0] * half + [regularization] * half)


def pairs(batches: Any) -> list[list[tuple[int, int]]]:
    return [[(int(draw), draw.caption) for draw in batch] for batch in batches]


counts = st.lists(st.integers(1, 5), min_size=2, max_size=30).filter(lambda c: max(c) > 1)
captions = st.one_of(
    st.just("random"),
    st.lists(st.integers(0, 3).map(float), min_size=1, max_size=6).filter(any).map(tuple),
)


@patient
@given(counts, captions, st.sampled_from([1, 2, 4]), st.integers(0, 2**31), st.data())
def test_ranks_and_restarts_change_no_draw(
    counts: list[int], captions: Any, world: int, seed: int, data: st.DataObject
) -> None:
    tail = data.draw(st.sampled_from(["pad", "carry"]))
    options: dict[str, Any] = {"seed": seed, "tail": tail, "captions": captions}
    alone = BucketBatchSampler(Data(counts), 4, **options)
    expected = [pairs(alone) for _ in range(3)]
    ranks = [
        BucketBatchSampler(Data(counts), 4 // world, rank=rank, world_size=world, **options)
        for rank in range(world)
    ]
    for epoch in range(3):
        steps = zip(*map(pairs, ranks), strict=True)
        assert [[one for part in step for one in part] for step in steps] == expected[epoch]
    # Broken off anywhere, and resumed on another number of ranks.
    part = BucketBatchSampler(Data(counts), 4, **options)
    flat = [batch for epoch in expected for batch in epoch]
    assume(flat)
    stop = data.draw(st.integers(0, len(flat) - 1))
    taken = 0
    while taken < stop:
        for _ in part:
            taken += 1
            if taken == stop:
                break
    state = json.loads(json.dumps(part.state_dict()))
    resumed = [
        BucketBatchSampler(Data(counts), 4 // world, rank=rank, world_size=world, **options)
        for rank in range(world)
    ]
    for sampler in resumed:
        sampler.load_state_dict(state)
    rest: list[Any] = []
    while len(rest) < len(flat) - stop:
        steps = list(zip(*map(pairs, resumed), strict=True))
        rest += [[one for part in step for one in part] for step in steps]
    assert rest[: len(flat) - stop] == flat[stop:]


@patient
@given(counts, captions, st.integers(0, 100))
def test_only_captions_that_there_are_and_that_have_a_weight(
    counts: list[int], captions: Any, seed: int
) -> None:
    sampler = BucketBatchSampler(Data(counts), 3, seed=seed, captions=captions)
    for _ in range(4):
        for number, caption in (draw for batch in pairs(sampler) for draw in batch):
            assert 0 <= caption < counts[number]
            if captions != "random" and any(captions[: counts[number]]):
                assert captions[caption] > 0
            elif captions != "random":
                assert caption == 0


def test_the_size_of_batches_decides_no_caption() -> None:
    """A clip has the same caption in an epoch, however many clips a batch has."""
    data = Data([4] * 50)

    def drawn(size: int) -> list[dict[int, int]]:
        sampler = BucketBatchSampler(data, size, seed=5, tail="carry")
        return [dict(draw for batch in pairs(sampler) for draw in batch) for _ in range(1)]

    (one,), (two,) = drawn(1), drawn(5)
    assert one == two


@pytest.mark.parametrize(
    ("captions", "shares"),
    [
        ("random", (1 / 3, 1 / 3, 1 / 3)),
        ((2, 1, 1), (0.5, 0.25, 0.25)),
        ((0, 3, 1), (0, 0.75, 0.25)),
        ((1, 1), (0.5, 0.5, 0)),
        ((0, 0, 5), (0, 0, 1)),
        ((0, 0, 0, 1), (1, 0, 0)),
    ],
)
def test_shares(captions: Any, shares: tuple[float, ...]) -> None:
    sampler = BucketBatchSampler(Data([3] * 1000), 10, captions=captions)
    drawn = Counter(c for _ in range(6) for batch in pairs(sampler) for _, c in batch)
    total = sum(drawn.values())
    for caption, share in enumerate(shares):
        if share in (0, 1):
            assert drawn[caption] == share * total
        else:  # of 6,000 draws: five deviations
            assert abs(drawn[caption] / total - share) < 5 * (share * (1 - share) / total) ** 0.5


def test_a_clip_gets_other_captions_in_other_epochs() -> None:
    sampler = BucketBatchSampler(Data([5] * 40), 4)
    epochs = [dict(draw for batch in pairs(sampler) for draw in batch) for _ in range(8)]
    assert all(len({epoch[number] for epoch in epochs}) > 1 for number in range(40))


def test_one_that_is_repeated_is_drawn_for_each_time() -> None:
    sampler = BucketBatchSampler(Data([4] * 2, multiplicity=[50.0, 50.0]), 1)
    drawn = Counter(draw for batch in pairs(sampler) for draw in batch)
    assert all(drawn[number, caption] for number in range(2) for caption in range(4))


@pytest.mark.parametrize("captions", ["first", "random"])
def test_without_further_captions_batches_are_plain_numbers(captions: Any) -> None:
    plain = BucketBatchSampler(Data(None, size=20), 4, captions=captions)
    batches = list(plain)
    assert {type(number) for batch in batches for number in batch} == {int}
    assert "captions" not in plain.state_dict()
    several = BucketBatchSampler(Data([2] * 20), 4, captions="first")
    assert list(several) == batches
    assert {type(number) for batch in several for number in batch} == {int}


def test_a_state_of_other_captions_is_refused() -> None:
    data = Data([2] * 20)
    random = BucketBatchSampler(data, 4)
    assert random.state_dict()["captions"] == "random"
    for captions in ("first", (1, 2)):
        other = BucketBatchSampler(data, 4, captions=captions)
        with pytest.raises(PlanError, match="was saved with captions 'random'"):
            other.load_state_dict(random.state_dict())
    weighted = BucketBatchSampler(data, 4, captions=(1, 2))
    state = json.loads(json.dumps(weighted.state_dict()))
    BucketBatchSampler(data, 4, captions=[1.0, 2.0]).load_state_dict(state)


def test_captions_are_drawn_with_clips_for_regularization_too() -> None:
    data = Regularized([2] * 20)
    sampler = BucketBatchSampler(data, 4, regularization=1.0)
    drawn = {(int(item), item.caption) for _ in range(9) for batch in sampler for item in batch}
    assert {caption for _, caption in drawn} == {0, 1}


@pytest.mark.parametrize(
    "captions", ["last", 2, (), (0, 0), (1, -1), (float("nan"),), ("a",), None]
)
def test_wrong_wishes(captions: Any) -> None:
    with pytest.raises(PlanError):
        BucketBatchSampler(Data([2] * 4), 1, captions=captions)


def test_a_draw_is_a_number_that_knows_its_caption() -> None:
    draw = ClipDraw(7, caption=2)
    assert (draw, draw.caption, repr(draw)) == (7, 2, "ClipDraw(7, caption=2)")
    again = pickle.loads(pickle.dumps(draw))
    assert (type(again), again, again.caption) == (ClipDraw, 7, 2)
    assert list("abcdefgh")[draw] == "h"


def test_draws_stay_the_same_on_every_machine() -> None:
    """Runs are resumed with other versions: what was drawn once is always drawn."""
    draws = CaptionDraws.of(np.array([1, 2, 3, 4, 5, 20]), "random")
    assert draws is not None
    packed = draws.packed(12345, np.arange(6, dtype=np.int32))
    assert (packed >> 32).tolist() == [0, 0, 0, 0, 2, 6]


@patient
@given(st.integers(1, 40), st.integers(0, 2**64 - 1))
def test_shares_are_exact(count: int, key: int) -> None:
    """As whole numbers of any size come to it: the floor of hash × captions / 2⁶⁴."""
    draws = CaptionDraws.of(np.full(50, count), "random")
    assert draws is not None
    items = np.arange(50, dtype=np.int32)
    found = [draw.caption for draw in unpacked(draws.packed(key, items))]
    numbers = hashes(key, np.arange(50, dtype=np.uint64)).tolist()
    # A hash on the very border between two shares may fall to either.
    near = [number * count % 2**64 < count for number in numbers]
    exact = [number * count >> 64 for number in numbers]
    assert all(a == b or at for a, b, at in zip(found, exact, near, strict=True))
