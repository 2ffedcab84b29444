"""How many inputs go to the accelerator together: found by trial, bounded by its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


@dataclass(slots=True)
class _Size:
    now: int
    most: int


@dataclass(slots=True)
class MicroBatches(Generic[Kind]):
    """The size of micro-batches for each kind of input, such as a bucket.

    It starts at one, doubles as long as memory says nothing, and after it did never grows beyond
    half of what was too much.

    Attributes:
        most: never more than this; 1 on a CPU, where what is batched changes a result's last bits.
    """

    most: int
    _sizes: dict[Kind, _Size] = field(default_factory=dict)

    def size(self, kind: Kind) -> int:
        """How many to try next."""
        return self._of(kind).now

    def succeeded(self, kind: Kind, count: int) -> None:
        """So many fitted: try more, if that was as many as were to be tried."""
        size = self._of(kind)
        if count >= size.now:
            size.now = min(size.now * 2, size.most)

    def failed(self, kind: Kind, count: int) -> None:
        """So many did not fit."""
        size = self._of(kind)
        size.most = max(1, min(size.most, count // 2))
        size.now = size.most

    def _of(self, kind: Kind) -> _Size:
        return self._sizes.setdefault(kind, _Size(1, self.most))
