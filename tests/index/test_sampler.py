"""Batches of one bucket, the same on all ranks, nothing lost, resumed at the exact next one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.sampler import BucketBatchSampler
from videoprep.index.shuffle import hashes, key_of, permutation, whole_part_of_sum

KINDS = (Bucket(9, 64, 96), Bucket(17, 64, 96), Bucket(17, 96, 64))
Batches = list[list[int]]

patient = settings(deadline=None)  # the machine may be busy


@dataclass
class Data:
    buckets: Sequence[Bucket]
    multiplicity: Sequence[float] | None = None
    digest: str = "ab" * 16

    def latent_tokens(self, bucket: Bucket) -> int:
        return bucket.frames


def _epochs(count: int, *arguments: Any, **options: Any) -> list[Batches]:
    """The first epochs, each from a sampler of its own."""
    epochs = []
    for epoch in range(count):
        sampler = BucketBatchSampler(*arguments, **options)
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    return epochs


def _global(data: Data, world: int, **options: Any) -> Callable[[int], Batches]:
    """The global batches of an epoch, put together from the slices of all ranks."""
    samplers = [BucketBatchSampler(data, rank=r, world_size=world, **options) for r in range(world)]

    def batches(epoch: int) -> Batches:
        for sampler in samplers:
            sampler.set_epoch(epoch)
        return [[i for part in step for i in part] for step in zip(*samplers, strict=True)]

    return batches


weights = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 2.5]), st.floats(0, 3))
lists = st.lists(st.sampled_from(KINDS), min_size=1, max_size=60)
plain = lists.map(Data)
weighted = st.lists(st.tuples(st.sampled_from(KINDS), weights), min_size=1, max_size=40).map(
    lambda pairs: Data([bucket for bucket, _ in pairs], [weight for _, weight in pairs])
)
some_data = st.one_of(plain, weighted).filter(
    lambda data: data.multiplicity is None or any(data.multiplicity)
)
worlds = st.sampled_from([1, 2, 3, 4, 8])
tails = st.sampled_from(["pad", "drop", "carry"])
sizes = st.one_of(
    st.builds(lambda size: {"batch_size": size}, st.integers(1, 5)),
    st.builds(lambda tokens: {"max_tokens": tokens}, st.integers(17, 60)),
)


def _fills(data: Data, world: int, **options: Any) -> bool:
    try:
        BucketBatchSampler(data, world_size=world, **options)
    except PlanError as error:
        return "fills a global batch" not in error.message
    return True


# One epoch


@patient
@given(plain, st.integers(1, 5), worlds, st.integers(0, 3), st.integers(0, 3))
def test_all_ranks_have_the_same_bucket_and_see_all(
    data: Data, batch_size: int, world: int, seed: int, epoch: int
) -> None:
    ranks = []
    for rank in range(world):
        sampler = BucketBatchSampler(data, batch_size, rank=rank, world_size=world, seed=seed)
        sampler.set_epoch(epoch)
        assert sampler.dropped == sampler.carried == 0
        repeated = sampler.repeated
        ranks.append([len(sampler), list(sampler)])
        assert ranks[-1][0] == len(ranks[-1][1])
    seen: Counter[int] = Counter()
    for step in zip(*(batches for _, batches in ranks), strict=True):
        assert all(len(batch) == batch_size for batch in step)
        assert len({data.buckets[item] for batch in step for item in batch}) == 1
        seen.update(item for batch in step for item in batch)
    assert set(seen) == set(range(len(data.buckets)))
    assert sum(seen.values()) - len(seen) == repeated


@patient
@given(some_data, tails, st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]), st.integers(0, 2))
def test_an_epoch_does_not_depend_on_the_ranks(
    data: Data, tail: str, world: int, epoch: int
) -> None:
    assume(_fills(data, 1, batch_size=24, tail=tail))
    alone = _global(data, 1, batch_size=24, tail=tail)(epoch)
    assert _global(data, world, batch_size=24 // world, tail=tail)(epoch) == alone


@patient
@given(some_data, tails, worlds, sizes)
def test_a_sampler_of_all_ranks_yields_them_in_turn(
    data: Data, tail: str, world: int, size: dict[str, int]
) -> None:
    assume(_fills(data, world, **size, tail=tail))
    ranks = [
        list(BucketBatchSampler(data, rank=rank, world_size=world, **size, tail=tail))
        for rank in range(world)
    ]
    every = BucketBatchSampler(data, rank=None, world_size=world, **size, tail=tail)
    assert len(every) == every.steps * world == sum(map(len, ranks))
    assert list(every) == [batch for step in zip(*ranks, strict=True) for batch in step]


@patient
@given(plain, st.integers(1, 4))
def test_drop_loses_only_what_it_says(data: Data, batch_size: int) -> None:
    if max(Counter(data.buckets).values()) < batch_size:
        with pytest.raises(PlanError, match="no bucket fills a global batch"):
            BucketBatchSampler(data, batch_size, tail="drop")
        return
    sampler = BucketBatchSampler(data, batch_size, tail="drop")
    dropped = sampler.dropped
    items = [item for batch in sampler for item in batch]
    assert len(items) == len(set(items)) == len(data.buckets) - dropped
    assert sampler.repeated == sampler.carried == 0


@patient
@given(some_data, worlds, st.integers(17, 60), tails)
def test_a_budget_of_tokens_is_kept_and_used(
    data: Data, world: int, max_tokens: int, tail: str
) -> None:
    assume(_fills(data, world, max_tokens=max_tokens, tail=tail))
    sampler = BucketBatchSampler(
        data, rank=world - 1, world_size=world, tail=tail, max_tokens=max_tokens
    )
    assert sampler.batch_size is None
    for batch in sampler:
        [bucket] = {data.buckets[item] for item in batch}
        assert len(batch) == max_tokens // bucket.frames


def test_seed_epoch_and_data_change_the_order() -> None:
    many = Data([KINDS[0]] * 40)
    first = list(BucketBatchSampler(many, 2))
    assert first == list(BucketBatchSampler(many, 2))
    assert first != list(BucketBatchSampler(many, 2, seed=1))
    assert first != list(BucketBatchSampler(Data(many.buckets, digest="cd" * 16), 2))
    later = BucketBatchSampler(many, 2)
    later.set_epoch(1)
    assert first != list(later)


@patient
@given(plain)
def test_a_column_and_multiplicities_of_one_change_nothing(data: Data) -> None:
    column = Data(BucketColumn.from_buckets(data.buckets), np.ones(len(data.buckets)))
    assert list(BucketBatchSampler(column, 3)) == list(BucketBatchSampler(data, 3))


# Many epochs


@patient
@given(plain, st.integers(1, 4), worlds)
def test_carry_loses_nothing(data: Data, batch_size: int, world: int) -> None:
    sizes = Counter(data.buckets)
    batches = _global(data, world, batch_size=batch_size, tail="carry")
    sampler = BucketBatchSampler(data, batch_size, world_size=world, tail="carry")
    seen = Counter(dict.fromkeys(range(len(data.buckets)), 0))
    for epoch in range(5):
        sampler.set_epoch(epoch)
        seen.update(item for batch in batches(epoch) for item in batch)
        assert seen.total() + sampler.carried == (epoch + 1) * len(data.buckets)
        for bucket, size in sizes.items():
            counts = {seen[i] for i, other in enumerate(data.buckets) if other == bucket}
            assert max(counts) - min(counts) <= 1
            if size >= batch_size * world:
                assert counts <= {epoch, epoch + 1}
    assert sampler.dropped == sampler.repeated == 0


@patient
@given(some_data, st.integers(1, 6))
def test_what_is_carried_was_not_there_before(data: Data, batch_size: int) -> None:
    """With a batch size of 1 nothing is carried: that tells what comes in each epoch."""
    singly = BucketBatchSampler(data, 1, tail="carry")
    sampler = BucketBatchSampler(data, batch_size, tail="carry")
    waiting: Counter[int] = Counter()
    for _ in range(6):
        waiting.update(item for [item] in singly)
        delivered = Counter(item for batch in sampler for item in batch)
        assert delivered <= waiting
        waiting -= delivered
        left = Counter(data.buckets[item] for item in waiting.elements())
        assert all(count < batch_size for count in left.values())


@patient
@given(weighted.filter(lambda data: any(data.multiplicity or ())), st.integers(0, 5))
def test_multiplicities_are_kept(data: Data, seed: int) -> None:
    sampler = BucketBatchSampler(data, 1, seed=seed)
    seen: Counter[int] = Counter()
    for epoch in range(1, 9):
        now = Counter(item for [item] in sampler)
        seen.update(now)
        for item, weight in enumerate(data.multiplicity or ()):
            assert abs(seen[item] - epoch * weight) < 1
            if weight == int(weight):
                assert now[item] == weight
    assert sampler.epoch == 8


def test_half_a_weight_is_every_second_epoch() -> None:
    epochs = _epochs(6, Data([KINDS[0]] * 200, [0.5] * 200), 1)
    parts = [{item for [item] in epoch} for epoch in epochs]
    assert parts[0] == parts[2] == parts[4]
    assert parts[1] == parts[3] == parts[5] == set(range(200)) - parts[0]
    assert 70 < len(parts[0]) < 130


@patient
@given(some_data, worlds, tails)
def test_numbers_told_are_those_of_the_epoch(data: Data, world: int, tail: str) -> None:
    assume(_fills(data, world, batch_size=2, tail=tail))
    sampler = BucketBatchSampler(data, 2, rank=None, world_size=world, tail=tail)
    come = [BucketBatchSampler(data, 1) for _ in range(3)]
    carried = 0
    for epoch in range(3):
        come[epoch].set_epoch(epoch)
        items = sum(1 for _ in come[epoch])
        assert sampler.epoch == epoch
        told = sampler.dropped, sampler.repeated, sampler.carried
        assert f"epoch {epoch}: {items:,} items" in sampler.describe()
        delivered = sum(len(batch) for batch in sampler)
        assert delivered == carried + items - told[0] + told[1] - told[2]
        carried = told[2]


def test_describe() -> None:
    data = Data([*[KINDS[0]] * 1001, *[KINDS[1]] * 5], digest="00")
    sampler = BucketBatchSampler(data, 2, world_size=4)
    assert sampler.describe() == (
        "epoch 0: 1,006 items, 127 steps of 4 ranks\n"
        "tail pad: 10 places of last batches are filled with items again, so that those of "
        "17×64×96 come 1.60 times as often as their weights say\n"
        "  9×64×96: 1,001 items, 126 steps of 2 × 4\n"
        "  17×64×96: 5 items, 1 steps of 2 × 4"
    )
    assert "drop: 6 items" in BucketBatchSampler(data, 2, world_size=4, tail="drop").describe()
    assert "carry: 6 items" in BucketBatchSampler(data, 2, world_size=4, tail="carry").describe()


# Going on


@settings(deadline=None, max_examples=40)
@given(some_data, tails, sizes, st.integers(0, 2))
def test_the_first_steps_and_the_rest_are_the_whole(
    data: Data, tail: str, size: dict[str, int], epoch: int
) -> None:
    assume(_fills(data, 1, tail=tail, **size))
    epochs = _epochs(epoch + 2, data, tail=tail, **size)
    whole, following = epochs[-2:]
    for stop in range(len(whole) + 1):
        sampler = BucketBatchSampler(data, tail=tail, **size)
        sampler.set_epoch(epoch)
        first = list(islice(sampler, stop))
        state = json.loads(json.dumps(sampler.state_dict()))
        later = BucketBatchSampler(data, tail=tail, **size)
        later.load_state_dict(state)
        later.set_epoch(state["epoch"])
        assert later.state_dict() == state
        finished = stop and stop == len(whole)
        assert (state["epoch"], state["batch"]) == ((epoch + 1, 0) if finished else (epoch, stop))
        assert len(later) == len(following if finished else whole)
        rest = [] if finished else list(later)
        assert first + rest == whole
        assert list(later) == following


@patient
@given(some_data, tails, st.sampled_from([1, 2, 3, 4, 6]), st.sampled_from([1, 2, 3, 4, 6]))
def test_another_world_size_goes_on(data: Data, tail: str, saved: int, own: int) -> None:
    assume(_fills(data, 1, batch_size=12, tail=tail))
    whole = _global(data, 1, batch_size=12, tail=tail)(0)
    old = BucketBatchSampler(data, 12 // saved, world_size=saved, tail=tail)
    stop = len(whole) // 2
    _ = list(islice(old, stop))
    assert old.state_dict().keys() == BucketBatchSampler(data, 5).state_dict().keys()
    parts = []
    for rank in range(own):
        sampler = BucketBatchSampler(data, 12 // own, rank=rank, world_size=own, tail=tail)
        sampler.load_state_dict(old.state_dict())
        parts.append(sampler)
    rest = [[i for part in step for i in part] for step in zip(*parts, strict=True)]
    assert rest == (whole[stop:] if whole else [])


def test_epochs_advance_by_themselves_or_are_set() -> None:
    data = Data([KINDS[0]] * 9)
    epochs = _epochs(4, data, 2)
    sampler = BucketBatchSampler(data, 2)
    assert [list(sampler) for _ in range(4)] == epochs
    assert sampler.epoch == 4
    for epoch in (0, 1, 2, 3, 1):
        sampler.set_epoch(epoch)
        assert list(sampler) == epochs[epoch]


def test_an_epoch_broken_off_is_begun_again() -> None:
    data = Data([KINDS[0]] * 9)
    first, second = _epochs(2, data, 2)
    sampler = BucketBatchSampler(data, 2)
    for stop in range(5):
        assert list(islice(sampler, stop)) == first[:stop]
        assert sampler.epoch == 0
        sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(islice(sampler, 5)) == second
    assert sampler.state_dict()["epoch"] == 2
    sampler.set_epoch(1)  # all of it was yielded, so that this goes back to it
    assert list(islice(sampler, 2)) == second[:2]


def test_empty_epochs_are_epochs_too() -> None:
    sampler = BucketBatchSampler(Data([KINDS[0]] * 3), 8, tail="carry")
    lengths = [(sampler.epoch, len(sampler), len(list(sampler))) for _ in range(6)]
    assert lengths == [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 0, 0), (4, 0, 0), (5, 1, 1)]
    sampler.set_epoch(3)
    again = BucketBatchSampler(Data([KINDS[0]] * 3), 8, tail="carry")
    again.load_state_dict(sampler.state_dict())
    assert [len(list(again)) for _ in range(3)] == [0, 0, 1]


def test_a_late_epoch_replays_none_before() -> None:
    data = Data([KINDS[0]] * 5, [0.1, 1, 2.5, 1, 3])
    sampler = BucketBatchSampler(data, 4, tail="carry")
    sampler.set_epoch(4_000_000_000)
    assert len(list(sampler)) in (1, 2, 3)


def test_going_back_from_a_loaded_state_warns() -> None:
    data = Data([KINDS[0]] * 9)
    sampler = BucketBatchSampler(data, 2)
    sampler.load_state_dict({**sampler.state_dict(), "epoch": 2, "batch": 3})
    with pytest.warns(UserWarning, match=r"set_epoch\(0\) discards the loaded state: epoch 2"):
        sampler.set_epoch(0)


# What is refused


def _saved(**options: Any) -> dict[str, Any]:
    data = options.pop("data", Data([KINDS[0]] * 50))
    return BucketBatchSampler(data, **options).state_dict()


@pytest.mark.parametrize(
    ("saved", "own", "message", "remedy"),
    [
        ({"seed": 1}, {}, "with seed 1, this sampler has 0", "seed=1"),
        ({"tail": "drop"}, {}, "with tail 'drop', this sampler has 'pad'", "tail='drop'"),
        ({"data": Data([KINDS[0]] * 50, digest="cd")}, {}, "other data: digest cd", "the data"),
        (
            {"world_size": 4},
            {"world_size": 2},
            "batch_size=2, world_size=4; batch_size=2, world_size=2 makes",
            "use batch_size=4 with world_size=2",
        ),
        ({"world_size": 4}, {"world_size": 3}, "makes other", "batch_size=2, world_size=4"),
        (
            {"batch_size": None, "max_tokens": 20},
            {"batch_size": None, "max_tokens": 30},
            "max_tokens=20, world_size=1; max_tokens=30, world_size=1 makes",
            "make the sampler with max_tokens=20, world_size=1",
        ),
        (
            {"batch_size": None, "max_tokens": 30},
            {},
            "max_tokens=30, world_size=1; batch_size=2, world_size=1 makes",
            "make the sampler with max_tokens=30, world_size=1",
        ),
        ({"data": Data([KINDS[1]] * 50)}, {}, "makes other global batches", "other numbers of"),
    ],
)
def test_states_of_other_samplers(
    saved: dict[str, Any], own: dict[str, Any], message: str, remedy: str
) -> None:
    state = _saved(**{"batch_size": 2, **saved})
    sampler = BucketBatchSampler(Data([KINDS[0]] * 50), **{"batch_size": 2, **own})
    with pytest.raises(PlanError) as raised:
        sampler.load_state_dict(state)
    assert message in raised.value.message
    assert remedy in str(raised.value.remedy)
    assert sampler.state_dict()["batch"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version 3; this videoprep reads up to 2"),
        ({"version": 2}, "clips that lack a component in batches of their own"),
        ({"version": "1"}, "has version '1'"),
        ({"epoch": "0"}, "has epoch '0'"),
        ({"epoch": True}, "has epoch True"),
        ({"epoch": -1}, "no batch 0 of epoch -1"),
        ({"epoch": 2**40}, "no batch 0 of epoch"),
        ({"batch": 25}, "no batch 25 of epoch 0"),
        ({"batch": -1}, "no batch -1"),
        ({"batch": 1.0}, "has batch 1.0"),
        ({"digest": None}, "has digest None"),
    ],
)
def test_malformed_states(change: dict[str, Any], message: str) -> None:
    sampler = BucketBatchSampler(Data([KINDS[0]] * 50), 2)
    with pytest.raises(PlanError) as raised:
        sampler.load_state_dict({**sampler.state_dict(), **change})
    assert message in raised.value.message
    assert raised.value.remedy


@pytest.mark.parametrize("state", [{}, None, [], "epoch", {"epoch": 1}])
def test_states_that_are_none(state: Any) -> None:
    with pytest.raises(PlanError, match="the sampler's state"):
        BucketBatchSampler(Data([KINDS[0]]), 1).load_state_dict(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 1.5},
        {"rank": 2, "world_size": 2},
        {"rank": -1},
        {"rank": None, "world_size": 0},
        {"world_size": 0},
        {"seed": -1},
        {"batch_size": None, "max_tokens": 0},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="do not fit") as raised:
        BucketBatchSampler(Data([KINDS[0]]), **{"batch_size": 1, **wrong})
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "neither batch_size nor max_tokens given"),
        ({"batch_size": 1, "max_tokens": 9}, "batch_size and max_tokens given"),
        ({"batch_size": 1, "tail": "cut"}, "there is no tail 'cut'"),
    ],
)
def test_wrong_choices(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message) as raised:
        BucketBatchSampler(Data([KINDS[0]]), **wrong)
    assert raised.value.remedy


def test_budgets_without_room() -> None:
    with pytest.raises(PlanError, match="max_tokens is 16, but a clip of 17×64×96 has 17") as error:
        BucketBatchSampler(Data(KINDS), max_tokens=16)
    assert "use max_tokens=17 or more" in str(error.value.remedy)

    class Silent:
        buckets = KINDS
        digest = "ab"

    with pytest.raises(PlanError, match="does not tell how many tokens"):
        BucketBatchSampler(Silent(), max_tokens=16)
    assert len(BucketBatchSampler(Silent(), 1)) == 3
    with pytest.raises(PlanError, match="a clip of 0×1×1 has 0 latent tokens"):
        BucketBatchSampler(Data([Bucket(0, 1, 1)]), max_tokens=16)
    # A clip that never comes needs no room.
    assert list(BucketBatchSampler(Data(KINDS, [1, 0, 0]), max_tokens=16)) == [[0]]


@pytest.mark.parametrize(
    ("multiplicity", "message"),
    [
        ([1.0, -0.5, 1.0], "of clip 1 is -0.5"),
        ([1.0, 1.0, float("nan")], "of clip 2 is nan"),
        ([float("inf"), 1.0, 1.0], "of clip 0 is inf"),
        ([1.0], r"has the shape \[1\], but there are 3 clips"),
        ([0.0, 0.0, 0.0], "there are no clips to sample"),
    ],
)
def test_wrong_multiplicities(multiplicity: list[float], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        BucketBatchSampler(Data(KINDS, multiplicity), 1)


def test_no_clips_and_no_epoch() -> None:
    with pytest.raises(PlanError, match="there are no clips to sample"):
        BucketBatchSampler(Data([]), 1)
    with pytest.raises(PlanError, match="there is no epoch -1"):
        BucketBatchSampler(Data(KINDS), 1).set_epoch(-1)


# What may never change


def test_hashes_are_those_of_splitmix64() -> None:
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert hashes(1234567, np.arange(5)).tolist() == expected
    assert hashes(1234567, np.array([3, 1], dtype=np.int32)).tolist() == [expected[3], expected[1]]


@patient
@given(st.integers(0, 2**64 - 1), st.integers(0, 100))
def test_a_permutation_is_one(key: int, count: int) -> None:
    assert sorted(permutation(key, count).tolist()) == list(range(count))


UNITS = st.integers(0, 2**64 - 1)


@patient
@given(st.integers(0, 2**32 - 1), UNITS, UNITS)
def test_sums_of_fractions_are_exact(factor: int, fraction: int, phase: int) -> None:
    exact = (Fraction(fraction, 2**64) * factor + Fraction(phase, 2**64)).__floor__()
    fractions = np.array([fraction], dtype=np.uint64)
    assert whole_part_of_sum(factor, fractions, np.array([phase], np.uint64)).tolist() == [exact]


def test_the_order_is_frozen() -> None:
    """Whoever resumes after an upgrade must get the same batches: do not change these."""
    data = Data([KINDS[item % 7 % 3] for item in range(14)], [1, 1, 1, 0.5, 2, 1, 1] * 2)
    assert key_of("ab", 0, "order", "17×64×96", 3) == 9737373831861963491
    assert _epochs(2, Data(data.buckets), 2) == [
        [[11, 8], [13, 10], [7, 6], [3, 0], [1, 4], [9, 12], [2, 5]],
        [[2, 5], [4, 1], [11, 8], [9, 12], [7, 6], [3, 0], [13, 10]],
    ]
    assert _epochs(2, data, 2, seed=7, tail="carry") == [
        [[3, 6], [9, 12], [11, 1], [4, 8], [13, 7], [4, 11], [2, 5]],
        [[11, 1], [4, 4], [0, 7], [10, 6], [9, 12], [13, 0], [11, 8], [2, 5]],
    ]
    assert _epochs(1, data, max_tokens=40, world_size=2, rank=1) == [
        [[1, 4], [13, 10, 7, 6], [8, 11], [2, 5]]
    ]
    assert BucketBatchSampler(data, 2).state_dict() == {
        "version": 1,
        "digest": "ab" * 16,
        "seed": 0,
        "tail": "pad",
        "batch_size": 2,
        "max_tokens": None,
        "world_size": 1,
        "global_batches": "ddb318adcab39fb3",
        "epoch": 0,
        "batch": 0,
        "weights": "bf98131efdd7d51b",
    }


def test_a_large_order_is_frozen() -> None:
    """Large arrays take other ways through numpy, and some of them depend on the processor."""
    count = 100_000
    column = BucketColumn(np.arange(count) % 7 % 3, KINDS)
    sampler = BucketBatchSampler(Data(column, np.linspace(0.1, 2.3, count)), 4, tail="carry")
    sampler.set_epoch(5)
    assert sha256(json.dumps(list(sampler)).encode()).hexdigest()[:16] == "3d99bde94d14f73c"
