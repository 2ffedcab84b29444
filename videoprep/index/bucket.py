"""A bucket: clips of one length and one size, which can be batched. And a column of buckets."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """Frames, height and width of a clip, in pixels."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames}×{self.height}×{self.width}"

    @property
    def plain(self) -> str:
        """As it is given on a command line and in names of files: ``49x480x720``."""
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def pixels(self) -> int:
        """Frames × height × width: what encoding a clip costs, up to a factor."""
        return self.frames * self.height * self.width


class BucketColumn(Sequence[Bucket]):
    """The buckets of many items, four bytes an item. Cannot be changed.

    Equal to every other sequence of the same buckets in the same order.

    Args:
        codes: int32 ``[items]``: which of the kinds each item is of.
        kinds: the buckets that may occur, in their natural order, each once.

    Raises:
        PlanError: the kinds are not in order, or a code names none of them.
    """

    __slots__ = ("codes", "kinds")
    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none either

    codes: NDArray[np.int32]
    kinds: tuple[Bucket, ...]

    def __init__(self, codes: NDArray[np.integer], kinds: Iterable[Bucket]) -> None:
        self.kinds = tuple(kinds)
        if list(self.kinds) != sorted(set(self.kinds)):
            raise PlanError(
                "the kinds of a column of buckets are not in order, or not distinct",
                remedy="make it with BucketColumn.of or BucketColumn.from_buckets",
            )
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(self.kinds):
            raise PlanError(
                f"a column of {len(self.kinds)} kinds of buckets has codes from {codes.min()} "
                f"to {codes.max()}",
                remedy="make it with BucketColumn.of or BucketColumn.from_buckets",
            )
        self.codes = codes.astype(np.int32)  # a copy, so that nobody else can write to it
        self.codes.flags.writeable = False

    @classmethod
    def of(
        cls,
        frames: NDArray[np.integer],
        height: NDArray[np.integer],
        width: NDArray[np.integer],
    ) -> BucketColumn:
        """From whole numbers ``[items]`` of frames and pixels."""
        sides = (frames, height, width)
        shape = tuple(int(side.max(initial=0)) + 1 for side in sides)
        flat = np.ravel_multi_index(sides, shape)
        distinct = np.unique(flat)
        kinds = zip(*(side.tolist() for side in np.unravel_index(distinct, shape)), strict=True)
        return cls(np.searchsorted(distinct, flat), (Bucket(*kind) for kind in kinds))

    @classmethod
    def from_buckets(cls, buckets: Iterable[Bucket]) -> BucketColumn:
        """From one bucket an item."""
        given = list(buckets)
        kinds = sorted(set(given))
        code = {bucket: number for number, bucket in enumerate(kinds)}
        return cls(np.fromiter((code[b] for b in given), np.int32, len(given)), kinds)

    def counts(self) -> dict[Bucket, int]:
        """How many items each bucket has, in the natural order of buckets; none that has none."""
        counts = np.bincount(self.codes, minlength=len(self.kinds)).tolist()
        return {bucket: count for bucket, count in zip(self.kinds, counts, strict=True) if count}

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Bucket: ...

    @overload
    def __getitem__(self, index: slice) -> BucketColumn: ...

    def __getitem__(self, index: int | slice) -> Bucket | BucketColumn:
        if isinstance(index, slice):
            return BucketColumn(self.codes[index], self.kinds)
        return self.kinds[int(self.codes[operator.index(index)])]

    def __iter__(self) -> Iterator[Bucket]:
        return (self.kinds[code] for code in self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        if isinstance(other, BucketColumn) and self.kinds == other.kinds:
            return bool(np.array_equal(self.codes, other.codes))
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        counts = ", ".join(f"{bucket}: {count}" for bucket, count in self.counts().items())
        return f"BucketColumn({counts})"

    def __reduce__(self) -> tuple[Any, ...]:
        return BucketColumn, (self.codes, self.kinds)
