"""Batches of one bucket, the same on all ranks, nothing lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.sampler import BucketBatchSampler

KINDS = (Bucket(9, 64, 96), Bucket(17, 64, 96), Bucket(17, 96, 64))


@dataclass
class Data:
    buckets: list[Bucket]
    digest: str = "ab" * 16


data = st.lists(st.sampled_from(KINDS), min_size=1, max_size=60).map(Data)
worlds = st.sampled_from([1, 2, 3, 4, 8])


@given(data, st.integers(1, 5), worlds, st.integers(0, 3), st.integers(0, 3))
def test_all_ranks_have_the_same_bucket_and_see_all(
    data: Data, batch_size: int, world: int, seed: int, epoch: int
) -> None:
    ranks = []
    for rank in range(world):
        sampler = BucketBatchSampler(data, batch_size, rank=rank, world_size=world, seed=seed)
        sampler.set_epoch(epoch)
        ranks.append(list(sampler))
        assert len(ranks[-1]) == len(sampler)
    seen: Counter[int] = Counter()
    for step in zip(*ranks, strict=True):
        assert all(len(batch) == batch_size for batch in step)
        assert len({data.buckets[item] for batch in step for item in batch}) == 1
        seen.update(item for batch in step for item in batch)
    assert set(seen) == set(range(len(data.buckets)))
    assert sum(seen.values()) - len(seen) == sampler.repeated
    assert sampler.dropped == 0


@given(data, st.integers(1, 4), st.sampled_from([1, 2, 3]))
def test_an_epoch_does_not_depend_on_the_ranks(data: Data, batch: int, world: int) -> None:
    def steps(ranks: int, size: int) -> list[list[int]]:
        parts = [
            list(BucketBatchSampler(data, size, rank=r, world_size=ranks)) for r in range(ranks)
        ]
        return [[i for part in step for i in part] for step in zip(*parts, strict=True)]

    assert steps(world, batch) == steps(1, batch * world)


@given(data, st.integers(1, 4))
def test_drop_loses_only_what_it_says(data: Data, batch_size: int) -> None:
    if max(Counter(data.buckets).values()) < batch_size:
        with pytest.raises(PlanError, match="no bucket fills a global batch"):
            BucketBatchSampler(data, batch_size, tail="drop")
        return
    sampler = BucketBatchSampler(data, batch_size, tail="drop")
    items = [item for batch in sampler for item in batch]
    assert len(items) == len(set(items)) == len(data.buckets) - sampler.dropped
    assert sampler.repeated == 0


def test_seed_epoch_and_data_change_the_order() -> None:
    many = Data([KINDS[0]] * 40)
    first = list(BucketBatchSampler(many, 2))
    assert first == list(BucketBatchSampler(many, 2))
    assert first != list(BucketBatchSampler(many, 2, seed=1))
    assert first != list(BucketBatchSampler(Data(many.buckets, "cd" * 16), 2))
    later = BucketBatchSampler(many, 2)
    later.set_epoch(1)
    assert first != list(later)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"rank": 2, "world_size": 2}, {"rank": -1}, {"world_size": 0}]
)
def test_wrong_arguments(wrong: dict[str, int]) -> None:
    with pytest.raises(PlanError, match="do not fit"):
        BucketBatchSampler(Data([KINDS[0]]), **{"batch_size": 1, **wrong})
