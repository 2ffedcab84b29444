"""The boxes of an MP4 or MOV; see ISO/IEC 14496-12."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MovieBox:
    """A box: its kind, where its contents start, and where it ends."""

    kind: bytes
    start: int
    end: int
    """As it says itself: what holds it may end before that."""


def boxes(file: int, start: int, end: int, most: int) -> Iterator[MovieBox]:
    """Yield the boxes that lie one after the other in a part of a file.

    It stops at what cannot be a box, and at a number of boxes that no sound file has.

    Raises:
        struct.error: the file ends within a header.
        OSError: it cannot be read.
    """
    for _ in range(most):
        if start + 8 > end:
            return
        head = os.pread(file, 16, start)
        length, kind = struct.unpack_from(">I4s", head)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, 8)
            header = 16
        elif length == 0:  # up to the end, wherever that is
            length = end - start
        if length < header:
            return
        yield MovieBox(kind, start + header, start + length)
        start += length
