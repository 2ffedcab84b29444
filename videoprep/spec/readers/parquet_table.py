"""Reader for a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.errors import Code, Problem, SpecError
from videoprep.shell import command_line
from videoprep.spec import columns
from videoprep.spec.entries import Entries
from videoprep.spec.readers.base import Header, Row, TableReader, table_error
from videoprep.spec.text_file import require_list

INDEX_MARK = b"videoprep.index"
"""Key in the metadata of a Parquet file that is a saved index, not a dataset."""

_ROWS = 256  # of which the cells are held at once, unless they are texts
_LOOKED_AT = 20
_FEW = 16  # elements of a list that a row may hold beside its captions
_MOST_GLANCED = 1 << 26  # the same, to look at its first rows
_MOST_BYTES = 1 << 30  # of one column in one row group

_MAGIC = b"PAR1"
_BROKEN = (pa.ArrowException, OSError)


class _Damaged:
    """Stands for a cell whose bytes are not UTF-8."""


class ParquetTable(TableReader):
    """A row is told by its number. Only the columns in use are read, a row group at a time."""

    name = "parquet"
    summary = "a Parquet file"
    suffixes = (".parquet",)

    def sniff(self, path: Path) -> bool:
        try:
            return INDEX_MARK not in (pq.read_schema(path).metadata or {})
        except _BROKEN:
            return self._is_cut_off(path)

    def header(self, path: Path) -> Header:
        require_list(path)
        schema = _schema(path)
        once = [field for field in schema if schema.names.count(field.name) == 1]
        plain = [field.name for field in once if _is_plain(field.type) or _is_path(path, field)]
        return Header(list(schema.names), _first_rows(path, schema, plain))

    def rows(self, path: Path, used: Mapping[str, str], found: Entries) -> Iterator[Row]:
        require_list(path)
        schema = _schema(path)
        header = list(schema.names)
        found.header = dict.fromkeys(header)
        found.remarks += columns.other_duplicates(header, used.values(), path)
        for what, name in used.items():
            columns.find(header, name, path, what)
            _require_no_bytes(path, schema, name, what)
        names = list(used.values())
        row = 0
        try:
            with pq.ParquetFile(path, read_dictionary=_texts(path, names)) as file:
                for number in range(file.num_row_groups):
                    count = file.metadata.row_group(number).num_rows
                    if (large := _too_large(file.metadata.row_group(number), names)) is not None:
                        found.problems.append(_large_group(path, row + 1, row + count, *large))
                        found.total += count
                        row += count
                        continue
                    group = file.read_row_group(number, columns=names).combine_chunks()
                    for values in zip(
                        *(_values(group.column(name)) for name in names), strict=True
                    ):
                        row += 1
                        damaged = _Damaged in map(type, values)
                        yield Row(None, row, _not_utf8(path, row) if damaged else values)
        except _BROKEN as error:
            total = _count(path)
            found.problems.append(_cut_off(path, row + 1, error))
            found.total += max(1, total - row)

    def textual(self, path: Path) -> list[str]:
        schema = _schema(path)
        return [name for name in schema.names if not _holds_bytes(path, schema.field(name))]

    def glance(self, file: BinaryIO) -> Sequence[str] | None:
        try:
            schema = pq.read_schema(file)
        except _BROKEN:
            return ()
        return None if INDEX_MARK in (schema.metadata or {}) else list(schema.names)

    @staticmethod
    def _is_cut_off(path: Path) -> bool:
        """Whether a file begins like a Parquet file: whoever reads it says what is wrong."""
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC


READER = ParquetTable()


def _schema(path: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(path)
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise table_error(
            path, f"cannot be read as Parquet: {reason}", "write it again, or as CSV"
        ) from error
    if INDEX_MARK in (schema.metadata or {}):
        raise SpecError(
            "this is an index, not a dataset",
            where=str(path),
            remedy=f"encode it: {command_line('encode', path, output='latents', model='MODEL')}",
        )
    return schema


def _is_plain(kind: pa.DataType) -> bool:
    """Whether cells are text, numbers, or lists of them."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        return _is_plain(kind.value_type)
    if types.is_fixed_size_list(kind):
        return kind.list_size <= _FEW and _is_plain(kind.value_type)
    tests = (_is_text, types.is_integer, types.is_floating, types.is_decimal)
    return any(test(kind) for test in tests)


def _is_path(path: Path, field: pa.Field) -> bool:
    """Whether cells are objects with a path, as the datasets library writes files of elsewhere."""
    if not pa.types.is_struct(field.type):
        return False
    parts = {one.name: one.type for one in field.type}
    if not _is_text(parts.get("path", pa.null())) or parts.keys() - {"path", "bytes"}:
        return False
    return "bytes" not in parts or _is_empty(path, f"{field.name}.bytes")


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _texts(path: Path, names: list[str]) -> list[str]:
    """The columns, and the elements of lists, of which each distinct text is read once.

    A text that many rows share takes a few bytes in the file, and could fill the memory.
    """
    schema = pq.read_metadata(path).schema
    columns = map(schema.column, range(len(schema)))
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.path.split(".list.")[0] in names
    ]


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """The cells, text by text: those that are alike are one object."""
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            yield from _each(chunk)
            continue
        distinct = list(_each(chunk.dictionary))
        for at in chunk.indices.to_pylist():
            yield None if at is None else distinct[at]


def _each(values: pa.Array) -> Iterator[Any]:
    for start in range(0, len(values), _ROWS):
        some = values.slice(start, _ROWS)
        try:
            yield from some.to_pylist()
        except UnicodeDecodeError:
            yield from map(_sound, some)


def _sound(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return _Damaged()


def _first_rows(path: Path, schema: pa.Schema, names: list[str]) -> list[list[Any]]:
    """The first rows, with values for plain columns only: others may hold whole videos."""
    try:
        with pq.ParquetFile(path) as file:
            if file.num_row_groups == 0:
                return []
            sizes = _sizes(file.metadata.row_group(0))
            small = [name for name in names if sizes.get(name, 0) <= _MOST_GLANCED]
            if not small:
                return []
            batch = next(file.iter_batches(_LOOKED_AT, row_groups=[0], columns=small), None)
            rows = batch.to_pylist() if batch is not None else []
    except (*_BROKEN, UnicodeDecodeError):
        return []  # whoever reads the rows says so
    return [[row.get(name) for name in schema.names] for row in rows]


def _holds_bytes(path: Path, field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return "bytes" in names and not _is_empty(path, f"{field.name}.bytes")
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _require_no_bytes(path: Path, schema: pa.Schema, name: str, what: str) -> None:
    holds_bytes = _holds_bytes(path, schema.field(name))
    if holds_bytes and what == "video":
        raise table_error(
            path,
            f"the column {name!r} holds files, not their paths",
            "write the videos as files, and their paths into a column",
        )
    if holds_bytes:
        raise table_error(path, f"the column {name!r} holds bytes, not text", "write it as text")


def _is_empty(path: Path, leaf: str) -> bool:
    """Whether a column holds nothing, as that of a video's bytes does if it is told by its path."""
    metadata = pq.read_metadata(path)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            statistics = column.statistics if column.path_in_schema == leaf else None
            if column.path_in_schema == leaf and (
                statistics is None or statistics.null_count != group.num_rows
            ):
                return False
    return True


def _not_utf8(path: Path, row: int) -> Problem:
    remedy = "write the damaged text again, as UTF-8"
    return Problem(Code.NOT_UTF8, "a cell is not UTF-8", remedy, str(path), None, row)


def _too_large(group: Any, names: list[str]) -> tuple[str, int] | None:
    """A column in use of which a row group holds too much to read, and how many bytes that is."""
    sizes = _sizes(group)
    return next(((name, sizes[name]) for name in names if sizes.get(name, 0) > _MOST_BYTES), None)


def _sizes(group: Any) -> dict[str, int]:
    """How many bytes each column of a row group holds."""
    sizes: dict[str, int] = {}
    for number in range(group.num_columns):
        column = group.column(number)
        name = column.path_in_schema.split(".")[0]
        sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
    return sizes


def _large_group(path: Path, first: int, last: int, name: str, size: int) -> Problem:
    return Problem(
        Code.BAD_VALUE,
        f"rows {first} to {last} hold {size:,} bytes in the column {name!r}: too much to be read "
        "at once",
        "write the table with smaller row groups, and without whatever is so large",
        str(path),
        None,
        first,
    )


def _cut_off(path: Path, row: int, error: Exception) -> Problem:
    reason = " ".join(str(error).split())[:200]
    return Problem(
        Code.MALFORMED_ROW,
        f"nothing from here on can be read: {reason}",
        "copy or write the file again",
        str(path),
        None,
        row,
    )


def _count(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except _BROKEN:
        return 0
