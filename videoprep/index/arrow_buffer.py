"""Bytes for Arrow to read from, without Python having a part in them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def reader_of(data: bytes) -> pa.BufferReader:
    """Reads from a copy that is Arrow's own.

    Arrow's threads let go of what they have read when they like. Where that is an object of Python
    and Python is just ending, the process aborts.
    """
    buffer = pa.allocate_buffer(len(data))
    if data:
        np.frombuffer(buffer, dtype=np.uint8)[:] = np.frombuffer(data, dtype=np.uint8)
    return pa.BufferReader(buffer)
