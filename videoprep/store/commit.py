"""Committing a unit: first the shard, then the receipt that makes it exist."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from videoprep.durable import create_bytes, write_bytes
from videoprep.store.receipt import Failure, Receipt, StoredTensor

if TYPE_CHECKING:
    import torch


def commit_unit(
    folder: Path,
    unit: str,
    tensors: Mapping[str, torch.Tensor],
    failures: Sequence[Failure],
    truncated: Sequence[str],
) -> bool:
    """Writes a unit's shard and receipt; says whether this call was the one that made it exist.

    The shard's name ends in a hash of its contents, so two jobs that encode the same unit never
    write over each other's shard, even where an accelerator gives them different bits; the first
    receipt decides which one counts, and the loser removes its own.
    """
    shard, data = None, b""
    if tensors:
        data = _serialize(tensors)
        shard = f"{unit}-{xxhash.xxh3_64_hexdigest(data)}.safetensors"
        write_bytes(folder / shard, data)
    receipt = Receipt(
        unit=unit,
        shard=shard,
        size=len(data),
        xxh3=xxhash.xxh3_128_hexdigest(data),
        tensors=tuple(_entries(data)) if data else (),
        failures=tuple(failures),
        truncated=tuple(truncated),
    )
    path = folder / f"{unit}.json"
    if create_bytes(path, receipt.to_bytes()):
        return True
    if shard is not None and _winner(path) not in (shard, None):
        (folder / shard).unlink(missing_ok=True)
    return False


def _winner(receipt: Path) -> str | None:
    """The shard that a receipt counts, or None while its writer has not finished it."""
    try:
        shard: str | None = json.loads(receipt.read_bytes())["shard"]
    except (ValueError, KeyError, TypeError):
        return None
    return shard


def _serialize(tensors: Mapping[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    # One metadata key: with two or more the bytes are not deterministic.
    data: bytes = save(
        {key: tensor.contiguous() for key, tensor in tensors.items()}, metadata={"format": "pt"}
    )
    return data


def _entries(data: bytes) -> list[StoredTensor]:
    """Reads the header of a serialized shard: where each tensor lies."""
    (header_size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + header_size])
    start = 8 + header_size
    view = memoryview(data)
    entries = []
    for key in sorted(name for name in header if name != "__metadata__"):
        begin, end = header[key]["data_offsets"]
        entries.append(
            StoredTensor(
                key=key,
                offset=start + begin,
                size=end - begin,
                dtype=header[key]["dtype"],
                shape=tuple(header[key]["shape"]),
                xxh3=xxhash.xxh3_64_hexdigest(view[start + begin : start + end]),
            )
        )
    return entries
