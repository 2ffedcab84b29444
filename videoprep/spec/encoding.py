"""Tells which encoding a list that is not UTF-8 is in, by a name that iconv knows."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20
"""Bytes that are read at once."""

_SNIFFED = 1 << 12
_SAMPLE = 1 << 16
_NOT_ASCII = re.compile(rb"[^\n]*[\x80-\xff][^\n]*")
_RUN = re.compile(rb"[\x80-\xff]+")
_INSIDE = re.compile(rb"(?:(?<=[A-Za-z])([\x80-\xff]{1,2})(?=[A-Za-z]))")
_MARKS = {  # UTF-32 first: its mark begins with the one of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

_CODECS = {"UTF-16": "utf-16", "UTF-32": "utf-32"}  # that their marks tell the order of

_KANA, _HANGUL, _IDEOGRAPH = "[\u3041-\u30ff]", "[\uac00-\ud7a3]", "[\u4e00-\u9fff]"
_CYRILLIC = "[а-яё]"

# Python's codec, iconv's name, which characters the text is made of, and how many of those that
# are not ASCII they have to be at least. The first that reads the whole file is taken.
_WESTERN = (("cp1252", "CP1252", ".", 0.0), ("latin-1", "ISO-8859-1", ".", 0.0))
_JAPANESE = (("cp932", "CP932", _KANA, 0.2), ("euc_jp", "EUC-JP", _KANA, 0.2))
_OTHERS = (
    ("cp949", "CP949", _HANGUL, 0.8),
    ("cp1251", "CP1251", _CYRILLIC, 0.8),
    ("koi8_r", "KOI8-R", _CYRILLIC, 0.8),
    ("gb2312", "GB18030", _IDEOGRAPH, 0.5),
    ("big5", "BIG5", _IDEOGRAPH, 0.5),
    ("gb18030", "GB18030", _IDEOGRAPH, 0.5),
    ("cp932", "CP932", _IDEOGRAPH, 0.5),
)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces."""
    while chunk := file.read(CHUNK):
        yield chunk


def wide_encoding(path: Path) -> str | None:
    """UTF-16 or UTF-32, told by its mark, or by the zeros of line ends, spaces and ASCII."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
    if (marked := marked_encoding(start)) is not None:
        return marked
    if b"\0" not in start:
        return None
    zeros = [start[lane::4].count(0) for lane in range(4)]
    quarter = len(start) // 4
    if quarter and not zeros[0] and zeros[2] > quarter / 2 and zeros[3] == quarter:
        return "UTF-32LE"
    if quarter and not zeros[3] and zeros[1] > quarter / 2 and zeros[0] == quarter:
        return "UTF-32BE"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    mostly_ascii = max(even, odd) > quarter / 2 and not min(even, odd)
    if not mostly_ascii and _is_utf8(start):
        return None  # UTF-8 with NUL bytes: a damaged file
    little, big = (_count_ends(start, order) for order in ("utf-16-le", "utf-16-be"))
    if mostly_ascii:
        return "UTF-16LE" if odd else "UTF-16BE"
    return None if little == big else "UTF-16LE" if little > big else "UTF-16BE"


def marked_encoding(data: bytes) -> str | None:
    """Return UTF-16 or UTF-32, if data begins with its byte order mark."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)


def is_certain(path: Path, encoding: str) -> bool:
    """Return whether a file says in which wide encoding it is, and is that to its end.

    A byte order mark is certain. Zeros between ASCII letters only look like UTF-16.
    """
    return encoding in _CODECS and _reads(path, _CODECS[encoding])


def open_utf8(path: Path) -> BinaryIO:
    """Open a text file as UTF-8; one whose byte order mark says UTF-16 or UTF-32 is recoded.

    Bytes that are not text in the file's encoding come out as they are, or, in a wide encoding,
    raise `UnicodeDecodeError` when they are read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    encoding = marked_encoding(start)
    if encoding is None:
        return path.open("rb")
    return io.BufferedReader(_Recoded(path, _CODECS[encoding]), CHUNK)


class _Recoded(io.RawIOBase):
    """A text file's content as UTF-8, whatever its encoding."""

    def __init__(self, path: Path, codec: str) -> None:
        self._file = path.open(encoding=codec, newline="")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = self._file.read(CHUNK).encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def count_lines(path: Path, encoding: str = "latin-1") -> int:
    """How many lines a file has; one that the end of the file cuts off counts."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    newlines, last = 0, "\n"
    with path.open("rb") as file:
        for chunk in chunks(file):
            text = decoder.decode(chunk)
            newlines += text.count("\n")
            last = text[-1:] or last
    return newlines + (last != "\n")


def guess_encoding(path: Path) -> str | None:
    """What a file that is not UTF-8 is written in; None where it is UTF-8 with damage, or no text.

    The name given is one that reads the whole file without an error.
    """
    sample = _not_ascii(path)
    if b"\0" in sample or _is_damaged_utf8(sample):
        return None
    # Western letters stand alone among ASCII letters, or in pairs, as in Größe. Those of other
    # scripts stand beside each other, and apart from ASCII.
    runs = [len(match.group()) for match in _RUN.finditer(sample)]
    inside = [len(match.group(1)) for match in _INSIDE.finditer(sample)]
    western = sum(runs) < 1.6 * len(runs) or 2 * sum(inside) > sum(runs)
    candidates = _JAPANESE + (_WESTERN if western else _OTHERS + _WESTERN)
    for codec, name, pattern, share in candidates:
        if _fits(sample, codec, pattern, share) and _reads(path, codec):
            return name
    return None


def _is_utf8(start: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def _count_ends(start: bytes, encoding: str) -> int:
    text = start.decode(encoding, "replace")
    return sum(text.count(char) for char in "\r\n ")


def _not_ascii(path: Path) -> bytes:
    """The first lines that are not ASCII."""
    found: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for chunk in chunks(file):
            for match in _NOT_ASCII.finditer(chunk):
                found.append(match.group()[:_SAMPLE])
                size += len(found[-1])
                if size >= _SAMPLE:
                    return b"\n".join(found)
    return b"\n".join(found)


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8: other encodings look like it by chance only."""
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return sum(char > "\x7f" for char in text) > 2 * wrong


def _fits(sample: bytes, codec: str, pattern: str, share: float) -> bool:
    text = sample.decode(codec, "ignore")
    beyond = sum(char > "\x7f" for char in text)
    return beyond > 0 and len(re.findall(pattern, text)) >= share * beyond


def _reads(path: Path, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        with path.open("rb") as file:
            for chunk in chunks(file):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
