"""Stems of exported files: from the videos' names, unique, without dots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_MOST = 80
_DIGITS = 8


def stems(rows: Iterable[Mapping[str, Any]], start: int = 0) -> Iterator[str]:
    """A name a clip: its video's stem, and its place in the catalogue, which makes it unique.

    The place alone would do; the stem lets people find their clips again. What readers stumble
    over (dots, slashes, spaces, letters beyond ASCII) becomes an underscore.

    Args:
        rows: of the catalogue, in its order.
        start: the place of the first.
    """
    for number, row in enumerate(rows, start):
        readable = _UNSAFE.sub("_", PurePosixPath(row["video"]).stem)[:_MOST].strip("_")
        yield "_".join(filter(None, (f"{number:0{_DIGITS}d}", readable)))
