"""Receipts: what a committed shard holds. A shard without a receipt does not exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videoprep.errors import StoreError


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one artifact lies.

    Attributes:
        key: its name in the shard.
        offset: its first byte in the file.
        size: how many bytes there are.
        dtype: safetensors' name of the type.
        shape: its dimensions.
        xxh3: xxh3-64 of its bytes, 16 hexadecimal digits.
    """

    key: str
    offset: int
    size: int
    dtype: str
    shape: tuple[int, ...]
    xxh3: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An artifact that was set aside, and why."""

    key: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the artifacts of one unit.

    Attributes:
        unit: the unit's name.
        shard: file name of the shard, in the receipt's folder; None where every artifact failed.
        size: bytes of the shard.
        xxh3: xxh3-128 of the shard, 32 hexadecimal digits.
        tensors: the artifacts in it, ordered by key.
        failures: the artifacts set aside.
        truncated: keys of captions that were cut to the text encoder's limit.
    """

    unit: str
    shard: str | None
    size: int
    xxh3: str
    tensors: tuple[StoredTensor, ...]
    failures: tuple[Failure, ...]
    truncated: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """The receipt as JSON, without times or hosts: equal work gives equal bytes."""
        return (json.dumps(asdict(self), sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Receipt:
        """The inverse of `to_bytes`."""
        fields = dict(data)
        fields["tensors"] = tuple(
            StoredTensor(**{**entry, "shape": tuple(entry["shape"])}) for entry in data["tensors"]
        )
        fields["failures"] = tuple(Failure(**entry) for entry in data["failures"])
        fields["truncated"] = tuple(data["truncated"])
        return cls(**fields)


def read_receipts(folder: Path) -> Iterator[Receipt]:
    """The receipts of one recipe, ordered by name. Each one's shard is there, whole in size.

    Raises:
        StoreError: a receipt cannot be read, or its shard is missing or of another size.
    """
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            receipt = Receipt.from_json(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"the receipt cannot be read: {error!r}",
                where=str(path),
                remedy="delete this file and encode again: only its unit is redone",
            ) from error
        _require_shard(folder, path, receipt)
        yield receipt


def _require_shard(folder: Path, path: Path, receipt: Receipt) -> None:
    if receipt.shard is None:
        return
    shard = folder / receipt.shard
    size = shard.stat().st_size if shard.is_file() else None
    if size == receipt.size:
        return
    found = "is missing" if size is None else f"has {size} bytes instead of {receipt.size}"
    raise StoreError(
        f"the shard {found}",
        where=str(shard),
        remedy=f"delete {path} and encode again: only this unit is redone",
    )
