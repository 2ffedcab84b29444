"""Tensors straight out of shards, by the places that the catalogue names."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from videoprep.errors import StoreError
from videoprep.files import open_files
from videoprep.store.private_map import map_privately

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
}
"""torch's types by safetensors' names. No BOOL: a byte above 1 would be none."""

_OPEN_SHARDS = 64

# Below this many bytes a copy is as fast as what it takes to hand out a part of a map.
_MAPPED_BYTES = 1 << 18


class Place(NamedTuple):
    """Where a tensor lies, as the catalogue says; none of it is trusted.

    Attributes:
        shard: path of the file, relative to the store, with slashes.
        key: the tensor's name in it; for messages.
        offset: its first byte in the file.
        size: how many bytes there are.
        dtype: safetensors' name of the type.
        shape: its dimensions.
        xxh3: xxh3-64 of its bytes, 16 hexadecimal digits; None: they are not checked.
    """

    shard: str
    key: str
    offset: int
    size: int
    dtype: str
    shape: tuple[int, ...]
    xxh3: str | None


class ShardReader:
    """Reads tensors of a store. Threads may share it, and so may forked processes.

    At most a fixed number of shards are open, however many there are. Large tensors are parts of a
    private map of their shard, which lives as long as any of them; small ones are copied.

    Args:
        location: path or URL of the store.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._files = open_files(location)
        self._owner = os.getpid()
        self._open: OrderedDict[str, _Shard] = OrderedDict()

    def read(self, place: Place) -> torch.Tensor:
        """A tensor, writable; it may share its memory with others read from the same place.

        Raises:
            StoreError: the shard is missing, too short or cannot be read; the place makes no
                sense; or the bytes are not those that were written, where that is checked.
        """
        dtype = self._check(place)
        if not place.size:
            return torch.empty(place.shape, dtype=dtype)
        try:
            shard = self._shard(place)
            if shard is None:
                data = self._remote_bytes(place)
            else:
                mapped = self._mapped(shard, place, dtype)
                # A map whose bytes are wrong may have been written to; the file decides.
                if mapped is not None and _is_as_written(mapped.view(torch.uint8).numpy(), place):
                    return mapped.view(place.shape)
                data = self._copied(shard, place)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._damage(place, "the shard is missing") from error
        except OSError as error:
            raise self._damage(place, f"the shard cannot be read: {error}") from error
        if not _is_as_written(data, place):
            raise self._damage(
                place, f"the shard is damaged: the bytes of {place.key} are not those written"
            )
        return torch.frombuffer(data, dtype=dtype).view(place.shape)

    def _check(self, place: Place) -> torch.dtype:
        """The type, where all that can be told without the shard is right."""
        dtype = DTYPES.get(place.dtype)
        if dtype is None:
            raise StoreError(
                f"{place.key} has the type {place.dtype!r}; known are: {', '.join(DTYPES)}",
                where=self._files.where(place.shard),
                remedy="upgrade videoprep, or encode with another --dtype",
            )
        sides = place.shape
        expected = math.prod(sides) * dtype.itemsize
        if place.offset < 0 or expected != place.size or min(sides, default=0) < 0:
            raise self._damage(
                place,
                f"the catalogue contradicts itself: {place.key} has {place.size} bytes from "
                f"{place.offset} and is {list(sides)} of {place.dtype}",
            )
        return dtype

    def _mapped(self, shard: _Shard, place: Place, dtype: torch.dtype) -> torch.Tensor | None:
        """The elements as a part of the shard's map; None where they have to be copied."""
        # At each read, since a map that reaches beyond the end would kill the process.
        there = os.fstat(shard.descriptor).st_size
        if there < place.offset + place.size:
            raise self._too_short(place, f"the file has {there}")
        if place.size < _MAPPED_BYTES or place.offset % dtype.itemsize:
            return None
        return shard.part(place.offset, place.size, dtype)

    def _copied(self, shard: _Shard, place: Place) -> NDArray[np.uint8]:
        """The bytes in memory of their own, which is aligned."""
        data = np.empty(place.size, np.uint8)
        done = 0
        while done < place.size:  # one call reads 2 GiB at most
            count = os.preadv(shard.descriptor, [data.data[done:]], place.offset + done)
            if not count:
                raise self._too_short(place, "the file was cut off")
            done += count
        return data

    def _remote_bytes(self, place: Place) -> NDArray[np.uint8]:
        if self._owner != os.getpid():  # connections must not be shared with a forked process
            self._files, self._owner = open_files(self._location), os.getpid()
        data = self._files.read_range(place.shard, place.offset, place.size)
        if len(data) != place.size:
            raise self._too_short(place, f"there are {len(data)} bytes")
        return np.frombuffer(bytearray(data), np.uint8)

    def _shard(self, place: Place) -> _Shard | None:
        """An open shard, None where the store lies elsewhere. The longest unused one is closed."""
        name = place.shard
        shard = self._open.get(name)
        if shard is None:
            if not _is_inside(name):
                raise self._damage(place, f"the catalogue names a shard outside: {name!r}")
            path = self._files.path(name)
            if path is None:
                return None
            shard = _Shard(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        # Put at the end without a lock, which a fork could leave locked: each step is atomic.
        self._open.pop(name, None)
        self._open[name] = shard
        while len(self._open) > _OPEN_SHARDS:
            self._open.popitem(last=False)
        return shard

    def _too_short(self, place: Place, what: str) -> StoreError:
        return self._damage(
            place,
            f"the shard cannot be read: it is too short: {place.key} has {place.size} bytes from "
            f"{place.offset}, {what}",
        )

    def _damage(self, place: Place, message: str) -> StoreError:
        return StoreError(
            message,
            where=self._files.where(place.shard),
            remedy=f"run `videoprep verify {self._location} --repair`",
        )


class _Shard:
    """An open file and its map.

    Closed when nothing refers to it any more: another thread may be reading. The map lives on with
    the tensors that are parts of it.

    Args:
        descriptor: the open file; closed by this object.
    """

    __slots__ = ("_address", "_given", "_map", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: NDArray[np.uint8] | None = None
        self._address = 0  # of the map; numpy takes long to tell it
        # By offset, size and type: the part that all which were handed out are views of.
        self._given: dict[tuple[int, int, torch.dtype], torch.Tensor] = {}

    def part(self, offset: int, size: int, dtype: torch.dtype) -> torch.Tensor | None:
        """Elements of the map ``[size / itemsize]``; the file must have them, and be aligned.

        None where there is no map, or where torch knows that somebody wrote to the elements since
        they were first read: they are no longer the file's.
        """
        memory = self._memory(offset + size)
        if memory is None:
            return None
        given = self._given.get((offset, size, dtype))
        # One that was sent to another process lies in shared memory since, in which the other one
        # may write without torch knowing here.
        if given is None or given.data_ptr() != self._address + offset:
            with torch.inference_mode(False):  # else torch would not count what is written
                given = torch.frombuffer(
                    memory, dtype=dtype, count=size // dtype.itemsize, offset=offset
                )
            self._given[offset, size, dtype] = given
        return None if given._version else given

    def _memory(self, end: int) -> NDArray[np.uint8] | None:
        """The map, if it reaches up to there."""
        if self._map is None:
            try:
                self._map = map_privately(self.descriptor, os.fstat(self.descriptor).st_size)
            except OSError:  # too many maps, or a file system that has none
                return None
            self._address = self._map.ctypes.data
        return self._map if end <= len(self._map) else None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)


def _is_as_written(data: NDArray[np.uint8], place: Place) -> bool:
    """Whether the bytes have the hash that the catalogue names, if it is to be checked."""
    return place.xxh3 is None or xxhash.xxh3_64_hexdigest(data.data) == place.xxh3


def _is_inside(name: str) -> bool:
    """Whether a path of the catalogue, which may be a stranger's, stays inside the store."""
    return not {"", ".", ".."}.intersection(name.split("/")) and "\0" not in name
