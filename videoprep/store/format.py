"""What the files of a store are called, and how tensors lie in a shard.

No other module knows the ending of a shard or of a receipt, or what stands in a shard beside its
tensors. Another format of shards is one more class and its entry in `FORMATS`.
"""

from __future__ import annotations

import json
import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import xxhash

if TYPE_CHECKING:
    import torch

DTYPES: Mapping[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""torch's types by the names that receipts and catalogues have for them, which are safetensors'."""

_DTYPE_NAMES = {kind: name for name, kind in DTYPES.items()}

Read = Callable[[int, int], bytes]
"""Reads bytes of a file, by offset and count; fewer if the file ends before."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor that is to be written."""

    key: str
    """Its name in the shard."""
    dtype: str
    """One of `DTYPES`."""
    shape: tuple[int, ...]
    size: int
    """How many bytes it has."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor in a shard, as the shard itself says."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Its first byte in the file."""
    size: int
    """How many bytes it has."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one artifact lies."""

    key: str
    """Its name in the shard."""
    offset: int
    """Its first byte in the file."""
    size: int
    """How many bytes there are."""
    dtype: str
    """One of `DTYPES`."""
    shape: tuple[int, ...]
    xxh3: str
    """xxh3-64 of its bytes, 16 hexadecimal digits."""

    @property
    def place(self) -> TensorPlace:
        """The same as a shard says it."""
        return TensorPlace(self.dtype, self.shape, self.offset, self.size)


@dataclass(frozen=True, slots=True)
class ShardContents:
    """What a shard says that it holds."""

    facts: Mapping[str, str]
    """What was written beside the tensors."""
    tensors: Mapping[str, TensorPlace]
    """By key."""


class ShardFormat(ABC):
    """How tensors lie in a file.

    The bytes of each tensor are in one piece and as they are in memory, whatever the format: the
    catalogue says where they are, and readers map them without opening what is around.
    """

    suffix: str
    """The ending of its files."""

    @abstractmethod
    def layout(
        self, tensors: Sequence[TensorInfo], facts: Mapping[str, str]
    ) -> Iterable[bytes | TensorInfo]:
        """Return what a file consists of: bytes, and each tensor where its own bytes belong.

        Args:
            tensors: ordered by key.
            facts: what to keep beside them; may be empty.
        """

    @abstractmethod
    def contents(self, read: Read, size: int) -> ShardContents:
        """Return what a file says that it holds.

        Args:
            read: reads the file.
            size: how many bytes it has.

        Raises:
            ValueError: It is not such a file.
        """


_ALIGNMENT = 8
_LENGTH = struct.Struct("<Q")


class Safetensors(ShardFormat):
    """A length, a header in JSON, and the tensors one after the other."""

    suffix = ".safetensors"

    def layout(
        self, tensors: Sequence[TensorInfo], facts: Mapping[str, str]
    ) -> Iterator[bytes | TensorInfo]:
        """See `ShardFormat`. The header's length keeps what follows aligned."""
        entries: dict[str, object] = {"__metadata__": facts or {"format": "pt"}}
        at = 0
        for one in tensors:
            place = [at, at + one.size]
            entries[one.key] = {"dtype": one.dtype, "shape": one.shape, "data_offsets": place}
            at += one.size
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        yield _LENGTH.pack(len(text)) + text
        yield from tensors

    def contents(self, read: Read, size: int) -> ShardContents:
        """See `ShardFormat`."""
        length = int.from_bytes(read(0, _LENGTH.size), "little")
        if not 0 < length <= size - _LENGTH.size:
            raise ValueError("the shard is no safetensors file")
        data = _LENGTH.size + length
        try:
            entries: dict[str, Any] = json.loads(read(_LENGTH.size, length))
            facts = entries.pop("__metadata__", {})
            places = {key: _place(entry, data) for key, entry in entries.items()}
            end = max((place.offset + place.size for place in places.values()), default=data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"the shard's header cannot be read: {error!r}") from error
        if end != size:
            raise ValueError(f"the shard ends after {size} bytes, and its tensors after {end}")
        return ShardContents(facts, places)


def _place(entry: Mapping[str, Any], data: int) -> TensorPlace:
    start, end = entry["data_offsets"]
    return TensorPlace(entry["dtype"], tuple(entry["shape"]), data + start, end - start)


FORMAT: ShardFormat = Safetensors()
"""The format of shards that are written."""

FORMATS: dict[str, ShardFormat] = {FORMAT.suffix: FORMAT}
"""All formats that are read, by the endings of their files. A store may have shards of several."""


# Names

_RECEIPT = ".json"
_HASH_DIGITS = 16


def receipt_name(unit: str) -> str:
    """Return the receipt of a unit, whose name may begin with its folder."""
    return f"{unit}{_RECEIPT}"


def is_receipt(name: str) -> bool:
    """Return whether a file of a recipe's folder is a receipt."""
    return name.endswith(_RECEIPT) and not name.startswith(".")


def unit_of_receipt(name: str) -> str:
    """Return the unit of a receipt: the inverse of `receipt_name`."""
    return name.removesuffix(_RECEIPT)


def shard_name(unit: str, digest: str) -> str:
    """Return what the shard of a unit is called.

    Args:
        unit: its name, which may begin with its folder.
        digest: xxh3-128 of the shard.
    """
    return f"{shard_prefix(unit)}{digest[:_HASH_DIGITS]}{FORMAT.suffix}"


def shard_prefix(unit: str) -> str:
    """Return what the names of all shards of a unit begin with, and no others."""
    return f"{unit}-"


def is_shard(name: str) -> bool:
    """Return whether a file of a recipe's folder is a shard."""
    return name.endswith(tuple(FORMATS)) and not name.startswith(".")


def unit_of_shard(name: str) -> str:
    """Return the unit of a shard, which may be named with its folder."""
    stem = next((name.removesuffix(end) for end in FORMATS if name.endswith(end)), name)
    return stem.rpartition("/")[2][: -_HASH_DIGITS - 1]


def tensor_file(name: str) -> str:
    """Return the name of a file of the written format that is no unit's shard."""
    return f"{name}{FORMAT.suffix}"


def checksum(data: Mapping[str, Any]) -> str:
    """Return xxh3-128 of JSON values: one flipped bit that leaves valid JSON is noticed."""
    return xxhash.xxh3_128_hexdigest(json.dumps(data, sort_keys=True).encode())


# Writing


class ShardFile:
    """A file of tensors to be written, hashed and laid out without a second copy in memory."""

    entries: list[StoredTensor]
    """Where each tensor will lie, ordered by key."""
    size: int
    """Bytes of the file."""
    xxh3: str
    """xxh3-128 of the file."""

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, str] | None = None
    ) -> None:
        self._tensors = {key: tensors[key].contiguous() for key in sorted(tensors)}
        infos = [_info(key, tensor) for key, tensor in self._tensors.items()]
        self._parts = list(FORMAT.layout(infos, facts or {}))
        self.entries = []
        self.size = 0
        whole = xxhash.xxh3_128()
        for part, data in zip(self._parts, self._pieces(), strict=True):
            if isinstance(part, TensorInfo):
                digest = xxhash.xxh3_64_hexdigest(data)
                entry = StoredTensor(part.key, self.size, part.size, part.dtype, part.shape, digest)
                self.entries.append(entry)
            whole.update(data)
            self.size += len(data)
        self.xxh3 = whole.hexdigest()
        self.entries.sort(key=lambda entry: entry.key)

    def write(self, file: BinaryIO) -> None:
        """Write the file."""
        for data in self._pieces():
            file.write(data)

    def _pieces(self) -> Iterator[bytes | memoryview]:
        for part in self._parts:
            yield part if isinstance(part, bytes) else bytes_of(self._tensors[part.key])


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor on the host, without a copy."""
    import torch

    data: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return data


def _info(key: str, tensor: torch.Tensor) -> TensorInfo:
    dtype = _DTYPE_NAMES[str(tensor.dtype).removeprefix("torch.")]
    return TensorInfo(key, dtype, tuple(tensor.shape), tensor.nbytes)


# Reading and checking


def contents_of(name: str, read: Read, size: int) -> ShardContents:
    """Return what a file of a store says that it holds; its ending tells the format.

    Raises:
        ValueError: It is not such a file, or of a format that this version does not know.
    """
    format_ = next((one for end, one in FORMATS.items() if name.endswith(end)), None)
    if format_ is None:
        raise ValueError("the shard is of a format that this videoprep does not know")
    return format_.contents(read, size)


def contradiction(name: str, read: Read, size: int, tensors: Sequence[StoredTensor]) -> str | None:
    """Return how a shard contradicts its receipt, in words; None if it does not."""
    try:
        found = contents_of(name, read, size).tensors
    except ValueError as error:
        return str(error)
    if found == {one.key: one.place for one in tensors}:
        return None
    return "the shard's header and the receipt contradict each other"


def tensor_of(data: bytes, place: TensorPlace) -> torch.Tensor:
    """Return a tensor that lies in the bytes of a file, with memory of its own.

    Raises:
        ValueError: It cannot lie there.
    """
    import torch

    dtype = getattr(torch, DTYPES.get(place.dtype, ""), None)
    part = bytearray(data[place.offset : place.offset + place.size])
    size = None if dtype is None else math.prod(place.shape) * dtype.itemsize
    is_shape = min(place.shape, default=0) >= 0
    if dtype is None or not is_shape or not len(part) == place.size == size:
        raise ValueError(f"no tensor {list(place.shape)} of {place.dtype} lies at {place.offset}")
    if not part:  # which `frombuffer` refuses
        return torch.empty(place.shape, dtype=dtype)
    return torch.frombuffer(part, dtype=dtype).view(place.shape)
