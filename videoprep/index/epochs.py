"""The batches of an epoch as a pure function: streams cut in global batches, and these shuffled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.index.caption_draws import ClipDraw, unpacked
from videoprep.index.shuffle import key_of, permutation
from videoprep.index.streams import Stream

Tail = Literal["pad", "drop", "carry"]
"""What becomes of items that do not fill a global batch; see `BucketBatchSampler`."""

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Cut:
    """What an epoch makes of a stream, in numbers of items.

    Attributes:
        before: those that come in earlier epochs.
        after: those that come in earlier epochs or in this one.
        size: those in a global batch.
        tail: what becomes of those left.
    """

    before: int
    after: int
    size: int
    tail: Tail

    @property
    def items(self) -> int:
        """Those that come in this epoch."""
        return self.after - self.before

    @property
    def batches(self) -> int:
        """Global batches of this epoch. One that spans epochs is of that of its last item."""
        if self.tail == "carry":
            return self.after // self.size - self.before // self.size
        return -(-self.items // self.size) if self.tail == "pad" else self.items // self.size

    @property
    def dropped(self) -> int:
        """Those skipped."""
        return self.items % self.size if self.tail == "drop" else 0

    @property
    def repeated(self) -> int:
        """Places of the last batch that are filled with items again."""
        return -self.items % self.size if self.tail == "pad" else 0

    @property
    def carried(self) -> int:
        """Those that come first in the next epochs."""
        return self.after % self.size if self.tail == "carry" else 0

    def of(self, stream: Stream, epoch: int) -> NDArray[np.integer]:
        """The items of the epoch's global batches, one batch after the other, each ``size``."""
        items = stream.order(epoch)
        if self.tail == "carry":
            items = np.concatenate([*stream.last_before(epoch, self.before % self.size), items])
        # np.resize repeats from the start where more items are asked for than there are.
        return np.resize(items, self.batches * self.size)


@dataclass(frozen=True, slots=True, eq=False)
class EpochPlan:
    """The global batches of an epoch.

    Attributes:
        items: integers ``[items]``, as in `Stream.order`: those of one batch lie side by side.
        starts: int64 ``[batches]``: where each batch begins, in the order of the steps.
        sizes: int64 ``[batches]``: how many items it has.
        draws: whether captions are drawn.
    """

    items: NDArray[np.integer]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    draws: bool = False

    @classmethod
    def of(cls, streams: Sequence[Stream], cuts: Sequence[Cut], epoch: int) -> EpochPlan:
        """Cuts the streams and shuffles the batches."""
        items = np.concatenate([cut.of(s, epoch) for s, cut in zip(streams, cuts, strict=True)])
        sizes = np.repeat([cut.size for cut in cuts], [cut.batches for cut in cuts])
        starts = np.cumsum(sizes) - sizes
        key = key_of(streams[0].digest, streams[0].seed, "batches", epoch)
        steps = permutation(key, len(sizes))
        draws = streams[0].captions is not None
        return cls(items, starts[steps], sizes[steps], draws)

    def slices(
        self, ranks: Sequence[int], world_size: int, first: int
    ) -> Iterator[list[int] | list[ClipDraw]]:
        """The ranks' parts of each global batch from number ``first`` on, one after the other."""
        for chunk in range(first, len(self.starts), _CHUNK):
            parts = self.sizes[chunk : chunk + _CHUNK, None] // world_size
            starts = self.starts[chunk : chunk + _CHUNK, None] + parts * np.array(ranks)
            ends = (starts + parts).ravel().tolist()
            for start, end in zip(starts.ravel().tolist(), ends, strict=True):
                items = self.items[start:end]
                yield unpacked(items.astype(np.int64)) if self.draws else items.tolist()
