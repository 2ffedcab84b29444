"""Videos that are in several datasets, by their contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.index.multiplicity import codes_of
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.index.table import BucketIndex

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two datasets that share videos.

    Attributes:
        first: the number of one dataset.
        second: that of the other.
        videos: how many they share.
        rows: where the first of these is: in the one, and in the other.
    """

    first: int
    second: int
    videos: int
    rows: tuple[int, int]


def find_overlaps(contents: Ints, datasets: Ints) -> list[Overlap]:
    """Find the pairs of datasets that share contents; of contents in many, each with the first.

    Args:
        contents: a number for the contents of each row, ``[rows]``; rows below 0 do not count.
        datasets: the number of each row's dataset, ``[rows]``.
    """
    known = np.flatnonzero(contents >= 0)
    order = known[np.lexsort((known, datasets[known], contents[known]))]
    content, dataset = contents[order], datasets[order]
    begins = np.diff(content, prepend=-1) != 0  # of each content the first row
    other = np.flatnonzero(~begins & (np.diff(dataset, prepend=-1) != 0))
    firsts = np.flatnonzero(begins)[np.cumsum(begins)[other] - 1]
    pairs = dataset[firsts] * (int(datasets.max(initial=0)) + 1) + dataset[other]
    _, at, counts = np.unique(pairs, return_index=True, return_counts=True)
    return [
        Overlap(
            int(dataset[firsts[one]]),
            int(dataset[other[one]]),
            int(count),
            (int(order[firsts[one]]), int(order[other[one]])),
        )
        for one, count in zip(at.tolist(), counts.tolist(), strict=True)
    ]


def overlaps_in(index: BucketIndex) -> list[str]:
    """Say in sentences which datasets of an index share videos."""
    table = index.table
    if "dataset" not in table.column_names:
        return []
    contents, _ = codes_of(table["fingerprint"])
    contents[pc.is_valid(table["left_out_code"]).to_numpy()] = -1
    datasets, names = codes_of(table["dataset"])
    return [
        sentence(one, names.to_pylist(), [table["video"][row].as_py() for row in one.rows])
        for one in find_overlaps(contents, datasets)
    ]


def sentence(overlap: Overlap, names: Sequence[str], videos: Sequence[str]) -> str:
    """Say that two datasets share videos.

    Args:
        overlap: of which.
        names: of all datasets.
        videos: the first that they share, as each calls it.
    """
    one, other = names[overlap.first], names[overlap.second]
    both = " and ".join(dict.fromkeys(videos))
    return (
        f"{counted(overlap.videos, 'video')} of the dataset {other!r} "
        f"{'is' if overlap.videos == 1 else 'are'} also in {one!r}, such as {both}"
    )
