"""`BucketBatchSampler`: batches of one bucket, the same on all ranks. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket

Tail = Literal["pad", "drop"]


class Bucketed(Protocol):
    """Anything that knows the bucket of each of its items: `BucketIndex`, `LatentDataset`."""

    @property
    def buckets(self) -> Sequence[Bucket]:
        """The bucket of each item."""

    @property
    def digest(self) -> str:
        """Stands for the items and their order."""


class BucketBatchSampler:
    """Yields lists of item numbers, each list from one bucket.

    A pure function of the data's digest, the seed, the epoch and the global batch: each bucket is
    shuffled and cut into global batches, the batches are shuffled, and each rank takes its slice
    of every one. So at each step all ranks have the same bucket, and together they see each item
    once an epoch. Use it as ``batch_sampler`` of a `DataLoader`.

    Args:
        data: what is sampled.
        batch_size: items in a batch of one rank.
        rank: which slice is yielded.
        world_size: how many slices there are.
        seed: makes another order.
        tail: what becomes of the items left when a bucket is cut: ``pad`` fills the last batch
            with items of the same bucket again, so that none is lost; ``drop`` leaves them out.
    """

    def __init__(
        self,
        data: Bucketed,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        tail: Tail = "pad",
    ) -> None:
        if batch_size < 1 or world_size < 1 or not 0 <= rank < world_size or seed < 0:
            raise PlanError(
                f"batch_size {batch_size}, rank {rank}, world_size {world_size}, seed {seed} "
                "do not fit",
                remedy="use batch_size ≥ 1, 0 ≤ rank < world_size and seed ≥ 0",
            )
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.epoch = 0
        self.tail = tail
        self._digest = data.digest
        self._members = _by_bucket(data.buckets)
        if not data.buckets:
            raise PlanError("there are no clips to sample", remedy="encode or plan some first")
        if not len(self):
            raise PlanError(
                f"no bucket fills a global batch of {self._global}, so no batch is left",
                remedy='use tail="pad", a smaller batch_size, or fewer buckets',
            )

    @property
    def _global(self) -> int:
        return self.batch_size * self.world_size

    @property
    def dropped(self) -> int:
        """Items left out of each epoch; 0 unless ``tail`` is ``drop``."""
        if self.tail == "pad":
            return 0
        return sum(len(items) % self._global for items in self._members)

    @property
    def repeated(self) -> int:
        """Items seen twice in each epoch to fill last batches; 0 unless ``tail`` is ``pad``."""
        if self.tail == "drop":
            return 0
        return sum(-len(items) % self._global for items in self._members)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches a rank sees in an epoch."""
        size = self._global
        if self.tail == "pad":
            return sum(-(-len(items) // size) for items in self._members)
        return sum(len(items) // size for items in self._members)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([int(self._digest, 16), self.seed, self.epoch])
        batches = [batch for items in self._members for batch in self._cut(items, random)]
        start = self.rank * self.batch_size
        for number in random.permutation(len(batches)):
            yield batches[number][start : start + self.batch_size].tolist()

    def _cut(
        self, items: NDArray[np.int64], random: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        shuffled = random.permutation(items)
        count = -(-len(items) // self._global) if self.tail == "pad" else len(items) // self._global
        # np.resize repeats from the start where more items are asked for than there are.
        return list(np.resize(shuffled, count * self._global).reshape(count, self._global))


def _by_bucket(buckets: Sequence[Bucket]) -> list[NDArray[np.int64]]:
    """Item numbers of each bucket, buckets in their natural order."""
    members: dict[Bucket, list[int]] = {}
    for item, bucket in enumerate(buckets):
        members.setdefault(bucket, []).append(item)
    return [np.array(members[bucket], dtype=np.int64) for bucket in sorted(members)]
