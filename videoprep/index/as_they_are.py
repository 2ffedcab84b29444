"""Videos that are encoded as they are, although `validate` advises to convert them first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.errors import Code
from videoprep.media.inspect import Inspection
from videoprep.media.probe import MediaInfo
from videoprep.media.remedies import HDR_TRANSFERS

Marks = Mapping[Code, set[str]]
"""The names of the videos that each code is about."""

_WORDS = {Code.INTERLACED: "interlaced", Code.HIGH_DYNAMIC_RANGE: "HDR"}


def no_marks() -> dict[Code, set[str]]:
    """Return marks that name no video yet."""
    return {code: set() for code in (*_WORDS, Code.SHORT_SOUND)}


def mark(marks: Marks, name: str, found: Inspection) -> None:
    """Note a video if it is interlaced or HDR.

    Args:
        marks: where it is noted.
        name: what the video is called.
        found: what is known of it.
    """
    if isinstance(found.shared, MediaInfo):
        for code in _codes(found.shared):
            marks[code].add(name)


def count_marked(marks: Marks, videos: pa.ChunkedArray) -> dict[str, int]:
    """Return how many of some videos each code is about; codes without a video are left out.

    Args:
        marks: what was noted.
        videos: names; each counts once.
    """
    if not any(marks[code] for code in _WORDS):
        return {}
    among = set(pc.unique(videos).to_pylist())
    counts = {code.value: len(marks[code] & among) for code in _WORDS}
    return {code: count for code, count in counts.items() if count}


def sentence(counts: Mapping[str, int]) -> str | None:
    """Say how many videos are encoded as they are: ``2 videos are interlaced (VP115) and …``.

    Args:
        counts: see `count_marked`.

    Returns:
        The sentence, without a full stop; None if there are none.
    """
    if not counts:
        return None
    parts = [
        f"{count:,} {'video is' if count == 1 else 'videos are'} {_WORDS[Code(code)]} ({code})"
        for code, count in counts.items()
    ]
    one = sum(counts.values()) == 1
    encoded = "is encoded as it is" if one else "are encoded as they are"
    return f"{' and '.join(parts)}, and {encoded}"


def _codes(media: MediaInfo) -> Iterator[Code]:
    if media.interlaced:
        yield Code.INTERLACED
    if media.color_transfer in HDR_TRANSFERS:
        yield Code.HIGH_DYNAMIC_RANGE
