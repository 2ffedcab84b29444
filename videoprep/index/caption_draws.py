"""Which of a clip's captions is drawn: a pure function of the data, the seed and the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError
from videoprep.index.shuffle import hashes

Captions = Literal["random", "first"] | Sequence[float]
"""Which captions are drawn: ``random``: all of a clip's equally often; ``first``: only the first;
numbers: how often the first, the second … is drawn, relative to the others."""

_ITEM_BITS = 32
_ITEM = (1 << _ITEM_BITS) - 1


class ClipDraw(int):
    """The number of a clip, and which of its captions goes with it.

    It is an int, so that any dataset takes it for an item's number. `LatentDataset` gives the
    tensors of the caption: ``data[ClipDraw(3, caption=1)]`` is clip 3 with its second caption.

    Attributes:
        caption: the number of the caption, from 0.
    """

    caption: int

    def __new__(cls, number: int, caption: int = 0) -> ClipDraw:
        """Make a number that knows a caption."""
        made = super().__new__(cls, number)
        made.caption = int(caption)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return ClipDraw, (int(self), self.caption)

    def __repr__(self) -> str:
        return f"ClipDraw({int(self)}, caption={self.caption})"


@dataclass(frozen=True, slots=True, eq=False)
class CaptionDraws:
    """Draws captions of clips that have several."""

    counts: NDArray[np.int64]
    """``[items]``: how many captions each item of the data has."""
    weights: tuple[Fraction, ...] | None
    """How often each caption is drawn, by its position; None: all equally often."""

    @classmethod
    def of(cls, counts: NDArray[np.int64] | None, captions: Captions) -> CaptionDraws | None:
        """Return what draws; None if only first captions are drawn.

        Args:
            counts: ``[items]``: how many captions each has; None if each has one.
            captions: which are drawn.

        Raises:
            PlanError: ``captions`` is none of these, or its numbers are no weights.
        """
        weights = _weights(captions)
        if counts is None or captions == "first":
            return None
        return cls(np.asarray(counts, np.int64), weights)

    @property
    def state(self) -> str | list[float]:
        """What decides the draws, as a JSON value."""
        return "random" if self.weights is None else [float(weight) for weight in self.weights]

    def packed(self, key: int, items: NDArray[np.int32]) -> NDArray[np.int64]:
        """Draw a caption for each of some items, in their order; `unpacked` takes both apart.

        Args:
            key: 64 bits that decide the draws.
            items: numbers of items; one that comes twice has two draws.
        """
        numbers = hashes(key, np.arange(len(items), dtype=np.uint64))
        counts = self.counts[items]
        drawn = np.zeros(len(items), np.int64)
        for count in np.unique(counts).tolist():
            own = counts == count
            drawn[own] = np.searchsorted(self._bounds(count), numbers[own], side="right")
        return drawn << _ITEM_BITS | items

    def _bounds(self, count: int) -> NDArray[np.uint64]:
        """Where the share of each caption ends, but of the last that is ever drawn; of 2⁶⁴."""
        weights = [Fraction(1)] * count if self.weights is None else list(self.weights[:count])
        while weights and not weights[-1]:
            weights.pop()
        total = sum(weights, Fraction(0))
        ends = [int(end / total * 2**64) for end in accumulate(weights[:-1])]
        return np.array(ends, np.uint64)


def unpacked(places: NDArray[np.int64]) -> list[ClipDraw]:
    """Return what `CaptionDraws.packed` has put together."""
    items, captions = (places & _ITEM).tolist(), (places >> _ITEM_BITS).tolist()
    return list(map(ClipDraw, items, captions))


def _weights(captions: object) -> tuple[Fraction, ...] | None:
    """Weights as they are given; None for a word.

    Raises:
        PlanError: it is neither a known word nor a list of weights.
    """
    if captions in ("random", "first"):
        return None
    remedy = "use 'random', 'first', or a weight for each position, such as (2, 1, 1)"
    if isinstance(captions, str) or not isinstance(captions, Sequence):
        raise PlanError(f"captions is {captions!r}", remedy=remedy)
    for weight in captions:
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or weight < 0:
            raise PlanError(f"{weight!r} is no weight of a caption", remedy=remedy)
    if not any(captions):
        raise PlanError("no caption has a weight above 0", remedy=remedy)
    return tuple(Fraction(float(weight)) for weight in captions)
