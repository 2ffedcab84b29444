"""Reader for a CSV or TSV file with a header row."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec.entries import Entries, Entry, not_utf8, read_text

CAPTION_COLUMNS = ("caption", "captions", "prompt", "prompts", "text")
"""Column names taken for the caption when none is named, in order of preference."""

VIDEO_COLUMNS = ("video", "videos", "video_path", "file_name", "filename", "path", "file")
"""Column names taken for the video when none is named, in order of preference."""


def delimiter_of(path: Path) -> str:
    """The delimiter that the file's ending stands for."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file.

    Raises:
        SpecError: the file is missing, not UTF-8, or empty.
    """
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        problem = not_utf8(path, error)
        raise SpecError(problem.message, where=problem.where, remedy=problem.remedy) from error
    try:
        header: list[str] = next(_reader(text, path), [])
    except csv.Error as error:
        raise SpecError(
            f"the header row is not valid CSV: {error}",
            where=f"{path}:1",
            remedy="write the column names in the first line, for instance: video,caption",
        ) from error
    if not any(name.strip() for name in header):
        raise SpecError(
            "the file has no header row",
            where=str(path),
            remedy="write the column names in its first line, for instance: video,caption",
        )
    return [name.strip() for name in header]


def read_csv(path: Path, caption_column: str, video_column: str) -> Entries:
    """Reads the two named columns.

    A row with an empty cell, or with more or fewer cells than the header, is a problem of its
    own line; the other rows are not affected.

    Raises:
        SpecError: the file or a column is missing.
    """
    found = Entries()
    header = read_header(path)
    caption_at = _find_column(header, caption_column, path, "--caption-column")
    video_at = _find_column(header, video_column, path, "--video-column")
    for line, row in _rows(path, found):
        found.total += 1
        problem = _check_row(row, header, caption_at, video_at, path, line)
        if problem is not None:
            found.problems.append(problem)
            continue
        found.entries.append(Entry(row[video_at].strip(), row[caption_at].strip(), str(path), line))
    return found


def _rows(path: Path, found: Entries) -> Iterator[tuple[int, list[str]]]:
    """Yields ``(first line of the row, cells)``; a quoted caption may span several lines."""
    text = read_text(path)
    reader = _reader(text, path)
    next(reader)
    line = reader.line_num + 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        # Where the next row would begin cannot be known: each line left counts as a sample.
        found.total += sum(bool(left.strip()) for left in text.split("\n")[line - 1 :])
        found.problems.append(
            Problem(
                Code.MALFORMED_ROW,
                f"not valid CSV: {error}",
                "look for a quote that is not closed, or not doubled, from this line on",
                str(path),
                line,
            )
        )


def _reader(text: str, path: Path) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(path), strict=True)


def _check_row(
    row: list[str], header: list[str], caption_at: int, video_at: int, path: Path, line: int
) -> Problem | None:
    if len(row) != len(header):
        return Problem(
            Code.MALFORMED_ROW,
            f"{len(row)} cells, but the header has {len(header)}",
            "put captions that hold a comma into double quotes",
            str(path),
            line,
        )
    for at in (caption_at, video_at):
        if not row[at].strip():
            return Problem(
                Code.BLANK_LINE,
                f"the column {header[at]!r} is empty",
                "write the missing entry, or delete the row",
                str(path),
                line,
            )
    return None


def _find_column(header: list[str], name: str, path: Path, flag: str) -> int:
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise SpecError(
        f"there is no column {name!r}; the columns are: {', '.join(header)}",
        where=str(path),
        remedy=f"{hint}name the column with {flag}",
    )
