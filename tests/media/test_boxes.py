"""The boxes of an MP4, hostile ones, too."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from videoprep.media.boxes import MovieBox, boxes

_FREE = struct.pack(">I4s", 12, b"free") + b"abcd"
_LONG = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"


def _found(tmp_path: Path, data: bytes, most: int = 10) -> list[MovieBox]:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with path.open("rb") as file:
        return list(boxes(file.fileno(), 0, len(data), most))


def test_boxes_follow_each_other(tmp_path: Path) -> None:
    last = struct.pack(">I4s", 0, b"moov") + b"abcdef"  # up to the end
    assert _found(tmp_path, _FREE + _LONG + last) == [
        MovieBox(b"free", 8, 12), MovieBox(b"mdat", 28, 32), MovieBox(b"moov", 40, 46)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        struct.pack(">I4s", 7, b"moov") + bytes(20),
        struct.pack(">I4sQ", 1, b"moov", 15) + bytes(20),
        struct.pack(">I4sQ", 1, b"moov", 0) + bytes(20),
        b"moov",
    ],
)
def test_what_cannot_be_a_box_ends_them(tmp_path: Path, broken: bytes) -> None:
    assert _found(tmp_path, _FREE + broken) == [MovieBox(b"free", 8, 12)]


@pytest.mark.parametrize("length", [100, 2**63, 2**64 - 1])
def test_a_box_that_ends_after_the_file_says_so(tmp_path: Path, length: int) -> None:
    box = struct.pack(">I4sQ", 1, b"mdat", length)
    assert _found(tmp_path, box) == [MovieBox(b"mdat", 16, length)]


def test_no_more_boxes_than_are_asked_for(tmp_path: Path) -> None:
    assert len(_found(tmp_path, 30 * _FREE, most=10)) == 10
