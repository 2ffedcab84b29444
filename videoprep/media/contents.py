"""What a file's own bytes tell, without a decoder: what it is, and whether it ends too early."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_BOXES = (
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta",
    b"sidx", b"ssix", b"mfra", b"pnot", b"prft", b"emsg", b"pdin", b"udta",
)  # fmt: skip
_FIRST_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_INDEX_BOXES = (b"moov", b"moof", b"meta")
_MOST_PIECES = 1_000_000

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"

_FLV_TAG, _FLV_TYPES = 11, (8, 9, 18)

# Packet length of a transport stream, and what stands before its sync byte.
_TRANSPORT = ((188, 0), (192, 4), (204, 0))
_SYNC, _SYNCS = 0x47, 5

_PICTURE_BRANDS = (b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"jxl ")
_SEQUENCE_BRANDS = (b"avis", b"hevc", b"hevx", b"msf1")
_PICTURE_STARTS = (
    b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0", b"8BPS", b"qoif", b"DDS ",
    b"\x76\x2f\x31\x01", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\0\0\0\x0cJXL ", b"\xff\x0a",
    *(b"P%d%c" % (kind, space) for kind in range(1, 8) for space in b" \t\r\n"),
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = 4096


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading; a FIFO or a device, which could block for ever, is refused.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(None, "not a regular file")
    return os.fdopen(number, "rb", buffering=0)


def is_picture(path: Path) -> bool:
    """Whether a file starts like those that hold one picture."""
    head = _head(path)
    if head.startswith(_PNG):
        return b"acTL" not in head
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return b"ANIM" not in head[:64]
    return head.startswith(_PICTURE_STARTS) or _brand(head) in _PICTURE_BRANDS


def is_picture_container(path: Path) -> bool:
    """Whether a file is an MP4 whose brand is that of pictures, one or several."""
    return _brand(_head(path)) in (*_PICTURE_BRANDS, *_SEQUENCE_BRANDS)


def missing_end(path: Path) -> str | None:
    """Why a file is known to end too early, in words; None where it is not.

    Most containers say how long they are, all in one place or piece by piece. What follows the
    end that they announce does not count.
    """
    try:
        with open_regular(path) as file:
            number = file.fileno()
            size, head = os.fstat(number).st_size, os.pread(number, 16, 0)
            check = _check_for(head)
            return check(number, size) if check else None
    except (OSError, struct.error, IndexError):
        return None


def _check_for(head: bytes) -> Callable[[int, int], str | None] | None:
    if head[4:8] in _FIRST_BOXES:
        return _end_of_boxes
    if head[:4] == _EBML:
        return _end_of_segment
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _end_of_riff
    if head[:3] == b"FLV":
        return _end_of_tags
    return _end_of_packets if _SYNC in (head[:1] + head[4:5]) else None


def _end_of_boxes(file: int, size: int) -> str | None:
    """MP4 and MOV: boxes one after the other, one of which is the index."""
    at, indexed = 0, False
    for _ in range(_MOST_PIECES):
        if at + 8 > size:
            break
        head = os.pread(file, 16, at)
        length, kind = struct.unpack_from(">I4s", head)
        if kind not in _BOXES:
            break
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, 8)
        elif length == 0:  # up to the end, wherever that is
            length = size - at
        if length < 8:
            break
        indexed = indexed or kind in _INDEX_BOXES
        if at + length > size:
            return f"its {kind.decode()!r} box ends at byte {at + length}, the file at {size}"
        at += length
    return None if indexed else "it ends before its index (its 'moov' box)"


def _end_of_segment(file: int, size: int) -> str | None:
    """Matroska and WebM: a header, and one segment, whose length may be left open."""
    at, length = _element(file, 0)
    at += length or 0
    if os.pread(file, 4, at) != _SEGMENT:
        return "it ends before its segment" if at + 4 > size else None
    start, length = _element(file, at)
    if length is None or start + length <= size:
        return None
    return f"its segment ends at byte {start + length}, the file at {size}"


def _element(file: int, at: int) -> tuple[int, int | None]:
    """Where an element with an id of four bytes starts, and its length; None: left open."""
    data = os.pread(file, 8, at + 4)
    width = 9 - data[0].bit_length()
    length = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return at + 4 + width, None if length == (1 << 7 * width) - 1 else length


def _end_of_riff(file: int, size: int) -> str | None:
    """AVI: a few RIFF chunks one after the other; a recorder that was killed leaves 0."""
    at = 0
    while at + 12 <= size:
        kind, length = struct.unpack("<4sI", os.pread(file, 8, at))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):
            return None
        if at + 8 + length > size:
            return f"its RIFF chunk ends at byte {at + 8 + length}, the file at {size}"
        at += 8 + length + length % 2
    return None


def _end_of_tags(file: int, size: int) -> str | None:
    """FLV: tags, each followed by its own length."""
    (last,) = struct.unpack(">I", os.pread(file, 4, size - 4))
    if _FLV_TAG <= last <= size - 4:
        kind, length = _tag(file, size - 4 - last)
        if kind in _FLV_TYPES and length + _FLV_TAG == last:
            return None
    (at,) = struct.unpack(">I", os.pread(file, 4, 5))
    at += 4
    for _ in range(_MOST_PIECES):
        if at + _FLV_TAG > size:
            return None
        kind, length = _tag(file, at)
        if kind not in _FLV_TYPES:
            return None
        at += _FLV_TAG + length
        if at > size:
            return f"its last tag ends at byte {at}, the file at {size}"
        at += 4
    return None


def _tag(file: int, at: int) -> tuple[int, int]:
    word = int.from_bytes(os.pread(file, 4, at), "big")
    return word >> 24, word & 0xFFFFFF


def _end_of_packets(file: int, size: int) -> str | None:
    """Transport streams: packets of equal length, each of which starts with a sync byte."""
    start = os.pread(file, _SYNCS * 204, 0)
    for length, before in _TRANSPORT:
        syncs = start[before::length]
        if len(syncs) < _SYNCS - 1 or any(byte != _SYNC for byte in syncs):
            continue
        rest = size % length
        last = os.pread(file, rest, size - rest)
        if rest and (rest <= before or last[before] == _SYNC):
            return f"its last packet has {rest} of {length} bytes"
        return None
    return None


def _brand(head: bytes) -> bytes:
    return head[8:12] if head[4:8] == b"ftyp" else b""


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_HEAD)
    except OSError:
        return b""
