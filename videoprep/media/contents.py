"""What a file's own bytes tell, without a decoder: what it is, and whether it ends too early."""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videoprep.errors import Code
from videoprep.fs.fingerprint import open_regular
from videoprep.media.boxes import boxes
from videoprep.text import counted

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

_PICTURE_BRANDS = {
    b"avif": "AVIF", b"heic": "HEIF", b"heix": "HEIF", b"heim": "HEIF", b"heis": "HEIF",
    b"mif1": "HEIF", b"jxl ": "JPEG XL",
}  # fmt: skip
_SEQUENCE_BRANDS = {b"avis": "AVIF", b"hevc": "HEIF", b"hevx": "HEIF", b"msf1": "HEIF"}
_PICTURE_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "ICO"), (b"8BPS", "Photoshop"), (b"qoif", "QOI"), (b"DDS ", "DDS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"), (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\xff\x0a", "JPEG XL"),
    *((b"P%d%c" % (kind, space), "PNM") for kind in range(1, 8) for space in b" \t\r\n"),
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"
_GIFS = (b"GIF87a", b"GIF89a")
_HEAD = 4096
_LEAST, _QUOTED = 16, 60  # bytes that any video has; characters of a text that are shown

_AGAIN = "copy or download the file again"
_REMOVE = "replace it by a video, or remove the sample"
_UNPACK = "unpack it, and name the videos in it"
_ANSWER = "download the video again: this is what came instead, and may say why"
_PLAYLIST = "it only names other files: name those, or join them into one video"
_CONVERT = "convert it to MP4 or MKV, or remove the sample"

# What else files may be, by the bytes that they start with.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    *((magic, "an archive (ZIP)", _UNPACK) for magic in (b"PK\3\4", b"PK\5\6", b"PK\7\x08")),
    (b"\x1f\x8b", "compressed (gzip)", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)", _UNPACK),
    (b"Rar!\x1a\x07", "an archive (RAR)", _UNPACK),
    (b"\xfd7zXZ\0", "compressed (xz)", _UNPACK),
    (b"BZh", "compressed (bzip2)", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard)", _UNPACK),
    (b"%PDF-", "a PDF document", _REMOVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", _REMOVE),
    (b"PAR1", "a Parquet file", _REMOVE),
    (b"\x93NUMPY", "a NumPy array", _REMOVE),
    (b"\x89HDF\r\n", "an HDF5 file", _REMOVE),
    (b"SQLite format 3\0", "a database (SQLite)", _REMOVE),
    (b"\x7fELF", "a program", _REMOVE),
    (b"\0\5\x16\7", "what macOS keeps beside a file (AppleDouble)", "remove the sample"),
    (b"d8:announce", "a torrent, which only names a video", "download what it names"),
    (b"d13:announce-list", "a torrent, which only names a video", "download what it names"),
    *((magic, "a Flash animation (SWF)", _CONVERT) for magic in (b"FWS", b"CWS", b"ZWS")),
    *((magic, "a Bink video", _CONVERT) for magic in (b"BIK", b"KB2")),
    *((magic, "a Smacker video", _CONVERT) for magic in (b"SMK2", b"SMK4")),
)
_SOUNDS = (
    b"#!AMR", b"MThd", b"caff", b"MAC ", b"wvpk", b"TTA1", b"DSD ", b"RF64",
    b"riff\x2e\x91\xcf\x11",
)  # fmt: skip

# What else texts may be, by how they start, in capitals or not, after blanks and what is like them.
_TEXTS: tuple[tuple[str, str, str], ...] = (
    (
        r"version https://git-lfs\.github\.com",
        "a Git LFS pointer",
        "fetch the file that it stands for: run git lfs pull in its repository",
    ),
    (
        r"(\.\./)*(\.git)?/annex/objects/",
        "a git-annex pointer",
        "fetch the file that it stands for: run git annex get in its repository",
    ),
    (r"#extm3u", "a playlist (M3U)", _PLAYLIST),
    (r"\[playlist\]", "a playlist (PLS)", _PLAYLIST),
    (r"<asx|<smil|\[reference\]|rtsptext", "a playlist", _PLAYLIST),
    (r"ffconcat version|file ['\"/.\w][^\n]*(\n|$)", "a list for FFmpeg", _PLAYLIST),
    (r"<mpd\b", "a playlist (DASH)", _PLAYLIST),
    (r"v=0\r?\no=", "the description of a stream (SDP)", _PLAYLIST),
    (r"webvtt", "subtitles (WebVTT)", _REMOVE),
    (r"\d+\r?\n\d+:\d\d:\d\d,\d+ --> ", "subtitles (SubRip)", _REMOVE),
    (r"\[script info\]", "subtitles (ASS)", _REMOVE),
    (r"\[internetshortcut\]", "a link to a web page", "download what it names"),
    (r"<(!doctype html|html|head|body|script|title|meta)\b", "a web page (HTML)", _ANSWER),
    (r"<[a-z]", "an XML document", _ANSWER),
    (r"\{\s*[\"}]|\[\s*[\"{\[\]\d]", "a JSON document", _ANSWER),
)
_PROLOG = re.compile(r"\s*(<\?[^>]*>|<!--.*?-->|<!doctype svg[^>]*>)\s*", re.S | re.I)
_CONTROLS = re.compile(r"[\0-\x08\x0b\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ContentKind:
    """What a file is that is no video."""

    what: str
    """In words that follow the file's name: ``is a PDF document, not a video``."""
    remedy: str
    """What to do."""
    code: Code = Code.UNREADABLE
    """As what it is refused."""


def picture_format(path: Path) -> str | None:
    """Return the format of a file that starts like one still image, or None.

    An animated PNG or WebP and a sequence of pictures are none, and a GIF may be either.
    """
    head = _head(path)
    animated = _is_webp(head) and b"ANIM" in head[:64]
    animated = animated or (head.startswith(_PNG) and b"acTL" in head)
    if animated or head.startswith(_GIFS) or _brand(head) in _SEQUENCE_BRANDS:
        return None
    return any_picture_format(path)


def any_picture_format(path: Path) -> str | None:
    """Return the format of a file that starts like a picture, be it animated, or None."""
    head = _head(path)
    if _is_webp(head):
        return "WEBP"
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(_GIFS):
        return "GIF"
    found = (name for start, name in _PICTURE_STARTS if head.startswith(start))
    brands = {**_PICTURE_BRANDS, **_SEQUENCE_BRANDS}
    return next(found, None) or brands.get(_brand(head))


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def kind_of(path: Path) -> ContentKind | None:
    """Return what a file is that is known to be no video; None if its bytes do not tell."""
    try:
        status = path.stat()
    except OSError:
        return None
    size, head = status.st_size, _head(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    if not size:
        return ContentKind("is empty", f"{_AGAIN}, or remove the sample")
    kind = _kind_of_bytes(head) or _kind_of_text(head)
    if kind is not None:
        return kind
    if size < _LEAST:
        return ContentKind(f"has {counted(size, 'byte')}, too few for a video", _AGAIN)
    if head and not head.strip(b"\0"):
        return ContentKind(f"starts with {len(head)} zero bytes: it was never written", _AGAIN)
    return None


def _kind_of_bytes(head: bytes) -> ContentKind | None:
    if _is_webp(head):
        return ContentKind("is an animated WebP, which is not read", _CONVERT)
    if head.startswith(_SOUNDS):
        return ContentKind("holds sound, not a video", _REMOVE, Code.NO_VIDEO_STREAM)
    if head[257:262] == b"ustar":
        return ContentKind("is an archive (tar), not a video", _UNPACK)
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return ContentKind(f"is {what}, not a video", remedy)
    return None


def _kind_of_text(head: bytes) -> ContentKind | None:
    text = _as_text(head)
    if text is None:
        return None
    while prolog := _PROLOG.match(text):
        text = text[prolog.end() :]
    if re.match("<svg", text, re.I):
        return ContentKind("is a drawing (SVG), not a video", _REMOVE)
    for start, what, remedy in _TEXTS:
        if re.match(start, text, re.I):
            said = _start(text) if remedy == _ANSWER else ""
            return ContentKind(f"is {what}, not a video{said}", remedy)
    return ContentKind(f"is a text, not a video{_start(text)}", _REMOVE)


def _start(text: str) -> str:
    """Return how a text starts, for a message; a web page is known by its title."""
    title = re.search(r"<title>\s*([^<]+)", text, re.I)
    words = " ".join((title[1] if title else text).split())
    shown = words if len(words) <= _QUOTED else f"{words[:_QUOTED]}…"
    return f": {shown!r}"


def _as_text(head: bytes) -> str | None:
    """Return a head as text, without what may stand before it; None if it is none."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    for cut in range(4):  # a character may be cut in two where the head ends
        try:
            text = head[: len(head) - cut].decode(encoding).lstrip("\ufeff \t\r\n")
        except UnicodeDecodeError:
            continue
        return None if _CONTROLS.search(text) or not text else text
    return None


def announced_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height that an animated picture announces; None for other files."""
    head = _head(path)
    if head[:6] in _GIFS and len(head) >= 10:
        width, height = struct.unpack_from("<HH", head, 6)
    elif head.startswith(_PNG) and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
    else:
        return None
    return width, height


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
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return _end_of_riff
    if head[:3] == b"FLV":
        return _end_of_tags
    return _end_of_packets if _SYNC in (head[:1] + head[4:5]) else None


def _end_of_boxes(file: int, size: int) -> str | None:
    """MP4 and MOV: boxes one after the other, one of which is the index."""
    indexed = False
    for box in boxes(file, 0, size, _MOST_PIECES):
        if box.kind not in _BOXES:
            break
        indexed = indexed or box.kind in _INDEX_BOXES
        if box.end > size:
            return f"its {box.kind.decode()!r} box ends at byte {box.end}, the file at {size}"
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
    """AVI and WebP: a few RIFF chunks one after the other; a recorder that was killed leaves 0."""
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
