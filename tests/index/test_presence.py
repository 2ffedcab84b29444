"""Clips that lack a component, such as latents of sound, are in batches of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.presence import ComponentPresence
from videoprep.index.sampler import BucketBatchSampler

KINDS = (Bucket(9, 64, 96), Bucket(17, 64, 96))
SOUND, DEPTH = "sound_latents", "depth_latents"

patient = settings(deadline=None)  # the machine may be busy


@dataclass
class Data:
    buckets: Sequence[Bucket]
    presence: ComponentPresence | None = None
    multiplicity: Sequence[float] | None = None
    digest: str = "ab" * 16

    def latent_tokens(self, bucket: Bucket) -> int:
        return bucket.frames


def of(sound: Sequence[bool], depth: Sequence[bool] | None = None) -> ComponentPresence | None:
    there = {SOUND: np.array(sound, np.bool_)}
    if depth is not None:
        there[DEPTH] = np.array(depth, np.bool_)
    return ComponentPresence.of(there)


clips = st.lists(
    st.tuples(st.sampled_from(KINDS), st.booleans(), st.booleans()), min_size=1, max_size=40
)


def data_of(rows: Sequence[tuple[Bucket, bool, bool]]) -> Data:
    return Data([row[0] for row in rows], of([row[1] for row in rows], [row[2] for row in rows]))


@patient
@given(clips, st.integers(1, 4), st.sampled_from([1, 2, 3]), st.sampled_from(["pad", "carry"]))
def test_no_batch_mixes(
    rows: list[tuple[Bucket, bool, bool]], size: int, world: int, tail: Any
) -> None:
    """All of a batch, over all ranks, have one bucket and lack the same; every clip comes."""
    options: dict[str, Any] = {"batch_size": size, "world_size": world, "tail": tail}
    ranks = [BucketBatchSampler(data_of(rows), rank=rank, **options) for rank in range(world)]
    seen: set[int] = set()
    for _ in range(size * world + 1):
        for step in zip(*map(list, ranks), strict=True):
            items = [item for part in step for item in part]
            assert len({rows[item] for item in items}) == 1
            seen.update(items)
    assert seen == set(range(len(rows)))


@patient
@given(clips, st.integers(1, 3), st.integers(0, 30))
def test_goes_on_where_it_was(rows: list[tuple[Bucket, bool, bool]], size: int, stop: int) -> None:
    data = data_of(rows)
    whole = list(BucketBatchSampler(data, size, seed=3))
    sampler = BucketBatchSampler(data, size, seed=3)
    batches = iter(sampler)
    first = [next(batches) for _ in range(min(stop, len(whole) - 1))]
    later = BucketBatchSampler(data, size, seed=3)
    later.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert [*first, *later] == whole


@pytest.mark.parametrize("there", [[True] * 8, [False] * 8])
def test_where_all_are_alike_nothing_changes(there: list[bool]) -> None:
    plain, same = Data([KINDS[0]] * 8), Data([KINDS[0]] * 8, of(there))
    assert same.presence is None
    assert list(BucketBatchSampler(same, 2)) == list(BucketBatchSampler(plain, 2))


def test_mixed_if_asked_as_before() -> None:
    """The batches are those of a sampler that knows nothing of presence, and so is the state."""
    plain, mixed = Data([KINDS[0]] * 9), Data([KINDS[0]] * 9, of([True, False, False] * 3))
    sampler = BucketBatchSampler(mixed, 2, mix_absent=True)
    before = BucketBatchSampler(plain, 2)
    assert sampler.state_dict() == before.state_dict()
    assert list(sampler) == list(before)
    assert list(BucketBatchSampler(mixed, 2)) != list(BucketBatchSampler(plain, 2))


def test_states_of_mixed_and_separate_batches_are_not_confused() -> None:
    """One saved by an earlier version, which mixed them, is read where they are mixed."""
    data = Data([KINDS[0]] * 9, of([True, False, False] * 3))
    earlier = BucketBatchSampler(Data(data.buckets), 2)
    state = {**earlier.state_dict(), "batch": 2}
    assert state["version"] == 1
    mixing = BucketBatchSampler(data, 2, mix_absent=True)
    mixing.load_state_dict(state)
    assert list(mixing) == list(earlier)[2:]
    apart = BucketBatchSampler(data, 2)
    assert apart.state_dict()["version"] == 2
    with pytest.raises(PlanError, match="mix clips which lack a component") as raised:
        apart.load_state_dict(state)
    assert "mix_absent=True" in str(raised.value.remedy)
    fresh = BucketBatchSampler(data, 2, mix_absent=True)
    with pytest.raises(PlanError, match="in batches of their own") as raised:
        fresh.load_state_dict(apart.state_dict())
    assert "without mix_absent" in str(raised.value.remedy)


def test_the_order_is_frozen() -> None:
    """Whoever resumes after an upgrade must get the same batches: do not change these."""
    data = Data([KINDS[item % 2] for item in range(10)], of([item % 3 > 0 for item in range(10)]))
    sampler = BucketBatchSampler(data, 2)
    assert sampler.state_dict()["global_batches"] == "b2ffc076e74cba04"
    assert list(sampler) == [[7, 1], [0, 6], [8, 4], [2, 8], [1, 5], [9, 3]]


def test_says_what_is_lacked() -> None:
    sampler = BucketBatchSampler(Data([KINDS[0]] * 3, of([True, False, True])), 2)
    assert sampler.describe().splitlines()[2:] == [
        "  9×64×96: 2 items, 1 steps of 2 × 1",
        "  9×64×96 without sound_latents: 1 items, 1 steps of 2 × 1",
    ]


def test_presence_of_other_data() -> None:
    with pytest.raises(PlanError, match=r"presence has the shape \[3\], but there are 2 clips"):
        BucketBatchSampler(Data([KINDS[0]] * 2, of([True, False, True])), 2)


def test_kinds_name_what_is_lacked() -> None:
    presence = of([True, False, False, True], [True, True, False, True])
    assert presence is not None
    assert presence.kinds == ((), (SOUND,), (DEPTH, SOUND))
    assert presence.codes.tolist() == [0, 1, 2, 0]
