"""`LatentDataset`: a store as a map-style dataset of tensors."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch.utils.data import Dataset

from videoprep.errors import StoreError
from videoprep.families.registry import get_profile
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.numbers import from_text
from videoprep.index.schema import digest_of, multiplicity_of
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.recipe import COMPONENTS, Component

_OPEN_SHARDS = 64


class LatentDataset(Dataset[dict[str, Any]]):
    """The encoded clips of a store. Reads tensors only; imports no VAE and no text encoder.

    An item is a dict: each component's tensor (``video_latents`` ``[2 × C, F', H', W']``,
    ``image_latents`` ``[2 × C, 1, H', W']``, ``prompt_embeds`` ``[tokens, features]``),
    ``caption`` and ``metadata``. Latents are unscaled moments, mean first and log variance after.

    Args:
        path: the store.
        split: only the clips of this split; None: all.

    Attributes:
        info: what the store holds and how it was made.
        components: the tensors that each item has.
        split: the split that was asked for.
        incomplete: clips of the plan that lack a component and are therefore no items.

    Raises:
        StoreError: there is no store, it has no catalogue yet, or no such split.
    """

    def __init__(self, path: str | os.PathLike[str], *, split: str | None = None) -> None:
        self._store = Store(Path(path))
        self.info: StoreInfo = self._store.read_info()
        if not self._store.catalogue_file.is_file():
            raise StoreError(
                "the store has no catalogue: its encoding was not finished",
                where=str(self._store.root),
                remedy="run the same `videoprep encode` command again; it goes on where it was",
            )
        table = _read_catalogue(self._store.catalogue_file)
        self.components: tuple[Component, ...] = tuple(
            name for name in COMPONENTS if f"{name}_shard" in table.column_names
        )
        self.split = split
        if split is not None:
            table = _of_split(table, split, self._store)
        complete = _complete(table, self.components)
        self._table = table.filter(complete)
        self.incomplete: int = table.num_rows - self._table.num_rows
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._owner = os.getpid()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        row = {name: values[0] for name, values in self._row(index).items()}
        item: dict[str, Any] = {
            component: self._tensor(row[f"{component}_shard"], row[f"{component}_key"])
            for component in self.components
        }
        item["caption"] = row["caption"]
        prefixes = tuple(f"{component}_" for component in self.components)
        item["metadata"] = {
            name: value for name, value in row.items() if not name.startswith(prefixes)
        }
        item["metadata"]["frame_indices"] = list(from_text(row["frame_indices"]))
        return item

    @cached_property
    def buckets(self) -> BucketColumn:
        """The bucket of each clip."""
        columns = (self._table[name].to_numpy() for name in ("frames", "height", "width"))
        return BucketColumn.of(*columns)

    @property
    def multiplicity(self) -> NDArray[np.float64]:
        """Float64 ``[clips]``: how often each comes in an epoch: its weight times its repeats."""
        return multiplicity_of(self._table)

    @cached_property
    def digest(self) -> str:
        """Stands for the clips, their order and their weights: 32 hexadecimal digits."""
        return digest_of(self._table, [f"{component}_key" for component in self.components])

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the clips are in, in alphabetical order."""
        return tuple(sorted(filter(None, pc.unique(self._table["split"]).to_pylist())))

    def latent_tokens(self, bucket: Bucket) -> int:
        """How many tokens the family's transformer sees of a clip of the bucket."""
        profile = get_profile(self.info.family)
        return profile.latent_tokens(bucket.frames, bucket.height, bucket.width)

    def _row(self, index: int) -> dict[str, list[Any]]:
        row: dict[str, list[Any]] = self._table.slice(index % len(self), 1).to_pydict()
        return row

    def _tensor(self, shard: str, key: str) -> torch.Tensor:
        try:
            tensor: torch.Tensor = self._shard(shard).get_tensor(key)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the shard cannot be read: {error}",
                where=str(self._store.root / shard),
                remedy="delete its receipt and encode again: only its unit is redone",
            ) from error
        return tensor

    def _shard(self, name: str) -> Any:
        """An open shard; the least recently used one is closed when there are too many."""
        if self._owner != os.getpid():  # a forked worker must not share file positions
            self._open, self._owner = OrderedDict(), os.getpid()
        if name not in self._open:
            self._open[name] = safe_open(self._store.root / name, framework="pt")
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        return self._open[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _read_catalogue(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"the catalogue cannot be read: {error}",
            where=str(path),
            remedy="run the same `videoprep encode` command again: it writes the catalogue anew",
        ) from error


def _of_split(table: pa.Table, split: str, store: Store) -> pa.Table:
    there = sorted(filter(None, pc.unique(table["split"]).to_pylist()))
    if split not in there:
        raise StoreError(
            f"there is no split {split!r}; there are: {', '.join(there) or 'none'}",
            where=str(store.root),
            remedy="plan with --split, or a column split in the table, and encode again",
        )
    return table.filter(pc.equal(table["split"], split))


def _complete(table: pa.Table, components: Sequence[Component]) -> pa.ChunkedArray | pa.Array:
    complete = pa.array([True] * table.num_rows)
    for component in components:
        complete = pc.and_(complete, pc.is_valid(table[f"{component}_shard"]))
    return complete
