"""Receipts: what a committed shard holds, and committing: first the shard, then its receipt.

A shard without a receipt does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import xxhash

from videoprep.fs import Files
from videoprep.store.format import (
    ShardFile,
    StoredTensor,
    checksum,
    is_receipt,
    is_shard,
    unit_of_receipt,
    unit_of_shard,
)
from videoprep.store.layout import Store

if TYPE_CHECKING:
    import torch

_READERS = 16


@dataclass(frozen=True, slots=True)
class Failure:
    """An artifact that failed.

    Attributes:
        key: which one.
        code: why, in a stable word.
        reason: why, in words.
        attempt: how often making it has been tried, in runs in which it failed.
    """

    key: str
    code: str
    reason: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the artifacts of one unit.

    Attributes:
        unit: the unit's name.
        shard: file name of the shard, in the receipt's folder; None where every artifact failed.
        size: bytes of the shard.
        xxh3: xxh3-128 of the shard, 32 hexadecimal digits.
        tensors: the artifacts in it, ordered by key.
        failures: the failed artifacts.
        truncated: keys of captions that were cut to the text encoder's limit.
        tiled: keys of latents that were made in tiles because memory did not suffice.
        damaged: what is damaged of the frames of some artifacts, by key.
    """

    unit: str
    shard: str | None
    size: int
    xxh3: str
    tensors: tuple[StoredTensor, ...]
    failures: tuple[Failure, ...]
    truncated: tuple[str, ...] = ()
    tiled: tuple[str, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The receipt as JSON, without times or hosts: equal work gives equal bytes."""
        data = asdict(self)
        if not self.damaged:  # as in earlier versions, which do not know it
            del data["damaged"]
        data["digest"] = checksum(data)
        return (json.dumps(data, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> Receipt:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: it is no receipt, or was changed since it was written.
        """
        try:
            data = json.loads(text)
            if data.pop("digest") != checksum(data):
                raise ValueError("its checksum does not fit")
            return cls._from_json(data)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks something: {error!r}") from error

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> Receipt:
        fields = dict(data)
        fields["tensors"] = tuple(
            StoredTensor(**{**entry, "shape": tuple(entry["shape"])}) for entry in data["tensors"]
        )
        fields["failures"] = tuple(Failure(**entry) for entry in data["failures"])
        fields["truncated"] = tuple(data["truncated"])
        fields["tiled"] = tuple(data["tiled"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class ReceiptDamage:
    """A file of the store that is not as it was written.

    Attributes:
        name: the file, relative to the store.
        what: what is wrong with it, in words.
        receipt: the receipt by whose removal the unit comes to be encoded again, if it is one's.
    """

    name: str
    what: str
    receipt: str | None = None


def read_receipts(files: Files, folder: str) -> Iterator[Receipt | ReceiptDamage]:
    """The receipts of one recipe, ordered by name; what is wrong with those that do not hold.

    A receipt holds where it can be read and its shard is there, whole in size. The shard's
    contents are not looked at; `verify` does that.

    Raises:
        OSError: the file system fails. That is no damage: it may pass.
    """
    names = files.names(folder)
    shards = set(filter(is_shard, names))
    receipts = [name for name in names if is_receipt(name)]

    def read(name: str) -> Receipt | ReceiptDamage:
        return _read(files, folder, name, shards)

    if files.path("") is not None:
        yield from map(read, receipts)
        return
    with ThreadPoolExecutor(_READERS) as pool:  # elsewhere each takes a while to answer
        yield from pool.map(read, receipts)


def is_damaged(files: Files, path: str) -> bool:
    """Whether there is a receipt that does not hold.

    Raises:
        OSError: the file system fails.
    """
    folder, _, name = path.rpartition("/")
    try:
        return isinstance(_read(files, folder, name, set(files.names(folder))), ReceiptDamage)
    except FileNotFoundError:
        return False


def _read(files: Files, folder: str, name: str, shards: set[str]) -> Receipt | ReceiptDamage:
    path = f"{folder}/{name}"
    try:
        receipt = Receipt.from_bytes(files.read(path))
    except ValueError as error:
        return ReceiptDamage(path, f"the receipt cannot be read: {error}", path)
    if receipt.unit != unit_of_receipt(name):
        return ReceiptDamage(path, f"is the receipt of another unit, {receipt.unit}", path)
    if receipt.shard is None:
        return receipt
    shard = f"{folder}/{receipt.shard}"
    size = files.size(shard) if receipt.shard in shards else None
    if size is None:
        return ReceiptDamage(shard, "the shard is missing", path)
    if size != receipt.size:
        return ReceiptDamage(shard, f"the shard has {size} bytes instead of {receipt.size}", path)
    return receipt


# Committing


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What became of a unit's artifacts."""

    tensors: Mapping[str, torch.Tensor]
    """Those that were made, on the host."""
    failures: Sequence[Failure] = ()
    """Those that failed."""
    truncated: Sequence[str] = ()
    """Keys of captions that were cut to the text encoder's limit."""
    tiled: Sequence[str] = ()
    """Keys of latents that were made in tiles because memory did not suffice."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """What is damaged of the frames of some artifacts, by key."""


def commit_unit(files: Files, folder: str, unit: str, made: UnitResult) -> bool:
    """Write a unit's shard and receipt; return whether this call was the one that made it exist.

    The shard's name ends in a hash of its contents, so two jobs that encode the same unit never
    write over each other's shard, also where an accelerator gives them other bits; the first
    receipt decides which one counts, and the loser removes its own.

    Raises:
        OSError: something cannot be written.
    """
    shard = ShardFile(made.tensors) if made.tensors else None
    name = None
    if shard is not None:
        place = Store.shard(f"{folder}/{unit}", shard.xxh3)
        files.write(place, shard.write)
        name = place.rpartition("/")[2]
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
    path = Store.receipt(f"{folder}/{unit}")
    if files.create(path, receipt.to_bytes()):
        return True
    if name is not None and not _may_count(files, path, name):
        files.delete(f"{folder}/{name}")
    return False


def remove_rivals(files: Files, folder: str, unit: str) -> None:
    """Remove shards of a committed unit that its receipt does not count.

    One is left where a process died before it wrote the receipt, and an accelerator then gave
    another other bits. A rival that is alive cannot win any more: the receipt is there.
    """
    receipt = Store.receipt(f"{folder}/{unit}")
    for name in shards_of(files, folder, unit):
        if not _may_count(files, receipt, name):
            files.delete(f"{folder}/{name}")


def shards_of(files: Files, folder: str, unit: str) -> list[str]:
    """Return the names of all shards of a unit, of which a receipt counts one at most."""
    names = files.names(folder)
    return [name for name in names if is_shard(name) and unit_of_shard(name) == unit]


def _may_count(files: Files, receipt: str, shard: str) -> bool:
    """Whether a receipt counts a shard, or does not say yet because it is still being written."""
    try:
        return Receipt.from_bytes(files.read(receipt)).shard == shard
    except (ValueError, FileNotFoundError):
        return True
