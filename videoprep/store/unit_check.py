"""Checks one unit: its receipt, and its shard to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import xxhash

from videoprep.families.component import Component
from videoprep.fs import Files
from videoprep.store.format import StoredTensor, contradiction
from videoprep.store.layout import Store
from videoprep.store.receipt import Receipt
from videoprep.store.verify_report import FaultKind

_PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class BadUnit:
    """A unit that must be encoded again.

    Attributes:
        folder: where its receipt and shard lie.
        unit: its name.
        name: the file that is at fault.
        kind: how.
        what: what is wrong with it.
        receipt: what the receipt says, where it can be read.
        damaged: keys of the artifacts whose own bytes are not those that were written.
    """

    folder: str
    unit: str
    name: str
    kind: FaultKind
    what: str
    receipt: Receipt | None = None
    damaged: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The receipt's file."""
        return Store.receipt(self.id)

    @property
    def component(self) -> Component:
        """Of which its artifacts are."""
        return self.folder.partition("/")[0]

    @property
    def id(self) -> str:
        """``component/recipe/unit``, as claims name it."""
        return f"{self.folder}/{self.unit}"


def check_unit(files: Files, folder: str, unit: str) -> Receipt | BadUnit | None:
    """Reads a unit's receipt and all of its shard; memory does not grow with the shard.

    Returns:
        The receipt where all is right; what is wrong where something is; None where the receipt
        has vanished meanwhile.
    """
    path = Store.receipt(f"{folder}/{unit}")
    try:
        data = files.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return BadUnit(folder, unit, path, "unreadable", _failed(error))
    try:
        receipt = Receipt.from_bytes(data)
    except ValueError as error:
        kind: FaultKind = "damaged" if data.endswith(b"}\n") else "truncated"
        return BadUnit(folder, unit, path, kind, f"the receipt cannot be read: {error}")
    if receipt.unit != unit:
        what = f"is the receipt of another unit, {receipt.unit}"
        return BadUnit(folder, unit, path, "damaged", what)
    if receipt.to_bytes() != data:
        what = "the receipt's bytes are not those that were written"
        return BadUnit(folder, unit, path, "damaged", what, receipt)
    if receipt.shard is None:
        return receipt
    if "/" in receipt.shard:
        what = f"the receipt names a shard outside: {receipt.shard!r}"
        return BadUnit(folder, unit, path, "damaged", what)
    return _check_shard(files, folder, receipt) or receipt


def _check_shard(files: Files, folder: str, receipt: Receipt) -> BadUnit | None:
    path = f"{folder}/{receipt.shard}"

    def bad(kind: FaultKind, what: str, damaged: tuple[str, ...] = ()) -> BadUnit:
        return BadUnit(folder, receipt.unit, path, kind, what, receipt, damaged)

    try:
        size = files.size(path)
        if size is None:
            return bad("missing", "the shard is missing")
        if size != receipt.size:
            kind: FaultKind = "truncated" if size < receipt.size else "damaged"
            return bad(kind, f"the shard has {size} bytes instead of {receipt.size}")
        if _digest(files.chunks(path)) == receipt.xxh3:
            read = partial(files.read_range, path)
            problem = contradiction(path, read, receipt.size, receipt.tensors)
            return bad("damaged", problem) if problem else None
        damaged = _damaged(files, path, receipt.tensors)
        count = _damaged_of(len(damaged), len(receipt.tensors))
        which = count if damaged else "its header is damaged"
        return bad("damaged", f"is not as it was written: {which}", damaged)
    except FileNotFoundError:
        return bad("missing", "the shard is missing")
    except OSError as error:
        return bad("unreadable", _failed(error))


def check_without_receipt(files: Files, shard: str, tensors: Sequence[StoredTensor]) -> str | None:
    """What is wrong with a shard whose receipt cannot be read, by what else is known of it.

    Args:
        files: the store.
        shard: the shard, relative to the store.
        tensors: its artifacts, or some of them.

    Returns:
        What is wrong, in words; None where nothing can be found.
    """
    try:
        if files.size(shard) is None:
            return "the shard is missing"
        damaged = _damaged(files, shard, tensors)
    except OSError as error:
        return _failed(error)
    return _damaged_of(len(damaged), len(tensors)) if damaged else None


def _damaged_of(damaged: int, total: int) -> str:
    artifacts = "artifact" if total == 1 else "artifacts"
    return f"{damaged} of {total} {artifacts} {'is' if damaged == 1 else 'are'} damaged"


def _failed(error: OSError) -> str:
    return f"the file system fails: {error.strerror or error}"


def _digest(pieces: Iterator[bytes]) -> str:
    digest = xxhash.xxh3_128()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _damaged(files: Files, path: str, tensors: Sequence[StoredTensor]) -> tuple[str, ...]:
    """The artifacts whose own bytes are not those that were written."""
    return tuple(one.key for one in tensors if _digest_of(files, path, one) != one.xxh3)


def _digest_of(files: Files, path: str, tensor: StoredTensor) -> str:
    digest = xxhash.xxh3_64()
    for start in range(0, tensor.size, _PIECE):
        size = min(_PIECE, tensor.size - start)
        digest.update(files.read_range(path, tensor.offset + start, size))
    return digest.hexdigest()
