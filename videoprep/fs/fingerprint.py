"""The fingerprint of a file's contents, by which it is known wherever it lies."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import xxhash

_CHUNK = 1 << 18


def fingerprint_of(path: Path) -> str:
    """Return xxh3-128 of a file's bytes, 32 hexadecimal digits, with flat memory.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    digest = xxhash.xxh3_128()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; a FIFO or a device, which could block for ever, is refused.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(None, "not a regular file")
    return os.fdopen(number, "rb", buffering=0)
