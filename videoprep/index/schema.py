"""The columns of an index. Documented in ``docs/plan.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.spec.roles import VIDEO, Alignment, Role, distinct

VERSION = 3
"""Version 2 had no ``audio_key``: whether its videos have sound is not known."""

VERSION_WITH_MEDIA = 4
"""That of an index with columns of `media_columns`. One without any is of version 3."""

VERSION_WITH_OPTIONAL = 5
"""That of an index with a column of `OPTIONAL`, or with stills, which have no rate."""

FILE_SCHEMA = pa.schema(
    [
        ("sample", pa.string()),
        ("clip", pa.int32()),
        ("video", pa.string()),
        ("caption", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("split", pa.string()),
        ("weight", pa.float64()),
        ("repeats", pa.int32()),
        ("fingerprint", pa.string()),
        ("stream", pa.int16()),
        ("pyav_only", pa.bool_()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("source_frames", pa.int32()),
        ("source_fps", pa.float64()),
        ("available_frames", pa.int32()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("fps", pa.float64()),
        ("speed", pa.float64()),
        ("frame_indices", pa.string()),
        ("frame_ticks", pa.string()),
        ("time_base", pa.string()),
        ("crop_x", pa.int32()),
        ("crop_y", pa.int32()),
        ("crop_width", pa.int32()),
        ("crop_height", pa.int32()),
        ("fit_x", pa.int32()),
        ("fit_y", pa.int32()),
        ("fit_width", pa.int32()),
        ("fit_height", pa.int32()),
        ("frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("video_key", pa.string()),
        ("image_key", pa.string()),
        ("prompt_key", pa.string()),
        ("audio_key", pa.string()),
        ("left_out_code", pa.string()),
        ("left_out_reason", pa.string()),
    ]
)
"""One row a clip, and one a sample that is skipped: with a code and a reason, without a bucket."""

REPEATED = (
    "file", "split", "frame_indices", "frame_ticks", "time_base", "left_out_code",
    "left_out_reason",
)  # fmt: skip
"""Text that many rows share: held once each in memory."""


@dataclass(frozen=True, slots=True)
class OptionalColumn:
    """A column that an index has only if some row has a value in it."""

    type: pa.DataType
    repeated: bool = False
    """Whether many rows share its values, text, which are then held once each in memory."""


OPTIONAL: Mapping[str, OptionalColumn] = {
    "dataset": OptionalColumn(pa.string(), repeated=True),
    "dataset_weight": OptionalColumn(pa.float64()),
    "further_captions": OptionalColumn(pa.list_(pa.string())),
    "further_prompt_keys": OptionalColumn(pa.list_(pa.string())),
    "background": OptionalColumn(pa.string(), repeated=True),
}
"""The optional columns, by name, in the order in which they are stored."""


@dataclass(frozen=True, slots=True)
class MediaColumn:
    """A column of each role of a kind."""

    name: str
    """What follows the role's words in its name."""
    type: pa.DataType
    repeated: bool = False
    """Whether many rows share its values, text, which are then held once each in memory."""
    needed: bool = True
    """Whether every planned clip that has the medium has a value."""


_OF_FILE = (
    MediaColumn("path", pa.string()),
    MediaColumn("fingerprint", pa.string()),
    MediaColumn("stream", pa.int16()),
)
_OF_PICTURE = (
    *_OF_FILE,
    MediaColumn("source_width", pa.int32()),
    MediaColumn("source_height", pa.int32()),
    MediaColumn("frame_indices", pa.string(), repeated=True),
    MediaColumn("frame_ticks", pa.string(), repeated=True, needed=False),
    MediaColumn("time_base", pa.string(), repeated=True, needed=False),  # null of a still image
)
_KEY = MediaColumn("key", pa.string())
_MEDIA_COLUMNS: Mapping[Alignment, tuple[MediaColumn, ...]] = {
    # Which part of the picture is taken, and its size, follow from the clip's; see `Clip`.
    "frames": (*_OF_PICTURE, _KEY),
    "time": (*_OF_FILE, MediaColumn("start", pa.string(), repeated=True)),
    "free": (
        *_OF_PICTURE,
        *(MediaColumn(f"crop_{side}", pa.int32()) for side in ("x", "y", "width", "height")),
        *(MediaColumn(side, pa.int32()) for side in ("frames", "height", "width")),
        _KEY,
    ),
}


def media_columns(role: Role) -> tuple[MediaColumn, ...]:
    """Return the columns that say which file of a role a clip has, and what of it."""
    return _MEDIA_COLUMNS[role.kind.alignment]


def media_column(role: Role, name: str) -> str:
    """Return what a column of a role is called in a table: ``audio_path``."""
    return f"{role.words}_{name}"


def key_column(role: Role) -> str:
    """Return the column that names what is made of a role."""
    return "video_key" if role == VIDEO else media_column(role, "key")


@dataclass(frozen=True, slots=True)
class FurtherColumns:
    """What columns an index has beside those that every index has."""

    roles: tuple[Role, ...] = ()
    """Those of the media that some sample has beside its video."""
    optional: tuple[str, ...] = ()
    """Those of `OPTIONAL` in which some row has a value."""

    @classmethod
    def named(cls, names: Iterable[str]) -> FurtherColumns:
        """Return what a table with columns of these names has.

        Raises:
            SpecError: columns are those of no role, or of one twice.
        """
        names = frozenset(names)
        return cls(roles_in(names), tuple(name for name in OPTIONAL if name in names))

    @classmethod
    def used_in(cls, table: pa.Table) -> FurtherColumns:
        """Return what of the columns of a table has a value in some row."""
        all_of_it = cls.named(table.column_names)
        return cls(
            tuple(r for r in all_of_it.roles if _is_used(table, media_column(r, "path"))),
            tuple(name for name in all_of_it.optional if _is_used(table, name)),
        )

    def __or__(self, other: FurtherColumns) -> FurtherColumns:
        """Return what either has."""
        either = {*self.optional, *other.optional}
        return FurtherColumns(
            distinct({*self.roles, *other.roles}), tuple(n for n in OPTIONAL if n in either)
        )

    @property
    def repeated(self) -> tuple[str, ...]:
        """The columns whose text many rows share: it is held once each in memory."""
        of_roles = (
            media_column(role, column.name)
            for role in self.roles
            for column in media_columns(role)
            if column.repeated
        )
        return (*REPEATED, *of_roles, *(n for n in self.optional if OPTIONAL[n].repeated))

    @property
    def file_schema(self) -> pa.Schema:
        """The columns of a file."""
        of_roles = [
            pa.field(media_column(role, column.name), column.type)
            for role in self.roles
            for column in media_columns(role)
        ]
        optional = [pa.field(name, OPTIONAL[name].type) for name in self.optional]
        return pa.schema([*FILE_SCHEMA, *of_roles, *optional])

    @property
    def memory_schema(self) -> pa.Schema:
        """The columns of `file_schema` as they are held in memory."""
        held_once, shared = pa.dictionary(pa.int32(), pa.string()), self.repeated
        return pa.schema(
            [pa.field(f.name, held_once) if f.name in shared else f for f in self.file_schema]
        )

    def of(self, table: pa.Table) -> pa.Table:
        """Return a table with these columns and no others; null if it lacks them."""
        schema = self.memory_schema
        if schema.names == table.column_names:
            return table
        columns = [
            table[field.name]
            if field.name in table.column_names
            else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def version_of(table: pa.Table) -> int:
    """Return the version of an index with the columns of a table, all of them in use."""
    further = FurtherColumns.named(table.column_names)
    stills = pc.and_(pc.is_null(table["fps"]), pc.is_null(table["left_out_code"]))
    pictures = any(role.kind.alignment != "time" for role in further.roles)
    if further.optional or pictures or pc.any(stills).as_py():
        return VERSION_WITH_OPTIONAL
    return VERSION_WITH_MEDIA if further.roles else VERSION


def _is_used(table: pa.Table, name: str) -> bool:
    return bool(table[name].null_count < table.num_rows)


def roles_in(names: Iterable[str]) -> tuple[Role, ...]:
    """Return the roles that have columns in a table, in their order.

    Args:
        names: of the table's columns.

    Raises:
        SpecError: columns are those of no role, or of one twice.
    """
    suffix = "_path"
    return distinct(
        Role.from_words(name.removesuffix(suffix)) for name in names if name.endswith(suffix)
    )


OF_SAMPLE = (
    "sample", "clip", "video", "caption", "file", "line", "split", "weight", "repeats",
    "fingerprint", "video_key", "image_key", "prompt_key", "audio_key",
)  # fmt: skip
"""Columns that are each row's own; the others are the same for clips that are alike."""


SCHEMA = FurtherColumns().memory_schema
"""The columns of an index without further media, as they are held in memory."""


def caption_counts_of(further: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """Int64 ``[rows]``: how many captions each clip has; None if each has one.

    Args:
        further: a column with the lists of those after the first.
    """
    lengths = pc.fill_null(pc.list_value_length(further), 0).to_numpy()
    return lengths.astype(np.int64) + 1 if lengths.any() else None


def joined(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose lists of texts without spaces, if it holds such, are one text each."""
    return pc.binary_join(column, " ") if pa.types.is_list(column.type) else column


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose text is held once each, written out."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
