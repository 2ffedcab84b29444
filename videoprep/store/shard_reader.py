"""Tensors straight out of shards, by the places that the catalogue names."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from videoprep.errors import StoreError
from videoprep.fs import is_url, open_files
from videoprep.shell import command_line
from videoprep.store.format import DTYPES

TORCH_DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, kind) for name, kind in DTYPES.items() if kind != "bool"
}
"""What can be read, by safetensors' names. No bool: a byte above 1 would be none."""

# As many shards stay mapped as together have this many bytes, since mapping anew what was read
# before costs more than reading it. Their pages are the page cache's own, which may take them back.
_MAPPED_BYTES = 16 << 30
_MAPPED_SHARDS = 4096  # of 65,530 maps that Linux lets a process have

# After this many seconds a mapped file is looked at again: whether it was replaced or cut off.
_SEEN_AGAIN = 0.1

# Below this many bytes a copy is as fast as what it takes to hand out a part of a map.
_PART_BYTES = 1 << 18


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

    Keeps a bounded number of shards mapped and none open, however many there are. Large tensors are
    parts of the private map of their shard, which lives as long as any of them; small ones are
    copied.

    Args:
        location: path or URL of the store.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._folder = None if is_url(location) else location
        self._shards: OrderedDict[str, _MappedShard] = OrderedDict()
        self._bytes = 0  # of all in ``_shards``
        self._start()

    def _start(self) -> None:
        # Connections must not be shared with a forked process, and the lock may have been held
        # when it was forked.
        self._owner = os.getpid()
        self._files = open_files(self._location)
        self._lock = threading.Lock()

    def read(self, place: Place) -> torch.Tensor:
        """A tensor, writable; it may share its memory with others read from the same place.

        Raises:
            StoreError: the shard is missing, too short or cannot be read; the place makes no
                sense; or the bytes are not those that were written, where that is checked.
        """
        dtype = self._check(place)
        if not place.size:
            return torch.empty(place.shape, dtype=dtype)
        if self._owner != os.getpid():
            self._start()
        try:
            if self._folder is None:
                data = self._remote_bytes(place)
            else:
                path = f"{self._folder}/{place.shard}"
                mapped = self._mapped(path, place, dtype)
                # A map whose bytes are wrong may have been written to; the file decides.
                if mapped is not None and (
                    place.xxh3 is None or _is_as_written(mapped.view(torch.uint8).numpy(), place)
                ):
                    return mapped.view(place.shape)
                data = self._copied(path, place)
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
        dtype = TORCH_DTYPES.get(place.dtype)
        if dtype is None:
            raise StoreError(
                f"{place.key} has the type {place.dtype!r}; known are: {', '.join(TORCH_DTYPES)}",
                where=self._files.where(place.shard),
                remedy="upgrade videoprep, or encode with another `dtype`",
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

    def _mapped(self, path: str, place: Place, dtype: torch.dtype) -> torch.Tensor | None:
        """The elements as a part of the shard's map, or copied from it; None without a map."""
        shard = self._shard(path, place)
        # To read a map beyond the file's end would kill the process.
        if shard.size < place.offset + place.size:
            raise self._too_short(place, f"the file has {shard.size}")
        if place.size < _PART_BYTES or place.offset % dtype.itemsize:
            return shard.copy(place.offset, place.size, dtype)
        return shard.part(place.offset, place.size, dtype)

    def _copied(self, path: str, place: Place) -> NDArray[np.uint8]:
        """The file's bytes in memory of their own, which is aligned."""
        data = np.empty(place.size, np.uint8)
        done = 0
        with open(path, "rb", buffering=0) as file:
            file.seek(place.offset)
            while done < place.size:  # one call reads 2 GiB at most
                count = file.readinto(data.data[done:])
                if not count:
                    raise self._too_short(place, "the file was cut off")
                done += count
        return data

    def _remote_bytes(self, place: Place) -> NDArray[np.uint8]:
        self._require_inside(place)
        data = self._files.read_range(place.shard, place.offset, place.size)
        if len(data) != place.size:
            raise self._too_short(place, f"there are {len(data)} bytes")
        return np.frombuffer(bytearray(data), np.uint8)

    def _shard(self, path: str, place: Place) -> _MappedShard:
        """The shard as it is now. Those that were not used for longest are let go."""
        name = place.shard
        shard = self._shards.get(name)
        if shard is None or not shard.is_at(path):
            self._require_inside(place)
            shard = _MappedShard(path)
        with self._lock:
            replaced = self._shards.pop(name, None)
            self._shards[name] = shard
            self._bytes += shard.size - (0 if replaced is None else replaced.size)
            while len(self._shards) > _MAPPED_SHARDS or (
                self._bytes > _MAPPED_BYTES and len(self._shards) > 1
            ):
                self._bytes -= self._shards.popitem(last=False)[1].size
        return shard

    def _require_inside(self, place: Place) -> None:
        """The catalogue may be a stranger's."""
        if "\0" in place.shard or not {"", ".", ".."}.isdisjoint(place.shard.split("/")):
            raise self._damage(place, f"the catalogue names a shard outside: {place.shard!r}")

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
            remedy=f"run `{command_line('verify', self._location, repair=True)}`",
        )


class _MappedShard:
    """A file and its map, which lives on with the tensors that are parts of it.

    Args:
        path: the file.

    Attributes:
        size: how many bytes the file had.
    """

    __slots__ = ("_address", "_given", "_identity", "_map", "_seen", "size")

    def __init__(self, path: str) -> None:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            self.size = status.st_size
            self._identity = _identity(status)
            self._seen = time.monotonic()
            self._map = _map_if_possible(file.fileno(), self.size)
        # numpy takes long to tell it
        self._address = 0 if self._map is None else self._map.ctypes.data
        # By offset, size and type: the part that all which were handed out are views of.
        self._given: dict[tuple[int, int, torch.dtype], torch.Tensor] = {}

    def is_at(self, path: str) -> bool:
        """Whether it is what lies there: it was neither replaced nor cut off. Removed: it is."""
        now = time.monotonic()
        if now - self._seen < _SEEN_AGAIN:
            return True
        try:
            current = self._identity == _identity(os.stat(path))
        except FileNotFoundError:
            current = True
        self._seen = now
        return current

    def copy(self, offset: int, size: int, dtype: torch.dtype) -> torch.Tensor | None:
        """Elements ``[size / itemsize]``, copied from the map; None where there is none."""
        if self._map is None:
            return None
        return torch.frombuffer(self._map[offset : offset + size].copy(), dtype=dtype)

    def part(self, offset: int, size: int, dtype: torch.dtype) -> torch.Tensor | None:
        """Elements of the map ``[size / itemsize]``; the file must have them, and be aligned.

        None where there is no map, or where torch knows that somebody wrote to the elements since
        they were first read: they are no longer the file's.
        """
        if self._map is None:
            return None
        given = self._given.get((offset, size, dtype))
        # One that was sent to another process lies in shared memory since, in which the other one
        # may write without torch knowing here.
        if given is None or given.data_ptr() != self._address + offset:
            with torch.inference_mode(False):  # else torch would not count what is written
                given = torch.frombuffer(
                    self._map, dtype=dtype, count=size // dtype.itemsize, offset=offset
                )
            self._given[offset, size, dtype] = given
        return None if given._version else given


def _map_if_possible(descriptor: int, size: int) -> NDArray[np.uint8] | None:
    if not size:
        return None
    try:
        return map_privately(descriptor, size)
    except OSError:  # too many maps, or a file system that has none
        return None


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """Another one when the file was replaced or cut off."""
    return status.st_dev, status.st_ino, status.st_size


def _is_as_written(data: NDArray[np.uint8], place: Place) -> bool:
    """Whether the bytes have the hash that the catalogue names, if it is to be checked."""
    return place.xxh3 is None or xxhash.xxh3_64_hexdigest(data.data) == place.xxh3


# Maps of files: memory that may be written to, of which neither the file nor other processes see
# anything.

# Python's own mmap keeps a descriptor open for each map (until 3.13 there is no other way), so
# that tensors of a thousand shards would be a thousand open files; and its close() pulls the memory
# from under tensors that still use it.
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
)  # fmt: skip
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


class _Map:
    """Memory, as numpy understands it; unmapped when the last array over it is gone."""

    __slots__ = ("__array_interface__", "_address", "_size")

    def __init__(self, address: int, size: int) -> None:
        self._address, self._size = address, size
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),  # False: not read-only
        }

    # As a default it is still there when Python, about to end, has emptied this module.
    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # the kernel takes all back then
            _LIBC.munmap(self._address, self._size)


def map_privately(descriptor: int, size: int) -> NDArray[np.uint8]:
    """Maps the first ``size`` > 0 bytes of a file, which must have them: uint8 ``[size]``.

    Pages that are written to become copies. The array outlives the descriptor. If the file is cut
    off later, a read beyond its new end kills the process (SIGBUS), as with every map.

    Raises:
        OSError: the file cannot be mapped, or the process has too many maps.
    """
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    address = _LIBC.mmap(None, size, protection, mmap.MAP_PRIVATE, descriptor, 0)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), "cannot be mapped")
    return np.asarray(_Map(address, size))
