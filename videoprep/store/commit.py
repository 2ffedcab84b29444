"""Committing a unit: first the shard, then the receipt that makes it exist."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import xxhash

from videoprep.fs import Files
from videoprep.store.layout import is_shard
from videoprep.store.receipt import Failure, Receipt, StoredTensor

if TYPE_CHECKING:
    import torch

_ALIGNMENT = 8

_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What became of a unit's artifacts.

    Attributes:
        tensors: those that were made, on the host.
        failures: those that failed.
        truncated: keys of captions that were cut to the text encoder's limit.
        tiled: keys of latents that were made in tiles because memory did not suffice.
        damaged: what is damaged of the frames of some artifacts, by key.
    """

    tensors: Mapping[str, torch.Tensor]
    failures: Sequence[Failure] = ()
    truncated: Sequence[str] = ()
    tiled: Sequence[str] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)


def commit_unit(files: Files, folder: str, unit: str, made: UnitResult) -> bool:
    """Writes a unit's shard and receipt; says whether this call was the one that made it exist.

    The shard's name ends in a hash of its contents, so two jobs that encode the same unit never
    write over each other's shard, also where an accelerator gives them other bits; the first
    receipt decides which one counts, and the loser removes its own.

    Raises:
        OSError: something cannot be written.
    """
    shard = _ShardFile(made.tensors) if made.tensors else None
    name = f"{unit}-{shard.xxh3[:16]}.safetensors" if shard else None
    if shard is not None:
        files.write(f"{folder}/{name}", shard.write)
    receipt = Receipt(
        unit=unit,
        shard=name,
        size=shard.size if shard else 0,
        xxh3=shard.xxh3 if shard else xxhash.xxh3_128_hexdigest(b""),
        tensors=tuple(shard.entries) if shard else (),
        failures=tuple(sorted(made.failures, key=lambda failure: failure.key)),
        truncated=tuple(sorted(made.truncated)),
        tiled=tuple(sorted(made.tiled)),
        damaged=dict(sorted(made.damaged.items())),
    )
    path = f"{folder}/{unit}.json"
    if files.create(path, receipt.to_bytes()):
        return True
    if name is not None and not _may_count(files, path, name):
        files.delete(f"{folder}/{name}")
    return False


def remove_rivals(files: Files, folder: str, unit: str) -> None:
    """Removes shards of a committed unit that its receipt does not count.

    One is left where a process died before it wrote the receipt, and an accelerator then gave
    another other bits. A rival that is alive cannot win any more: the receipt is there.
    """
    try:
        counted = Receipt.from_bytes(files.read(f"{folder}/{unit}.json")).shard
    except (ValueError, FileNotFoundError):
        return
    for name in files.names(folder):
        if name.startswith(f"{unit}-") and is_shard(name) and name != counted:
            files.delete(f"{folder}/{name}")


def _may_count(files: Files, receipt: str, shard: str) -> bool:
    """Whether a receipt counts a shard, or does not say yet because it is still being written."""
    try:
        return Receipt.from_bytes(files.read(receipt)).shard == shard
    except (ValueError, FileNotFoundError):
        return True


class _ShardFile:
    """A safetensors file in the making, hashed and written without a second copy in memory.

    Attributes:
        entries: where each tensor will lie, ordered by key.
        size: bytes of the file.
        xxh3: xxh3-128 of the file.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = [(key, tensors[key].contiguous()) for key in sorted(tensors)]
        self._header = _header(self._tensors)
        whole = xxhash.xxh3_128(self._header)
        self.entries: list[StoredTensor] = []
        at = len(self._header)
        for key, tensor in self._tensors:
            data = _bytes(tensor)
            whole.update(data)
            digest = xxhash.xxh3_64_hexdigest(data)
            kind = _dtype(tensor)
            self.entries.append(StoredTensor(key, at, len(data), kind, tuple(tensor.shape), digest))
            at += len(data)
        self.size = at
        self.xxh3 = whole.hexdigest()

    def write(self, file: BinaryIO) -> None:
        """Writes the file."""
        for piece in self._pieces():
            file.write(piece)

    def _pieces(self) -> Iterator[bytes | memoryview]:
        yield self._header
        for _, tensor in self._tensors:
            yield _bytes(tensor)


def _header(tensors: Sequence[tuple[str, torch.Tensor]]) -> bytes:
    """The head of a safetensors file; its length keeps what follows aligned."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for key, tensor in tensors:
        end = at + tensor.nbytes
        entries[key] = {
            "dtype": _dtype(tensor),
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _bytes(tensor: torch.Tensor) -> memoryview:
    import torch

    data: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return data


def _dtype(tensor: torch.Tensor) -> str:
    return _DTYPES[str(tensor.dtype).removeprefix("torch.")]
