"""The catalogue: a row a clip, and where each of its artifacts lies. Derived, never trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.durable import write_bytes, write_file
from videoprep.index.schema import FILE_SCHEMA
from videoprep.index.table import BucketIndex
from videoprep.store.layout import Store
from videoprep.store.receipt import Failure, StoredTensor, read_receipts
from videoprep.store.recipe import COMPONENTS, KEY_COLUMN, Component, Recipe

_CLIP_COLUMNS = (
    "sample", "clip", "video", "caption", "file", "line", "split", "weight", "repeats",
    "fps", "speed", "start", "end", "frames", "height", "width", "source_width", "source_height",
    "crop_x", "crop_y", "crop_width", "crop_height", "fit_x", "fit_y", "fit_width", "fit_height",
    "frame_indices", "fingerprint",
)  # fmt: skip
_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What the receipts of one component say.

    Attributes:
        stored: shard path relative to the store, and place in it, by key.
        failures: those set aside, by key; none that is stored.
        truncated: keys of captions cut to the text encoder's limit.
    """

    stored: Mapping[str, tuple[str, StoredTensor]]
    failures: Mapping[str, Failure]
    truncated: frozenset[str]


def read_artifacts(store: Store, recipe: Recipe) -> Artifacts:
    """Reads all receipts of a recipe.

    Raises:
        StoreError: a receipt is damaged or its shard missing.
    """
    stored: dict[str, tuple[str, StoredTensor]] = {}
    failures: dict[str, Failure] = {}
    truncated: set[str] = set()
    for receipt in read_receipts(store.folder(recipe)):
        for tensor in receipt.tensors:
            shard = f"{recipe.component}/{recipe.id}/{receipt.shard}"
            stored.setdefault(tensor.key, (shard, tensor))
        failures |= {failure.key: failure for failure in receipt.failures}
        truncated.update(receipt.truncated)
    unmet = {key: failure for key, failure in failures.items() if key not in stored}
    return Artifacts(stored, unmet, frozenset(truncated))


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
    """

    video: str
    file: str
    line: int
    clip: int
    component: Component
    code: str
    reason: str


def write_catalogue(
    store: Store, index: BucketIndex, artifacts: Mapping[Component, Artifacts]
) -> list[SetAside]:
    """Writes ``catalogue.parquet`` and ``failures.jsonl`` anew; gives the clips set aside."""
    set_aside: list[SetAside] = []
    rows = _rows(index, artifacts, set_aside)
    schema = _schema(artifacts)
    write_file(store.catalogue_file, lambda file: _write_table(file, rows, schema))
    lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in set_aside)
    write_bytes(store.failures_file, lines.encode())
    return set_aside


def count_unlisted(store: Store, index: BucketIndex) -> int:
    """Clips that the catalogue names and ``index`` does not have."""
    if not store.catalogue_file.is_file():
        return 0
    columns = ["video_latents_key", "prompt_embeds_key"]
    try:
        listed = pq.read_table(store.catalogue_file, columns=columns)
    except (pa.ArrowException, OSError):
        return 0  # damaged; it is about to be written anew
    planned = index.table.select(["video_key", "prompt_key"])
    known = set(zip(*(column.to_pylist() for column in planned.columns), strict=True))
    pairs = zip(*(column.to_pylist() for column in listed.columns), strict=True)
    return sum(pair not in known for pair in pairs)


def _rows(
    index: BucketIndex, artifacts: Mapping[Component, Artifacts], set_aside: list[SetAside]
) -> Iterator[dict[str, Any]]:
    for batch in index.table.to_batches(max_chunksize=1024):
        for values in batch.to_pylist():
            if values["left_out_code"] is not None:
                continue
            row = {name: values[name] for name in _CLIP_COLUMNS}
            for component, made in artifacts.items():
                key = values[KEY_COLUMN[component]]
                row |= _place(component, key, made)
                if failure := made.failures.get(key):
                    set_aside.append(
                        SetAside(
                            values["video"],
                            values["file"],
                            values["line"],
                            values["clip"],
                            component,
                            failure.code,
                            failure.reason,
                        )
                    )
            yield row


def _place(component: Component, key: str, made: Artifacts) -> dict[str, Any]:
    if key not in made.stored:
        return {f"{component}_key": key}
    shard, tensor = made.stored[key]
    return {
        f"{component}_key": key,
        f"{component}_shard": shard,
        f"{component}_offset": tensor.offset,
        f"{component}_bytes": tensor.size,
        f"{component}_dtype": tensor.dtype,
        f"{component}_shape": list(tensor.shape),
        f"{component}_xxh3": tensor.xxh3,
    }


def _schema(components: Iterable[Component]) -> pa.Schema:
    fields = [FILE_SCHEMA.field(name) for name in _CLIP_COLUMNS]
    for component in (name for name in COMPONENTS if name in set(components)):
        fields += [
            pa.field(f"{component}_key", pa.string()),
            pa.field(f"{component}_shard", pa.string()),
            pa.field(f"{component}_offset", pa.int64()),
            pa.field(f"{component}_bytes", pa.int64()),
            pa.field(f"{component}_dtype", pa.string()),
            pa.field(f"{component}_shape", pa.list_(pa.int64())),
            pa.field(f"{component}_xxh3", pa.string()),
        ]
    return pa.schema(fields)


def _write_table(file: Any, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
