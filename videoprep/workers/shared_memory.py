"""Memory that processes share, handed out in pieces.

It is one memfd: not in /dev/shm, which Docker makes 64 MB large, and gone with its last process,
however that ends. Only what is written to takes memory.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# 0, 1 and 2 may be free here, but are something else in every child.
_FIRST_NUMBER = 3


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """From byte ``start`` to before byte ``end``: whole pages."""

    start: int
    end: int


class SharedMemory:
    """What one process sees of it.

    Args:
        number: the memfd's descriptor.
        size: bytes that are mapped once and for all; what lies beyond is mapped when it is used.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self._mapped = mmap.mmap(number, size)

    def tensor(self, start: int, shape: Sequence[int]) -> torch.Tensor:
        """A view: uint8 of the given shape. It keeps the memory mapped as long as it lives."""
        import torch

        length = math.prod(shape)
        if not length:  # nothing can be viewed
            return torch.empty(tuple(shape), dtype=torch.uint8)
        buffer, offset = self._at(start, length)
        view = memoryview(buffer)  # which the tensor keeps, and with it the mapping
        flat = torch.frombuffer(view, dtype=torch.uint8, count=length, offset=offset)
        return flat.view(*shape)

    def array(self, start: int, shape: Sequence[int]) -> NDArray[np.uint8]:
        """The same for numpy, which needs no torch."""
        length = math.prod(shape)
        if not length:
            return np.empty(tuple(shape), dtype=np.uint8)
        buffer, offset = self._at(start, length)
        flat = np.frombuffer(buffer, dtype=np.uint8, count=length, offset=offset)
        return flat.reshape(tuple(shape))

    def read(self, start: int, length: int) -> bytes:
        """A copy."""
        buffer, offset = self._at(start, length)
        return buffer[offset : offset + length]

    def write(self, start: int, data: bytes) -> None:
        """Writes to a piece."""
        buffer, offset = self._at(start, len(data))
        buffer[offset : offset + len(data)] = data

    def clear(self, piece: Piece) -> None:
        """Gives the memory of what lies beyond ``size`` back to the system; it reads as zeros."""
        start = max(piece.start, self.size)
        if start < piece.end:
            with mmap.mmap(self.number, piece.end - start, offset=start) as mapped:
                mapped.madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        """Ends the mapping, or leaves that to the last of the views that there still are."""
        with suppress(BufferError):
            self._mapped.close()

    def _at(self, start: int, length: int) -> tuple[mmap.mmap, int]:
        if start + length <= self.size:
            return self._mapped, start
        page = start - start % mmap.PAGESIZE
        return mmap.mmap(self.number, start + length - page, offset=page), start - page


class Arena:
    """Makes the memory and says who has which piece of it; from any thread.

    Attributes:
        memory: this process's view of it.

    Args:
        size: bytes that there are for all pieces but those that may lie beyond.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, size: int) -> None:
        size = _whole_pages(size)
        low = os.memfd_create("videoprep-pixels")
        try:
            number = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FIRST_NUMBER)
        finally:
            os.close(low)
        self._file = os.fdopen(number, "r+b", buffering=0)
        self._file.truncate(size)
        self.memory = SharedMemory(number, size)
        self._end = size
        self._used: list[Piece] = []
        self._lock = Lock()

    def take(self, length: int, *, beyond: bool = False) -> Piece | None:
        """Hands out a piece; None where there is no room for it.

        Args:
            length: its bytes, at least.
            beyond: whether it may lie beyond the arena's size, where there always is room.
        """
        length = _whole_pages(length)
        with self._lock:
            start = first_gap([(piece.start, piece.end) for piece in self._used], length)
            piece = Piece(start, start + length)
            if piece.end > self.memory.size and not beyond:
                return None
            if piece.end > self._end:
                self._file.truncate(piece.end)
                self._end = piece.end
            self._used.append(piece)
            self._used.sort(key=lambda used: used.start)
        return piece

    def give_back(self, piece: Piece) -> None:
        """Takes a piece back; a second time does nothing, nor does it after `close`."""
        with self._lock:
            if piece in self._used:  # it alone, not one that has its place now
                self.memory.clear(piece)
                self._used.remove(piece)

    def close(self) -> None:
        """Ends it; views that there still are keep theirs until they end."""
        with self._lock:
            self._used.clear()
            self.memory.close()
            self._file.close()


def first_gap(used: Sequence[tuple[int, int]], length: int) -> int:
    """Where so many bytes first fit beside what is used: starts and ends, in order."""
    start = 0
    for begin, end in used:
        if begin - start >= length:
            break
        start = end
    return start


def _whole_pages(length: int) -> int:
    return max(1, -(-length // mmap.PAGESIZE)) * mmap.PAGESIZE
