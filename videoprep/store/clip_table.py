"""The clips of a catalogue that a dataset consists of, held as Arrow columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videoprep.errors import StoreError
from videoprep.families.caption_places import FURTHER_CAPTIONS, flat, relisted
from videoprep.families.component import Component, ordered
from videoprep.index.arrow_buffer import reader_of
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.schema import FILE_SCHEMA, REPEATED, caption_counts_of
from videoprep.shell import command_line
from videoprep.store.catalogue import FURTHER, STORED, further_column
from videoprep.store.shard_reader import Place

_SIDES = ("frames", "height", "width")
_REQUIRED = ("caption", "frame_indices", "split", "weight", "repeats", *_SIDES)

_PLACE_TYPES: Mapping[str, Any] = {
    name: STORED.field(name).type
    for name in ("shard", "key", "offset", "bytes", "dtype", "shape", "xxh3")
}
"""The columns of each component, in the order of the fields of `Place`."""

# A dictionary up to this size becomes a list of Python's own objects, which are faster to get at.
_FEW = 1024

Getter = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which clips are wanted, and what of them; None: all.

    Attributes:
        split: of these splits only.
        buckets: of these buckets only.
        components: these tensors only, in the order of `ordered`.
        checked: whether the tensors' hashes are wanted, too.
    """

    split: tuple[str, ...] | None
    buckets: tuple[Bucket, ...] | None
    components: tuple[Component, ...] | None
    checked: bool
    optional: frozenset[Component] = frozenset()
    """The components that a clip may do without, such as those of its sound if it has none, or of
    image-to-video if it is a still image."""
    required: frozenset[Component] = frozenset()
    """Those of them without which a clip is not wanted all the same."""


class ClipTable:
    """Clips, numbered from 0 in the order of the catalogue.

    Some hundred bytes a clip: Arrow's columns, and none of Python's objects.

    Args:
        file: the catalogue.
        filters: which clips are wanted.
        where: the store; for messages.

    Attributes:
        table: a row a clip. Repeated text and shapes are held once a row group.
        components: the tensors that each clip has.
        buckets: the bucket of each clip.
        incomplete: how many clips are wanted but lack one of the components.

    Raises:
        StoreError: the catalogue lacks columns or values, or what is asked for is not there.
        pyarrow.ArrowException: it is damaged.
    """

    def __init__(self, file: pq.ParquetFile, filters: Filters, where: str) -> None:
        names = file.schema_arrow.names
        self.components = _choose(names, filters.components, where)
        of_tensors = _prefixes(listed_components(names))
        clip_columns = [name for name in names if not name.startswith(of_tensors)]
        self._further = [name for name in self.components if further_column(name) in names]
        place_columns = _place_columns(self.components, filters.checked)
        place_columns += map(further_column, self._further)
        _require(names, [*_REQUIRED, *place_columns], where)
        self._optional, self._checked = filters.optional, filters.checked
        certain = [name for name in self.components if name not in filters.optional]
        required = _place_columns(certain, filters.checked)
        wanted, complete, self.buckets = _find(file, filters, self.components, where)
        self.incomplete = int((wanted & ~complete).sum())
        batches = list(_read(file, [*clip_columns, *place_columns], wanted & complete))
        for batch in batches:
            _require_whole(batch, [*_SIDES, "caption", "frame_indices", *required], where)
            for component in filters.optional.intersection(self.components):
                _require_alike(batch, _place_columns([component], filters.checked), where)
            _require_further(batch, self._further, where)
        self.table: pa.Table = pa.Table.from_batches(batches) if batches else _EMPTY
        self._starts: list[int] = [0, *accumulate(batch.num_rows for batch in batches)]
        self._rows = [_getters(batch, clip_columns) for batch in batches]
        self._places = [_place_getters(batch, self.components) for batch in batches]
        self._lists = [_getters(batch, map(further_column, self._further)) for batch in batches]

    def __len__(self) -> int:
        return self._starts[-1]

    def splits(self) -> tuple[str, ...]:
        """The splits that the clips are in, in alphabetical order."""
        return _splits(self.table["split"])

    @property
    def caption_counts(self) -> NDArray[np.int64] | None:
        """Int64 ``[clips]``: how many captions each clip has; None if each has one."""
        if FURTHER_CAPTIONS not in self.table.schema.names:
            return None
        return caption_counts_of(self.table[FURTHER_CAPTIONS])

    def caption(self, number: int, caption: int) -> str:
        """One of a clip's captions after the first.

        Raises:
            IndexError: it has no such caption.
        """
        part, row = self._locate(number)
        texts = self._rows[part].get(FURTHER_CAPTIONS, _nothing)(row) or ()
        if not 0 < caption <= len(texts):
            raise IndexError(f"caption {caption} of {len(texts) + 1} of clip {number}")
        return str(texts[caption - 1])

    def places(self, number: int, caption: int = 0) -> dict[Component, Place]:
        """Where a clip's tensors lie, by one of its captions. Costs some microseconds."""
        part, row = self._locate(number)
        places = self._places[part]
        if not self._optional:
            found = {name: Place(*[get(row) for get in places[name]]) for name in places}
        else:
            there = {name: [get(row) for get in getters] for name, getters in places.items()}
            found = {n: Place(*values) for n, values in there.items() if values[0] is not None}
        for name in self._further if caption else ():
            place = self._lists[part][further_column(name)](row)[caption - 1]
            place |= {"shape": tuple(place["shape"])}
            place |= {} if self._checked else {"xxh3": None}
            found[name] = Place(*(place[column] for column in _PLACE_TYPES))
        return found

    def digested(self) -> tuple[pa.Table, list[str]]:
        """The table, and which of its columns name the tensors of each clip, of all captions."""
        table, names = self.table, [f"{component}_key" for component in self.components]
        for name in self._further:
            lists = table[further_column(name)]
            keys = pc.struct_field(flat(lists), "key")
            names.append(f"{further_column(name)}_keys")
            table = table.append_column(names[-1], pa.chunked_array([relisted(lists, keys)]))
        return table, names

    def there(self) -> dict[Component, NDArray[np.bool_]]:
        """Whether each clip has a component, of those that it may do without: bool ``[clips]``."""
        names = [name for name in self.components if name in self._optional]
        if not len(self):
            return {}
        return {name: self.table[f"{name}_shard"].is_valid().to_numpy() for name in names}

    def row(self, number: int) -> dict[str, Any]:
        """A clip's columns but those of its tensors. Costs some microseconds."""
        part, row = self._locate(number)
        return {name: get(row) for name, get in self._rows[part].items()}

    def _locate(self, number: int) -> tuple[int, int]:
        part = bisect_right(self._starts, number) - 1
        return part, number - self._starts[part]


_EMPTY = pa.schema(
    [FILE_SCHEMA.field(name) for name in ("split", "weight", "repeats")]
).empty_table()


def open_catalogue(data: bytes) -> pq.ParquetFile:
    """Opens a catalogue so that text which rows share is not read once a row.

    Raises:
        pyarrow.ArrowException: it is damaged.
    """
    metadata = pq.read_metadata(reader_of(data))
    there = metadata.schema.to_arrow_schema().names
    components = listed_components(there)
    places = [f"{component}_{name}" for component in components for name in ("shard", "dtype")]
    shared = [name for name in (*REPEATED, "dataset", *places) if name in there]
    return pq.ParquetFile(reader_of(data), metadata=metadata, read_dictionary=shared)


def listed_components(columns: Iterable[str]) -> tuple[Component, ...]:
    """Return the components of which a catalogue with these columns says where they lie."""
    last = "_shard"
    return ordered(name.removesuffix(last) for name in columns if name.endswith(last))


# Choosing


def _prefixes(components: Iterable[Component]) -> tuple[str, ...]:
    """Longest first: columns of ``mask_face`` begin with the name of ``mask``, too."""
    return tuple(f"{component}_" for component in sorted(components, key=len, reverse=True))


def _place_columns(components: Iterable[Component], checked: bool) -> list[str]:
    names = [name for name in _PLACE_TYPES if checked or name != "xxh3"]
    return [f"{component}_{name}" for component in components for name in names]


def _choose(
    names: Sequence[str], wanted: tuple[Component, ...] | None, where: str
) -> tuple[Component, ...]:
    there = listed_components(names)
    if wanted is None:
        return there
    missing = [component for component in wanted if component not in there]
    if missing or not wanted:
        raise StoreError(
            f"the store has no {missing[0]!r}; it has: {', '.join(there)}"
            if missing
            else f"no components are chosen; the store has: {', '.join(there)}",
            where=where,
            remedy="choose among them, or encode what is missing: `videoprep encode` adds it",
        )
    return wanted


def _require(names: Sequence[str], required: Sequence[str], where: str) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        raise _damaged(f"lacks the columns {', '.join(missing)}", where)


def _require_whole(batch: pa.RecordBatch, names: Sequence[str], where: str) -> None:
    for name in names:
        if batch.column(name).null_count:
            raise _damaged(f"has clips without {name}", where)


def _require_alike(batch: pa.RecordBatch, names: Sequence[str], where: str) -> None:
    """Columns of which a clip has all or none."""
    known = [batch.column(name).is_valid() for name in names]
    for name, there in zip(names, known, strict=True):
        if not there.equals(known[0]) and not name.endswith("_key"):
            raise _damaged(f"has clips with a part of {names[0]} and {name}", where)


def _require_further(batch: pa.RecordBatch, components: Sequence[Component], where: str) -> None:
    """Each caption after the first has an artifact of each component that is made from captions."""
    if not components:
        return
    names = [FURTHER_CAPTIONS, *map(further_column, components)]
    _require(batch.schema.names, names, where)
    lengths = [pc.fill_null(pc.list_value_length(batch.column(name)), 0) for name in names]
    for name, own in zip(names, lengths, strict=True):
        if not own.equals(lengths[0]):
            raise _damaged(f"has clips with other numbers of {name} than of captions", where)
    for name in names[1:]:
        places = pc.list_flatten(batch.column(name))
        shapes = pc.list_flatten(pc.struct_field(places, "shape"))
        fields = (pc.struct_field(places, one) for one in STORED.names)
        if shapes.null_count or any(one.null_count for one in fields):
            raise _damaged(f"has clips with a part of {name}", where)


def _damaged(what: str, where: str) -> StoreError:
    return StoreError(
        f"the catalogue is damaged: it {what}",
        where=where,
        remedy=f"run `{command_line('verify', where, repair=True)}`",
    )


def _find(
    file: pq.ParquetFile, filters: Filters, components: tuple[Component, ...], where: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], BucketColumn]:
    """Which rows are wanted, and which are complete: bool ``[rows]``; and both's buckets."""
    shards = [f"{component}_shard" for component in components]
    keys = [f"{component}_key" for component in components if component in filters.optional]
    further = [further_column(name) for name in components]
    further = [name for name in further if name in file.schema_arrow.names]
    table = file.read(["split", *_SIDES, *shards, *keys, *further])
    wanted = np.ones(table.num_rows, np.bool_)
    if filters.split is not None:
        masks = [_of_split(table["split"], name, where) for name in filters.split]
        wanted &= np.logical_or.reduce(masks)
    complete = np.ones(table.num_rows, np.bool_)
    for component in components:
        there = table[f"{component}_shard"].is_valid()
        if component in filters.optional:
            there = pc.or_(there, pc.is_null(table[f"{component}_key"]))
        complete &= there.to_numpy()
    for name in further:
        complete &= ~_lacking(table[name])
    for name in _SIDES:
        if table[name].null_count or not pa.types.is_integer(table[name].type):
            raise _damaged(f"has clips without {name}", where)
    sides = [table[name].to_numpy() for name in _SIDES]
    if any(len(side) and not 0 < side.min() <= side.max() < 2**20 for side in sides):
        raise _damaged("has clips of impossible sizes", where)
    if filters.buckets is not None:
        column = BucketColumn.of(*(side[wanted] for side in sides))
        wanted[wanted] = _of_buckets(column, filters.buckets, where)
    both = wanted & complete
    return wanted, complete, BucketColumn.of(*(side[both] for side in sides))


def _lacking(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which clips lack an artifact of a caption after the first."""
    lists = column.cast(FURTHER).combine_chunks()
    gone = pc.is_null(pc.struct_field(flat(column), "shard")).to_numpy(zero_copy_only=False)
    lacking = np.zeros(len(column), np.bool_)
    lacking[pc.list_parent_indices(lists).to_numpy()[gone]] = True
    return lacking


def _of_split(column: pa.ChunkedArray, split: str, where: str) -> NDArray[np.bool_]:
    there = _splits(column)
    if split not in there:
        raise StoreError(
            f"there is no split {split!r}; there are: {', '.join(there) or 'none'}",
            where=where,
            remedy="plan with `split`, or a column split in the table, and encode again",
        )
    mask: NDArray[np.bool_] = pc.fill_null(pc.equal(column, split), False).to_numpy()
    return mask


def _splits(column: pa.ChunkedArray) -> tuple[str, ...]:
    # Each chunk has a dictionary of its own, which may hold values that no row has any more.
    values = {value for chunk in column.chunks for value in pc.unique(chunk).to_pylist()}
    return tuple(sorted(filter(None, values)))


def _of_buckets(column: BucketColumn, buckets: tuple[Bucket, ...], where: str) -> NDArray[np.bool_]:
    missing = [bucket for bucket in buckets if bucket not in column.kinds]
    if missing or not buckets:
        there = ", ".join(map(str, column.kinds)) or "none"
        asked = f"there are no clips of {missing[0]}" if missing else "no buckets are chosen"
        raise StoreError(f"{asked}; there are: {there}", where=where, remedy="choose among them")
    codes = [column.kinds.index(bucket) for bucket in buckets]
    return np.isin(column.codes, codes)


# Reading


def _read(
    file: pq.ParquetFile, columns: Sequence[str], mask: NDArray[np.bool_]
) -> Iterable[pa.RecordBatch]:
    """The chosen rows. One row group at a time, so that the others take no memory."""
    prefixes = _prefixes(listed_components(columns))
    start = 0
    for number in range(file.num_row_groups):
        end = start + file.metadata.row_group(number).num_rows
        chosen, start = mask[start:end], end
        if not chosen.any():
            continue
        table = file.read_row_group(number, columns=columns)
        if not chosen.all():
            table = table.filter(pa.array(chosen))
        for batch in table.combine_chunks().to_batches():
            fixed = [_normal(name, batch.column(name), prefixes) for name in columns]
            yield pa.RecordBatch.from_arrays(fixed, names=list(columns))


def _normal(name: str, array: pa.Array, prefixes: Iterable[str]) -> pa.Array:
    """A column in the type that it is documented to have; shapes and repeated text held once."""
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
    if prefix is None:
        if name not in FILE_SCHEMA.names or pa.types.is_dictionary(array.type):
            return array
        return array.cast(FILE_SCHEMA.field(name).type)
    kind = name.removeprefix(prefix)
    if kind == "further":
        return array.cast(FURTHER)
    if kind == "shape":
        return _encode_shapes(array.cast(_PLACE_TYPES[kind]))
    if kind in ("shard", "dtype"):
        return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    return array.cast(_PLACE_TYPES[kind])


def _encode_shapes(array: pa.Array) -> pa.Array:
    """Lists of int64 as a dictionary of their bytes: there are millions, but few that differ."""
    values = array.flatten()
    if values.null_count:
        raise pa.ArrowInvalid("a shape lacks a dimension")
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64) * 8]).astype(np.int32)
    numbers = np.ascontiguousarray(values.to_numpy(), np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(numbers)]
    encoded = pa.BinaryArray.from_buffers(pa.binary(), len(array), buffers).dictionary_encode()
    valid = array.is_valid()
    return pc.if_else(valid, encoded, None) if array.null_count else encoded


# Getting at one value


def _getters(batch: pa.RecordBatch, names: Iterable[str]) -> dict[str, Getter]:
    return {name: _getter(batch.column(name)) for name in names}


def _place_getters(
    batch: pa.RecordBatch, components: Iterable[Component]
) -> dict[Component, list[Getter]]:
    """For each component the getters of the fields of a `Place`, in their order."""
    getters: dict[Component, list[Getter]] = {}
    for component in components:
        fields: dict[str, Getter] = {"xxh3": _nothing}
        for name in _PLACE_TYPES:
            if f"{component}_{name}" in batch.schema.names:
                column = batch.column(f"{component}_{name}")
                fields[name] = _shape_getter(column) if name == "shape" else _getter(column)
        getters[component] = [fields[name] for name in _PLACE_TYPES]
    return getters


def _getter(array: pa.Array) -> Getter:
    """Gives a value of a column as Python's own object."""
    if array.null_count:
        return partial(_get, array)
    if pa.types.is_dictionary(array.type):
        codes = array.indices.to_numpy().item
        values = array.dictionary
        if len(values) <= _FEW:
            return partial(_get_of_list, values.to_pylist(), codes)
        return partial(_get_of_dictionary, values, codes)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        getter: Getter = array.to_numpy().item  # a view, no copy
        return getter
    if pa.types.is_string(array.type):
        _, ends, text = array.buffers()  # no text at all has no buffer
        numbers = np.frombuffer(ends, np.int32)[array.offset :]
        return partial(_get_of_text, memoryview(text or b""), numbers.item)
    return partial(_get, array)


def _shape_getter(array: pa.Array) -> Getter:
    if array.null_count:
        return partial(_get_shape, array)
    shapes = [tuple(np.frombuffer(raw, np.int64).tolist()) for raw in array.dictionary.to_pylist()]
    return partial(_get_of_list, shapes, array.indices.to_numpy().item)


def _get(array: pa.Array, row: int) -> Any:
    return array[row].as_py()


def _get_shape(array: pa.Array, row: int) -> tuple[int, ...] | None:
    raw = array[row].as_py()
    return None if raw is None else tuple(np.frombuffer(raw, np.int64).tolist())


def _get_of_text(text: memoryview, ends: Getter, row: int) -> str:
    # A fifth of what Arrow takes for it.
    return str(text[ends(row) : ends(row + 1)], "utf-8")


def _get_of_list(values: Sequence[Any], codes: Getter, row: int) -> Any:
    return values[codes(row)]


def _get_of_dictionary(values: pa.Array, codes: Getter, row: int) -> Any:
    return values[codes(row)].as_py()


def _nothing(_row: int) -> None:
    return None
