"""The catalogue: a row a clip, and where each of its artifacts lies. Derived, never trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videoprep.families.caption_places import (
    FURTHER_CAPTIONS,
    FURTHER_KEYS,
    CaptionPlaces,
    flat,
    relisted,
)
from videoprep.families.component import Component, Source, ordered
from videoprep.index.arrow_buffer import reader_of
from videoprep.index.diff import no_longer_planned
from videoprep.index.schema import FILE_SCHEMA, OPTIONAL
from videoprep.index.table import BucketIndex
from videoprep.store.layout import CATALOGUE, DAMAGED, FAILURES, FORMAT_VERSION, INDEX, Store
from videoprep.store.receipt import Receipt, ReceiptDamage, read_receipts
from videoprep.store.recipe import Recipe

METADATA = b"videoprep.catalogue"

_CLIP_COLUMNS = (
    "sample", "clip", "video", "caption", "file", "line", "split", "weight", "repeats",
    "fps", "speed", "start", "end", "frames", "height", "width", "source_width", "source_height",
    "crop_x", "crop_y", "crop_width", "crop_height", "fit_x", "fit_y", "fit_width", "fit_height",
    "frame_indices", "fingerprint",
)  # fmt: skip
_OPTIONAL_COLUMNS = ("dataset", "dataset_weight")
"""Those that a catalogue has if the index has them."""
_BATCH = 65_536

STORED = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("bytes", pa.int64()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("xxh3", pa.string()),
    ]
)
"""What is known of each artifact that is stored."""

FURTHER = pa.list_(pa.struct(list(STORED)))
"""The same of each artifact of a clip's captions after the first."""

_FAILED = pa.schema(
    [
        ("key", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("attempt", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What the receipts of one component say.

    Attributes:
        source: what of a clip they are made from.
        stored: a row an artifact: key, and shard, offset, bytes, dtype, shape, xxh3.
        failed: a row an artifact that failed and is not stored: key, code, reason, attempt.
        truncated: keys of captions cut to the text encoder's limit.
        tiled: keys of latents that were made in tiles because memory did not suffice.
        damaged: what is damaged of the frames of some artifacts, by key.
        damages: receipts that do not hold; what they speak of is not among the above.
        units: the units that have a receipt which holds.
    """

    source: Source
    stored: pa.Table
    failed: pa.Table
    truncated: pa.Array
    tiled: pa.Array
    damaged: Mapping[str, str]
    damages: tuple[ReceiptDamage, ...]
    units: frozenset[str]

    @property
    def settled(self) -> pa.Array:
        """Keys of all that is stored or failed."""
        return pa.concat_arrays([whole(self.stored["key"]), whole(self.failed["key"])])

    @property
    def bytes(self) -> int:
        """The size of all that is stored."""
        return int(pc.sum(self.stored["bytes"]).as_py() or 0)

    def planned(self, table: pa.Table) -> pa.Array:
        """Return the distinct artifacts that an index's table needs."""
        return whole(pc.unique(pc.drop_null(self.source.all_keys(table))))

    def count(self, table: pa.Table) -> ArtifactCounts:
        """Count what there is of the artifacts that an index's table needs, and what else."""
        planned = self.planned(table)
        unneeded = self.stored["bytes"].filter(pc.invert(is_among(self.stored["key"], planned)))
        return ArtifactCounts(
            planned=len(planned),
            stored=count_among(planned, self.stored["key"]),
            failed=count_among(planned, self.failed["key"]),
            orphans=len(unneeded),
            orphan_bytes=pc.sum(unneeded).as_py() or 0,
        )


@dataclass(frozen=True, slots=True)
class ArtifactCounts:
    """The distinct artifacts that a plan needs of one component, and those that it does not."""

    planned: int
    """All that it needs."""
    stored: int
    """Those of them that are stored."""
    failed: int
    """Those of them that failed and are not stored."""
    orphans: int
    """Stored, but not needed."""
    orphan_bytes: int
    """The size of these."""


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def is_among(keys: pa.Array | pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> Any:
    """Return for each key whether it is one of others."""
    return pc.is_in(keys, value_set=whole(others))


def without(keys: pa.Array, others: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the keys that are not among others."""
    return keys.filter(pc.invert(is_among(keys, others)))


def count_among(keys: pa.Array | pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> int:
    """Count the distinct keys that are among others."""
    return int(pc.sum(is_among(pc.unique(keys), others)).as_py() or 0)


@dataclass(slots=True)
class _Gathered:
    """Columns in the making; what is repeated is held once."""

    stored: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in STORED.names})
    failed: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in _FAILED.names})
    truncated: list[str] = field(default_factory=list)
    tiled: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    damages: list[ReceiptDamage] = field(default_factory=list)
    units: set[str] = field(default_factory=set)
    shapes: dict[tuple[int, ...], list[int]] = field(default_factory=dict)

    def add(self, receipt: Receipt, folder: str) -> None:
        """Adds what a receipt says."""
        self.units.add(receipt.unit)
        shard = f"{folder}/{receipt.shard}"
        for one in receipt.tensors:
            shape = self.shapes.setdefault(one.shape, list(one.shape))
            row = (one.key, shard, one.offset, one.size, one.dtype, shape, one.xxh3)
            for column, value in zip(self.stored.values(), row, strict=True):
                column.append(value)
        for failure in receipt.failures:
            for name, column in self.failed.items():
                column.append(getattr(failure, name))
        self.truncated += receipt.truncated
        self.tiled += receipt.tiled
        self.damaged |= receipt.damaged


def read_artifacts(store: Store, recipe: Recipe) -> Artifacts:
    """Reads all receipts of a recipe.

    Raises:
        OSError: the file system fails.
    """
    folder = store.folder(recipe)
    return gather(read_receipts(store.files, folder), folder, recipe.source)


def gather(receipts: Iterable[Receipt | ReceiptDamage], folder: str, source: Source) -> Artifacts:
    """What receipts of one folder say, as columns.

    Args:
        receipts: ordered by name; of an artifact that two of them have, the first counts.
        folder: where they and their shards lie.
        source: what of a clip their artifacts are made from.
    """
    gathered = _Gathered()
    for found in receipts:
        if isinstance(found, ReceiptDamage):
            gathered.damages.append(found)
        else:
            gathered.add(found, folder)
    stored = _first_of_each(pa.table(gathered.stored, schema=STORED))
    failed = pa.table(gathered.failed, schema=_FAILED).sort_by([("attempt", "descending")])
    unmet = pc.invert(is_among(failed["key"], stored["key"]))
    return Artifacts(
        source=source,
        stored=stored,
        failed=_first_of_each(failed.filter(unmet)),
        truncated=pa.array(gathered.truncated, pa.string()),
        tiled=pa.array(gathered.tiled, pa.string()),
        damaged=gathered.damaged,
        damages=tuple(gathered.damages),
        units=frozenset(gathered.units),
    )


def _first_of_each(table: pa.Table) -> pa.Table:
    """An artifact that two units hold, or that failed more than once, counts once."""
    distinct = pc.unique(table["key"])
    if len(distinct) == table.num_rows:
        return table
    return table.take(pc.index_in(distinct, value_set=table["key"].combine_chunks()))


@dataclass(frozen=True, slots=True)
class SetAside:
    """A clip that lacks an artifact because making it failed.

    Attributes:
        video: the file, as the dataset names it.
        file: the list that names it.
        line: the line in that list.
        clip: which of the sample's clips it is, from 0.
        component: what could not be made.
        code: why, in a stable word.
        reason: why, in words.
        attempt: how often it has been tried.
        caption: of which of the clip's captions, from 0.
    """

    video: str
    file: str
    line: int
    clip: int
    component: Component
    code: str
    reason: str
    attempt: int
    caption: int = 0


def set_aside(index: BucketIndex, artifacts: Mapping[Component, Artifacts]) -> list[SetAside]:
    """The clips of a plan that lack an artifact because making it failed, in the plan's order."""
    found: list[tuple[int, int, SetAside]] = []
    places = CaptionPlaces.of(index.table)
    for order, component in enumerate(ordered(artifacts)):
        made = artifacts[component]
        failed = {row["key"]: row for row in made.failed.to_pylist()}
        keys = made.source.all_keys(index.table)
        lacking = np.flatnonzero(is_among(keys, made.failed["key"]).to_numpy())
        numbers = places.rows(lacking)
        names = ["video", "file", "line", "clip"]
        rows = index.table.select(names).take(pa.array(numbers)).to_pylist()
        captions, own = places.captions(lacking).tolist(), keys.take(pa.array(lacking)).to_pylist()
        for number, row, caption, key in zip(numbers.tolist(), rows, captions, own, strict=True):
            told = {name: failed[key][name] for name in ("code", "reason", "attempt")}
            entry = SetAside(**row, component=component, **told, caption=caption)
            found.append((number, order, entry))
    return [entry for _, _, entry in sorted(found, key=lambda item: item[:2])]


@dataclass(frozen=True, slots=True)
class DamagedClip:
    """A clip whose frames are damaged, and of which an artifact was made all the same."""

    video: str
    """The file, as the dataset names it."""
    file: str
    """The list that names it."""
    line: int | None
    """The line in that list."""
    clip: int
    """Which of the sample's clips it is, from 0."""
    component: Component
    """What was made."""
    damage: str
    """Which frames, and what the decoder said, in words."""


def damaged_clips(
    index: BucketIndex, artifacts: Mapping[Component, Artifacts]
) -> list[DamagedClip]:
    """Return the clips of a plan that have an artifact of damaged frames, by component."""
    found: list[DamagedClip] = []
    for component in ordered(artifacts):
        made = artifacts[component]
        if not made.damaged:
            continue
        keys = made.source.keys(index.table)
        among = pc.is_in(keys, value_set=pa.array(made.damaged, pa.string()))
        rows = index.table.select(["video", "file", "line", "clip"]).append_column("key", keys)
        found += [
            DamagedClip(component=component, damage=made.damaged[row.pop("key")], **row)
            for row in rows.filter(among).to_pylist()
        ]
    return found


def write_catalogue(
    store: Store, index: BucketIndex, artifacts: Mapping[Component, Artifacts]
) -> tuple[list[SetAside], list[DamagedClip]]:
    """Write ``catalogue.parquet`` and ``failures.jsonl``; return failed clips, and damaged ones.

    ``damaged.jsonl`` is written, too, if there are damaged clips. The plan has to be saved before:
    the catalogue says which one it follows.
    """
    store.files.write(CATALOGUE, catalogue_writer(store, index, artifacts))
    lacking = set_aside(index, artifacts)
    store.files.write_bytes(FAILURES, json_lines(lacking))
    damaged = damaged_clips(index, artifacts)
    if damaged or store.files.size(DAMAGED) is not None:
        store.files.write_bytes(DAMAGED, json_lines(damaged))
    return lacking, damaged


def json_lines(lacking: Sequence[SetAside | DamagedClip]) -> bytes:
    """The contents of ``failures.jsonl`` or ``damaged.jsonl``."""
    return "".join(json.dumps(_to_json(entry)) + "\n" for entry in lacking).encode()


def _to_json(entry: SetAside | DamagedClip) -> dict[str, Any]:
    """The fields of an entry; the number of a caption only if it is not the first."""
    return {name: value for name, value in asdict(entry).items() if name != "caption" or value}


def catalogue_writer(
    store: Store, index: BucketIndex, artifacts: Mapping[Component, Artifacts]
) -> Any:
    """Writes the catalogue's bytes to a file; equal plans and receipts give equal bytes."""
    several = FURTHER_KEYS in index.table.column_names
    schema = _schema(artifacts, _optional_of(index), several=several)
    facts = {"version": FORMAT_VERSION, "index_xxh3": store.digest(INDEX)}
    schema = schema.with_metadata({METADATA: json.dumps(facts, sort_keys=True).encode()})

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in _tables(index, artifacts, schema):
                writer.write_table(table, row_group_size=_BATCH)

    return write


def count_unlisted(store: Store, index: BucketIndex) -> int:
    """Count the clips that the catalogue names and ``index`` does not plan."""
    if store.files.size(CATALOGUE) is None:
        return 0
    columns = ["sample", "clip"]
    try:
        listed = pq.read_table(reader_of(store.files.read(CATALOGUE)), columns=columns)
    except (pa.ArrowException, OSError):
        return 0  # damaged; it is about to be written anew
    return int(no_longer_planned(index.table, listed).num_rows)


def _tables(
    index: BucketIndex, artifacts: Mapping[Component, Artifacts], schema: pa.Schema
) -> Iterator[pa.Table]:
    planned = index.table.filter(pc.is_null(index.table["left_out_code"]))
    keys = {name: made.stored["key"].combine_chunks() for name, made in artifacts.items()}
    for start in range(0, max(1, planned.num_rows), _BATCH):
        part = planned.slice(start, _BATCH)
        columns = [part[name] for name in (*_CLIP_COLUMNS, *_optional_of(index))]
        for component in ordered(artifacts):
            own = artifacts[component].source.keys(part)
            at = pc.index_in(own, value_set=keys[component])
            places = artifacts[component].stored.drop_columns(["key"]).take(at)
            columns += [own, *places.columns]
        if FURTHER_KEYS in part.column_names:
            columns.append(part[FURTHER_CAPTIONS])
            of_captions = (artifacts[c] for c in ordered(artifacts) if artifacts[c].source.caption)
            columns += [_further(made, part) for made in of_captions]
        yield pa.table(columns, names=schema.names).cast(schema)


def _further(made: Artifacts, table: pa.Table) -> pa.Array:
    """Where the artifacts of the further captions of each clip lie."""
    lists = made.source.key_lists(table)
    own = lists.flatten()
    at = pc.index_in(own, value_set=made.stored["key"].combine_chunks())
    places = made.stored.drop_columns(["key"]).take(at).combine_chunks()
    structs = pa.StructArray.from_arrays([own, *map(whole, places.columns)], fields=list(STORED))
    return relisted(lists, structs)


def further_places(table: pa.Table, component: Component) -> pa.Table:
    """Return where a catalogue says that artifacts of further captions lie: as in `STORED`."""
    name = further_column(component)
    if name not in table.column_names:
        return STORED.empty_table()
    return pa.Table.from_struct_array(flat(table[name].cast(FURTHER))).cast(STORED)


def further_column(component: Component) -> str:
    """Return the column that says where artifacts of the captions after the first lie."""
    return f"{component}_further"


def _optional_of(index: BucketIndex) -> list[str]:
    return [name for name in _OPTIONAL_COLUMNS if name in index.table.column_names]


def _schema(
    artifacts: Mapping[Component, Artifacts], optional: Iterable[str] = (), *, several: bool
) -> pa.Schema:
    fields = [FILE_SCHEMA.field(name) for name in _CLIP_COLUMNS]
    fields += [pa.field(name, OPTIONAL[name].type) for name in optional]
    for component in ordered(artifacts):
        fields += [pa.field(f"{component}_{one.name}", one.type) for one in STORED]
    if several:
        fields.append(pa.field(FURTHER_CAPTIONS, OPTIONAL[FURTHER_CAPTIONS].type))
        of_captions = (name for name in ordered(artifacts) if artifacts[name].source.caption)
        fields += [pa.field(further_column(name), FURTHER) for name in of_captions]
    return pa.schema(fields)
