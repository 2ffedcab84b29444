"""What clips are called in the lists of other trainers: stems of files, captions on one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_MOST = 80
_DIGITS = 8


def stems(rows: Iterable[Mapping[str, Any]], start: int = 0) -> Iterator[str]:
    """A name a clip: its video's stem, and its place in the catalogue, which makes it unique.

    The place alone would do; the stem lets people find their clips again. What readers stumble
    over (dots, slashes, spaces, letters beyond ASCII) becomes an underscore.

    Args:
        rows: of the catalogue, in its order.
        start: the place of the first.
    """
    for number, row in enumerate(rows, start):
        readable = _UNSAFE.sub("_", PurePosixPath(row["video"]).stem)[:_MOST].strip("_")
        yield "_".join(filter(None, (f"{number:0{_DIGITS}d}", readable)))


def to_line(caption: str) -> str:
    """The caption with each run of spaces and line breaks made one space."""
    return " ".join(caption.split())


class UniqueLines:
    """Lines that differ wherever captions do, for readers that find embeddings by the line.

    Args:
        captions: of all clips; gone over twice.

    Attributes:
        marked: captions whose line is another caption's too.
    """

    def __init__(self, captions: Iterable[str]) -> None:
        # Captions that are their own line differ as they are; only the others are remembered.
        folded: dict[str, set[str]] = {}
        for caption in captions:
            line = to_line(caption)
            if line != caption:
                folded.setdefault(line, set()).add(caption)
        taken = {caption for caption in captions if caption in folded} if folded else set()
        self.marked = frozenset(
            caption
            for line, alike in folded.items()
            for caption in alike
            if line in taken or len(alike) > 1
        )

    def __call__(self, caption: str) -> str:
        """The caption's line, with a number in brackets where it is marked."""
        line = to_line(caption)
        if caption in self.marked:
            return f"{line} [{xxhash.xxh3_64_hexdigest(caption.encode())}]"
        return line


class FirstOfCaption:
    """Finds the first clip that has the caption of another.

    Args:
        captions: of all clips, in order.
        caption_of: the caption of a clip by its number.
    """

    def __init__(self, captions: Iterable[str], caption_of: Callable[[int], str]) -> None:
        hashes = np.fromiter(_hashes(captions), dtype=np.uint64)
        _, firsts, groups = np.unique(hashes, return_index=True, return_inverse=True)
        self._first: NDArray[np.int64] = firsts[groups]
        self._caption_of = caption_of

    def __call__(self, number: int) -> int:
        """The number of the first clip with the caption of this one."""
        first = int(self._first[number])
        # Two captions may have one hash; then each is written for itself.
        return first if self._caption_of(first) == self._caption_of(number) else number


def _hashes(captions: Iterable[str]) -> Iterator[int]:
    return (xxhash.xxh3_64_intdigest(caption.encode()) for caption in captions)
