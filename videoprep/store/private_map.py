"""A file as memory that may be written to: neither the file nor other processes see it."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
