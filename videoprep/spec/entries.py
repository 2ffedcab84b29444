"""What every reader of lists gives: entries as written, before anything is looked up on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from videoprep.errors import Code, Problem, SpecError


@dataclass(frozen=True, slots=True)
class Entry:
    """A caption and a video's path, as written at ``file:line``."""

    video: str
    caption: str
    file: str
    line: int


@dataclass(slots=True)
class Entries:
    """The usable entries of a dataset, the problems of the others, and how many there are."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    total: int = 0


def read_text(path: Path) -> str:
    """Reads a list file as UTF-8; a byte order mark at its start is dropped.

    Raises:
        SpecError: the file is missing, is not a regular file, or cannot be opened.
        UnicodeDecodeError: it is not UTF-8; the caller turns this into a `Problem`.
    """
    if not path.exists():
        raise SpecError("the list file does not exist", where=str(path), remedy=_siblings(path))
    if not path.is_file():
        raise SpecError(
            "the list is not a regular file", where=str(path), remedy="name a text file instead"
        )
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SpecError(
            f"the list file cannot be read: {error.strerror}",
            where=str(path),
            remedy="check its permissions",
        ) from error


def not_utf8(path: Path, error: UnicodeDecodeError) -> Problem:
    """The problem of a list file that is not UTF-8, at the first line that is not."""
    line = error.object[: error.start].count(b"\n") + 1
    encoding = "utf-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
    return Problem(
        Code.NOT_UTF8,
        f"not UTF-8: byte 0x{error.object[error.start]:02x}",
        f"save the file as UTF-8, for instance: iconv -f {encoding} -t utf-8 {path.name}",
        str(path),
        line,
    )


def split_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields ``(line number, stripped line)``.

    Only the newline ends a line: a caption may hold U+2028 and its like, at which
    `str.splitlines` would cut it in two and shift every caption after it.
    """
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.strip()


def _siblings(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return "check the path"
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    if not names:
        return f"the folder {folder} holds no files"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"the folder holds: {shown}"
