"""The captions of an index one by one: those of a row after the first have places of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

FURTHER_CAPTIONS = "further_captions"
"""The column with the captions of a row after the first."""
FURTHER_KEYS = "further_prompt_keys"
"""The column with their keys."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CaptionPlaces:
    """Places for all captions of a table: first those of its rows, then their further captions.

    For example, if the rows 0, 1 and 2 have one, three and two captions, the places 0, 1 and 2 are
    the first captions, 3 and 4 are the further ones of row 1, and 5 is that of row 2.
    """

    count: int
    """How many rows the table has."""
    parents: Places
    """The row of each further caption, ascending."""
    numbers: Places
    """Which of its row's captions it is, from 1."""

    @classmethod
    def of(cls, table: pa.Table) -> CaptionPlaces:
        """Return the places of a table with the columns of an index."""
        if FURTHER_KEYS not in table.column_names:
            none = np.zeros(0, np.int64)
            return cls(table.num_rows, none, none)
        parents = _parents(table[FURTHER_KEYS])
        starts = np.flatnonzero(np.diff(parents, prepend=-1))
        lengths = np.diff(np.append(starts, len(parents)))
        numbers = np.arange(len(parents)) - np.repeat(starts, lengths) + 1
        return cls(table.num_rows, parents, numbers.astype(np.int64))

    def rows(self, places: Places) -> Places:
        """Return the row of each place."""
        if not len(self.parents):
            return places
        further = places >= self.count
        rows: Places = places.copy()
        rows[further] = self.parents[places[further] - self.count]
        return rows

    def captions(self, places: Places) -> Places:
        """Return which caption of its row each place is, from 0."""
        found: Places = np.zeros_like(places)
        further = places >= self.count
        found[further] = self.numbers[places[further] - self.count]
        return found

    def take(self, table: pa.Table, names: Sequence[str], places: Places) -> pa.Table:
        """Return columns at some places, where ``prompt_key`` is that of the caption there.

        Args:
            table: that of the places.
            names: of columns; those that it lacks are omitted.
            places: which.
        """
        there = [name for name in names if name in table.column_names]
        taken = table.select(there).take(pa.array(self.rows(places)))
        further = places >= self.count
        if "prompt_key" not in names or not further.any():
            return taken
        keys = flat(table[FURTHER_KEYS]).take(pa.array(places[further] - self.count))
        first = taken["prompt_key"].combine_chunks()
        column = pc.replace_with_mask(first, pa.array(further), keys)
        return taken.set_column(taken.column_names.index("prompt_key"), "prompt_key", column)


def further_rows(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows of the further captions of a table, ``prompt_key`` being that of each."""
    lists = table[FURTHER_KEYS]
    rows = pa.array(_parents(lists))
    there = [name for name in names if name in table.column_names]
    columns = {n: flat(lists) if n == "prompt_key" else table[n].take(rows) for n in there}
    return pa.table(columns)


def flat(column: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column of lists, one after the other."""
    return pc.list_flatten(_whole(column))


def relisted(lists: pa.Array | pa.ChunkedArray, values: pa.Array) -> pa.Array:
    """Return lists of other values, as long as those of a column, null where these are."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    null = lists.is_null()
    mask = null.combine_chunks() if isinstance(null, pa.ChunkedArray) else null
    return pa.ListArray.from_arrays(ends, values, mask=mask)


def _parents(column: pa.ChunkedArray) -> Places:
    parents: Places = pc.list_parent_indices(_whole(column)).to_numpy().astype(np.int64)
    return parents


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
