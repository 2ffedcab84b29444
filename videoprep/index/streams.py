"""The items of each bucket as an endless stream, epoch after epoch, as a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.caption_draws import CaptionDraws
from videoprep.index.presence import ComponentPresence
from videoprep.index.shuffle import hashes, key_of, permutation, whole_part_of_sum

LAST_EPOCH = 2**32 - 2
"""Up to here it is counted exactly how often an item has come."""


class Bucketed(Protocol):
    """Anything that knows the bucket of each of its items: `BucketIndex`, `LatentDataset`.

    It may also have ``multiplicity``, float64 ``[items]`` or None: how often each item comes in an
    epoch on average; ``presence``, a `ComponentPresence` or None: which components each item lacks;
    ``caption_counts``, int64 ``[items]`` or None: how many captions each has; which ``max_tokens``
    needs, ``latent_tokens(bucket) -> int``; and, which ``regularization`` needs,
    `regularization.RegularizedItems`.
    """

    @property
    def buckets(self) -> Sequence[Bucket]:
        """The bucket of each item; fastest as a `BucketColumn`."""

    @property
    def digest(self) -> str:
        """Stands for the items, their order and their multiplicity."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The items of one bucket in the order in which they come, one epoch after the other.

    Attributes:
        bucket: of all of them.
        items: int32 ``[items]``: their numbers, ascending.
        weights: float64 ``[items]``: how often each comes in an epoch on average; None if once.
        digest: of the data.
        seed: makes another order.
        lacks: the components that none of the items has.
        captions: draws captions; None if only first ones are drawn.
    """

    bucket: Bucket
    items: NDArray[np.int32]
    weights: NDArray[np.float64] | None
    digest: str
    seed: int
    lacks: tuple[str, ...] = ()
    captions: CaptionDraws | None = None

    @property
    def name(self) -> str:
        """The bucket, and what its items lack: no other stream has this name."""
        lacking = f" without {', '.join(self.lacks)}" if self.lacks else ""
        return f"{self.bucket}{lacking}"

    def came(self, epochs: int) -> int:
        """How many items come in the first ``epochs`` epochs."""
        if self.weights is None:
            return epochs * len(self.items)
        return int(self._turns(epochs).sum())

    def most(self) -> int:
        """No epoch has more items."""
        return len(self.items) if self.weights is None else int(np.ceil(self.weights).sum())

    def order(self, epoch: int) -> NDArray[np.integer]:
        """The items of an epoch, each as often as it comes, shuffled.

        Int32; if captions are drawn, int64 with them: see `CaptionDraws.packed`.
        """
        items = self.items
        if self.weights is not None:
            items = np.repeat(items, self._turns(epoch + 1) - self._turns(epoch))
        key = key_of(self.digest, self.seed, "order", self.name, epoch)
        items = items[permutation(key, len(items))]
        if self.captions is None:
            return items
        key = key_of(self.digest, self.seed, "captions", self.name, epoch)
        return self.captions.packed(key, items)

    def last_before(self, epoch: int, count: int) -> list[NDArray[np.integer]]:
        """The last ``count`` items before an epoch, from as few earlier epochs as have them."""
        parts: list[NDArray[np.integer]] = []
        while count:
            epoch -= 1
            parts.insert(0, self.order(epoch)[-count:])
            count -= len(parts[0])
        return parts

    def _turns(self, epochs: int) -> NDArray[np.int64]:
        """How often each item comes in the first epochs: floor(epochs × weight + its phase).

        The phase, from 0 to 1, spreads items of one weight over the epochs. All is done in whole
        numbers, so that nothing is lost to rounding, however many epochs there are.
        """
        if self.weights is None:
            return np.full(len(self.items), epochs)
        whole = np.floor(self.weights)
        fractions = ((self.weights - whole) * 2.0**64).astype(np.uint64)
        phases = hashes(key_of(self.digest, self.seed, "phase"), self.items)
        return epochs * whole.astype(np.int64) + whole_part_of_sum(epochs, fractions, phases)


def make_streams(
    data: Bucketed,
    seed: int,
    captions: CaptionDraws | None = None,
    *,
    mix_absent: bool = False,
) -> tuple[Stream, ...]:
    """A stream for each bucket that has items which ever come, in the natural order of buckets.

    Items of a bucket that lack different components have streams of their own.

    Args:
        data: what is sampled.
        seed: makes another order.
        captions: draws captions; None if only first ones are drawn.
        mix_absent: whether they share one all the same.

    Raises:
        PlanError: no item ever comes, or a multiplicity is illegal.
    """
    column = data.buckets
    if not isinstance(column, BucketColumn):
        column = BucketColumn.from_buckets(column)
    weights = _weights(data, len(column))
    streams = []
    presence = None if mix_absent else _presence(data, len(column))
    for bucket, lacks, items in _members(column, presence):
        if weights is not None:
            items = items[weights[items] > 0]
        if len(items):
            own = None if weights is None else weights[items]
            streams.append(Stream(bucket, items, own, data.digest, seed, lacks, captions))
    if not streams:
        raise PlanError(
            "there are no clips to sample",
            remedy="encode or plan some first, at least one with a weight above 0",
        )
    return tuple(streams)


def _weights(data: Bucketed, items: int) -> NDArray[np.float64] | None:
    """How often each item comes in an epoch, float64 ``[items]``; None if each comes once."""
    given = getattr(data, "multiplicity", None)
    if given is None:
        return None
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (items,):
        raise PlanError(
            f"multiplicity has the shape {list(weights.shape)}, but there are {items} clips",
            remedy="give one number a clip",
        )
    wrong = np.flatnonzero(~((weights >= 0) & (weights < 2**31)))
    if len(wrong):
        raise PlanError(
            f"the multiplicity of clip {wrong[0]} is {weights[wrong[0]]}",
            remedy="give each clip a finite weight from 0 to 2147483647",
        )
    return None if bool((weights == 1).all()) else weights


def _presence(data: Bucketed, items: int) -> ComponentPresence | None:
    """Which components each item lacks; None if none of them lacks any that others have."""
    given: ComponentPresence | None = getattr(data, "presence", None)
    if given is not None and given.codes.shape != (items,):
        raise PlanError(
            f"presence has the shape {list(given.codes.shape)}, but there are {items} clips",
            remedy="give one code a clip",
        )
    return given


def _members(
    column: BucketColumn, presence: ComponentPresence | None
) -> Iterator[tuple[Bucket, tuple[str, ...], NDArray[np.int32]]]:
    """Buckets in their natural order, what items lack, and their numbers, ascending."""
    for bucket, items in _of_buckets(column):
        if presence is None:
            yield bucket, (), items
        else:
            yield from ((bucket, *part) for part in presence.parts(items))


def _of_buckets(column: BucketColumn) -> Iterator[tuple[Bucket, NDArray[np.int32]]]:
    """The ascending item numbers of each bucket, buckets in their natural order."""
    # numpy sorts 16 bits by radix, several times faster than 32.
    few = len(column.kinds) <= 2**16
    codes = column.codes.astype(np.uint16) if few else column.codes
    items = np.argsort(codes, kind="stable").astype(np.int32)
    counts = np.bincount(column.codes, minlength=len(column.kinds))
    ends = counts.cumsum()
    for bucket, start, end in zip(column.kinds, ends - counts, ends, strict=True):
        yield bucket, items[start:end]
