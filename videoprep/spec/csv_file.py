"""Reader for a CSV or TSV file with a header row."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec import columns
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.extras import BadValueError, ExtrasReader, TimeUnit
from videoprep.spec.sample import NO_EXTRAS, Extras
from videoprep.spec.table_kind import VIDEO_ENDING, require_table
from videoprep.spec.text_file import MAX_LINE, Survey, changed, in_shell, require_list, survey

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_NAME_COLUMNS = "write the column names in its first line, for instance: video,caption"

_ENDS_IN_VIDEO = re.compile(rf"{VIDEO_ENDING}[\"'\s]*$")

# What the csv module says, and what a user can do with. The first are about where a row ends.
_RETURN = "new-line character"
_REASONS = {
    _RETURN: "a carriage return outside of quotes: is it one row or two?",
    "unexpected end": "a quote that is opened here is never closed",
    "field larger": f"a cell has more than {MAX_LINE} characters; is its quote never closed?",
    "'": "there is text after a closing quote",
}

_LIMIT = 4 * MAX_LINE + 2  # bytes that the longest line takes in UTF-8, with its end

Row = tuple[int, int, list[str]]
"""First and last line of a row, and its cells."""


class _NotCsvError(ValueError):
    """From a row on the file is not CSV; where that row begins, and where that was noticed."""

    def __init__(self, reason: str, first: int, noticed: int) -> None:
        super().__init__(reason)
        self.code = Code.LINE_ENDS if reason.startswith(_RETURN) else Code.MALFORMED_ROW
        known = (text for start, text in _REASONS.items() if reason.startswith(start))
        self.reason = next(known, f"not valid CSV: {reason}")
        if noticed > first:
            self.reason += f" (noticed in line {noticed})"
        self.first = first


def delimiter_of(path: Path) -> str:
    """The delimiter that the file's ending stands for."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def guess_columns(path: Path, named: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a spec that say which columns hold what, as far as ``named`` does not.

    Where the file's bytes cannot be relied on these are mere names: `read_csv` then says why.

    Raises:
        SpecError: the file is missing or no table, or no column or several could be meant.
    """
    require_list(path)
    require_table(path)
    try:
        header = _header(path)
    except (_NotCsvError, UnicodeDecodeError) as error:
        if survey(path, table=True).fatal:
            return dict(columns.DEFAULTS)
        raise _no_table(path, f"the header row is not valid CSV: {error}", _NAME_COLUMNS) from error
    return columns.guess(header, named, path)


def read_csv(path: Path, used: Mapping[str, str], unit: TimeUnit = "seconds") -> Entries:
    """Reads some columns.

    A row with an empty caption or video, with a cell that cannot be read, or with more or fewer
    cells than the header, is a problem of its own line; the other rows are not affected.

    Args:
        path: the table.
        used: names of columns by what they hold: ``caption``, ``video``, and of `extras.EXTRAS`
            those that there are.
        unit: what times are in.

    Raises:
        SpecError: the file or a column is missing, or the file is no table.
    """
    require_list(path)
    require_table(path)
    surveyed = survey(path, table=True)
    found = Entries(str(path), str(path), problems=surveyed.problems, remarks=surveyed.remarks)
    if surveyed.fatal:
        found.total = max(1, surveyed.lines - 1)
        return found
    try:
        header = _header(path)
    except _NotCsvError as error:
        raise _no_table(path, f"the header row is not valid CSV: {error}", _NAME_COLUMNS) from error
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error
    found.remarks += columns.other_duplicates(header, used.values(), path)
    at = {what: columns.find(header, name, path, what) for what, name in used.items()}
    caption_at, video_at = at.pop("caption"), at.pop("video")
    read_extras = _extras_reader({what: (used[what], place) for what, place in at.items()}, unit)
    damaged = {p.line for p in surveyed.problems if p.code is Code.NUL_BYTE}
    noted = damaged | {p.line for p in surveyed.remarks}
    row_of: dict[int | None, int] = {}
    for first, last, row in _body(path, found, surveyed):
        found.total += 1
        if last > first and noted:
            row_of |= {line: first for line in range(first + 1, last + 1) if line in noted}
        if len(row) == len(header) and (video := row[video_at].strip()):
            caption = row[caption_at].strip()
            if caption and (first == last or not _swallowed(row, video, path)):
                if not damaged or damaged.isdisjoint(range(first, last + 1)):
                    try:
                        found.entries.append(Entry(video, caption, first, read_extras(row)))
                    except BadValueError as error:
                        found.problems += _bad_values(error, path, first)
                continue
        found.problems.append(_flaw(row, header, caption_at, video_at, path, first))
    # What is odd on a later line of a row is said of the row, which is known by its first line.
    found.remarks = [replace(p, line=row_of.get(p.line, p.line)) for p in found.remarks]
    found.problems = [replace(p, line=row_of.get(p.line, p.line)) for p in found.problems]
    return found


def rows_at(source: Path, lines: set[int]) -> Iterator[list[str]]:
    """Yields the cells of the header, and of the rows that begin on one of ``lines``."""
    rows = _rows(source)
    yield next(rows)[2]
    last = max(lines, default=0)
    for first, _, row in rows:
        if first in lines:
            yield row
        if first >= last:  # no further: what follows may not be CSV
            return


def first_rows(path: Path, count: int) -> tuple[list[str], list[list[str]]]:
    """The column names, and the first rows as far as they are CSV.

    Raises:
        SpecError: the file is missing or no table, or not even one row can be read.
    """
    require_list(path)
    require_table(path)
    rows: list[list[str]] = []
    try:
        header = _header(path)
        with path.open("rb") as file:
            for _, _, row in islice(_parsed(file, delimiter_of(path)), 1, count + 1):
                rows.append(row)
    except (_NotCsvError, UnicodeDecodeError) as error:
        if rows:
            return header, rows
        for flaw in survey(path, table=True).problems:  # it may say in what the file is written
            raise SpecError(
                flaw.message, where=flaw.where, remedy=flaw.remedy, code=flaw.code
            ) from error
        raise _no_table(path, f"it is not valid CSV: {error}", _NAME_COLUMNS) from error
    return header, rows


def _header(path: Path) -> list[str]:
    """The column names.

    Raises:
        SpecError: there is no header row, or it was written with another delimiter.
        _NotCsvError: it is not valid CSV.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        header = next((row for _, _, row in _parsed(file, delimiter_of(path))), [])
    names = [name.strip() for name in header]
    if not any(names):
        raise _no_table(path, "the file has no header row", _NAME_COLUMNS)
    _require_delimiter(path, names)
    _require_names(path, names)
    return names


def _body(path: Path, found: Entries, surveyed: Survey) -> Iterator[Row]:
    """The rows after the header, up to the first that is not CSV."""
    rows = _rows(path)
    next(rows)
    try:
        yield from rows
    except _NotCsvError as error:
        # Where the next row would begin cannot be known: each line left counts as a sample.
        found.total += max(1, surveyed.lines - error.first + 1)
        found.problems.append(
            Problem(
                error.code,
                f"{error.reason}; nothing from here on is read",
                "look for a quote that is not closed, or not doubled, from this line on"
                if error.code is Code.MALFORMED_ROW
                else "make it a line end, or put the cell into double quotes",
                str(path),
                error.first,
            )
        )


def _rows(path: Path) -> Iterator[Row]:
    """The rows that are not blank; a quoted caption may span several lines.

    Raises:
        _NotCsvError: from here on the file is not CSV.
        SpecError: it changed since its survey.
    """
    try:
        with path.open("rb") as file:
            yield from _parsed(file, delimiter_of(path))
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error


def _parsed(file: BinaryIO, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(_lines(file), delimiter=delimiter, strict=True)
    before = 0
    try:
        for row in reader:
            last = reader.line_num
            if len(row) > 1 or (row and row[0].strip()):
                yield before + 1, last, row
            before = last
    except csv.Error as error:
        raise _NotCsvError(str(error), before + 1, reader.line_num) from error


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines with their ends, one by one: the last may be damaged and the first still read."""
    line = file.readline(_LIMIT).removeprefix(codecs.BOM_UTF8)
    while line:
        if len(line) == _LIMIT:  # the survey says so, too; half a line must not become a row
            raise csv.Error(f"a line has more than {MAX_LINE} characters")
        # The csv module of Python 3.10 refuses NUL bytes; the survey has reported them.
        yield line.decode().replace("\0", "")
        line = file.readline(_LIMIT)


def _flaw(
    row: list[str], header: list[str], caption_at: int, video_at: int, path: Path, line: int
) -> Problem:
    """What is wrong with a row that cannot be used."""
    code, remedy = Code.MALFORMED_ROW, "write the missing entry, or delete the row"
    if len(row) != len(header):
        message = f"{len(row)} cells, but the header has {len(header)}"
        remedy = "put captions that hold a comma into double quotes"
    elif not row[video_at].strip():
        code, message = Code.EMPTY_VIDEO, f"the column {header[video_at]!r} is empty"
    elif not row[caption_at].strip():
        code, message = Code.EMPTY_CAPTION, f"the column {header[caption_at]!r} is empty"
    else:
        message = "a cell spans lines, and one of them looks like a row of its own"
        remedy = "look for a quote that is not closed in this row"
    return Problem(code, message, remedy, str(path), line)


def _extras_reader(
    places: dict[str, tuple[str, int]], unit: TimeUnit
) -> Callable[[list[str]], Extras]:
    return ExtrasReader(places, unit).read if places else lambda row: NO_EXTRAS


def _bad_values(error: BadValueError, path: Path, line: int) -> Iterator[Problem]:
    remedy = (
        "correct the cell, or leave it empty; if the column means something else, turn it off by "
        "an empty name, for instance --split-column ''"
    )
    for reason in error.reasons:
        yield Problem(Code.BAD_VALUE, reason, remedy, str(path), line)


def _swallowed(row: list[str], video: str, path: Path) -> bool:
    """Whether a cell that spans lines holds other rows: its quote was meant to close earlier.

    Rows are known by the videos that they name.
    """
    delimiter = delimiter_of(path)
    own = os.path.splitext(video)[1] or "\n"
    for cell in row:
        if "\n" not in cell:
            continue
        for line in cell.split("\n"):
            pieces = line.split(delimiter)
            for piece in pieces:
                bare = piece.strip("\"' \r\t")
                is_video = bare.endswith(own) or _ENDS_IN_VIDEO.search(bare)
                # A sentence may end in a file's name; alone in a line it has no spaces.
                if is_video and (len(pieces) > 1 or not re.search(r"\s", bare)):
                    return True
    return False


def _no_table(path: Path, message: str, remedy: str) -> SpecError:
    return SpecError(message, where=str(path), remedy=remedy, code=Code.NOT_A_TABLE)


def _require_delimiter(path: Path, header: list[str]) -> None:
    """A header that is one cell, with another delimiter in it, was written with that one."""
    used = delimiter_of(path)
    if len(header) > 1:
        return
    for other in _DELIMITERS:
        if other != used and other in header[0]:
            remedy = _separate(path, other)
            raise _no_table(
                path,
                f"its cells are separated by {_DELIMITERS[other]}, not by {_DELIMITERS[used]}",
                remedy,
            )


def _separate(path: Path, other: str) -> str:
    if other in ",\t":
        return f"give the file the ending {'.csv' if other == ',' else '.tsv'}"
    convert = (
        'python3 -c "import csv, sys; csv.writer(sys.stdout).writerows('
        f"csv.reader(sys.stdin, delimiter='{other}'))\" < {in_shell(path.name)} > new.csv"
    )
    return f"separate them by commas, for instance: {convert}"


def _require_names(path: Path, names: list[str]) -> None:
    """A header whose cells name videos is a row of data."""
    for name in names:
        if _ENDS_IN_VIDEO.search(name):
            raise _no_table(
                path,
                f"the first row is no header: {name[:200]!r} looks like a video",
                _NAME_COLUMNS,
            )
