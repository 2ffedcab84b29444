"""Reader for a CSV or TSV file with a header row."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec import columns
from videoprep.spec.encoding import open_utf8
from videoprep.spec.entries import Entries
from videoprep.spec.readers.base import Header, Row, TableReader, table_error
from videoprep.spec.readers.file_kind import require_text
from videoprep.spec.text_file import (
    MAX_LINE,
    Survey,
    changed,
    in_shell,
    is_text,
    require_list,
    survey,
)
from videoprep.spec.video_files import STILL_SUFFIXES, VIDEO_SUFFIXES

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ANY_DELIMITER = re.compile("[" + "".join(_DELIMITERS) + "]")
_SNIFFED = 1 << 16
_FIRST_ROWS = 100

_NAME_COLUMNS = "write the column names in its first line, for instance: video,caption"

_SUFFIXES = sorted(VIDEO_SUFFIXES | STILL_SUFFIXES)
_VIDEO_ENDING = "(?i:" + "|".join(map(re.escape, _SUFFIXES)) + ")"
_ENDS_IN_VIDEO = re.compile(rf"{_VIDEO_ENDING}[\"'\s]*$")

# A first line that tells spreadsheets the delimiter, as Excel reads and some programs write it.
_SEP = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([,;|\t])"?\r?\n?', re.IGNORECASE)

# What the csv module says, and what a user can do with. The first are about where a row ends.
_RETURN = "new-line character"
_REASONS = {
    _RETURN: "a carriage return outside of quotes: is it one row or two?",
    "unexpected end": "a quote that is opened here is never closed",
    "field larger": f"a cell has more than {MAX_LINE} characters; is its quote never closed?",
    "'": "there is text after a closing quote",
}

_LIMIT = 4 * MAX_LINE + 2  # bytes that the longest line takes in UTF-8, with its end

_Cells = tuple[int, int, list[str]]
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


class CsvTable(TableReader):
    """Cells are text. A quoted cell may span several lines; a row is told by its first line."""

    name = "csv"
    summary = "a CSV or TSV file with a header row"
    suffixes = (".csv", ".tsv")

    def sniff(self, path: Path) -> bool:
        return True

    def glance(self, file: BinaryIO) -> Sequence[str] | None:
        line = file.readline(_SNIFFED).removeprefix(codecs.BOM_UTF8)
        if b"\0" in line or _SEP.fullmatch(line):
            return ()  # in another encoding, or the header is the next line
        cells = _ANY_DELIMITER.split(line.decode("utf-8", "replace"))
        return [cell.strip().strip('"') for cell in cells]

    def header(self, path: Path) -> Header:
        require_list(path)
        require_text(path)
        try:
            names = _header(path)
        except (_NotCsvError, UnicodeDecodeError) as error:
            if survey(path, table=True).fatal:  # whoever reads it says why
                return Header([columns.CAPTION_COLUMNS[0], columns.VIDEO_COLUMNS[0]], [])
            raise _bad_header(path, error) from error
        if not all(map(is_text, names)):
            raise _undecodable_header(path)
        return Header(names, _first_rows(path))

    def rows(self, path: Path, used: Mapping[str, str], found: Entries) -> Iterator[Row]:
        require_list(path)
        require_text(path)
        surveyed = survey(path, table=True)
        found.remarks += surveyed.remarks
        if surveyed.fatal:
            found.problems += surveyed.problems
            found.total += max(1, surveyed.lines - 1)
            return
        try:
            header = _header(path)
        except _NotCsvError as error:
            raise _bad_header(path, error) from error
        except (UnicodeDecodeError, OSError) as error:
            raise changed(path, error) from error
        found.header = dict.fromkeys(header)
        found.remarks += columns.other_duplicates(header, used.values(), path)
        at = {what: columns.find(header, name, path, what) for what, name in used.items()}
        yield from _Body(path, header, at, surveyed, found).rows()

    def excerpt(self, path: Path, numbers: Collection[int]) -> Iterator[list[str]]:
        rows = _rows(path)
        yield next(rows)[2]
        last = max(numbers, default=0)
        for number, (_, _, row) in enumerate(rows, 1):
            if number in numbers:
                yield row
            if number >= last:  # no further: what follows may not be CSV
                return


READER = CsvTable()


class _Body:
    """The rows of a table after its header, each with its flaw if it has one."""

    def __init__(
        self, path: Path, header: list[str], at: dict[str, int], surveyed: Survey, found: Entries
    ) -> None:
        self._path = path
        self._width = len(header)
        self._video_at = at.get("video", 0)
        self._found = found
        self._lines = surveyed.lines
        self._delimiter = _dialect(path).delimiter
        positions = tuple(at.values())
        one = len(positions) == 1
        self._cells = itemgetter(*positions, positions[0]) if one else itemgetter(*positions)
        self._damage: dict[int, list[Problem]] = {}
        for problem in surveyed.problems:
            self._damage.setdefault(problem.line or 0, []).append(problem)
        self._noted = {p.line for p in surveyed.remarks if p.line is not None} | set(self._damage)

    def rows(self) -> Iterator[Row]:
        """Yield them, up to the first that is not CSV."""
        row_of: dict[int | None, tuple[int, int]] = {}
        width, cells, noted, damage = self._width, self._cells, self._noted, self._damage
        first_remark = len(self._found.remarks)
        for first, last, row in self._body():
            if noted:
                place = first, self._found.total + 1
                row_of |= {line: place for line in range(first, last + 1) if line in noted}
            if len(row) != width:
                yield Row(first, None, self._other_width(row, first))
            elif damage and (hurt := self._damage_in(first, last)):
                yield Row(first, None, hurt)
            elif last > first and _swallowed(row, row[self._video_at].strip(), self._delimiter):
                yield Row(first, None, self._swallowed(first))
            else:
                yield Row(first, None, cells(row))
        # What is odd on a later line of a row is said of the row, which is known by its first line.
        remarks = self._found.remarks
        for number in range(min(first_remark, len(remarks))):
            line = remarks[number].line
            if line in row_of and remarks[number].file == str(self._path):
                first, entry = row_of[line]
                remarks[number] = replace(remarks[number], line=first, number=entry)
        for left in damage.values():  # of the header, or of rows that are not read
            self._found.problems += left

    def _damage_in(self, first: int, last: int) -> Problem | None:
        """The first thing wrong with the bytes of a row; the others are kept, too."""
        hurt = [
            replace(problem, line=first)
            for line in range(first, last + 1)
            for problem in self._damage.pop(line, ())
        ]
        once = list({problem.code: problem for problem in reversed(hurt)}.values())
        number = self._found.total + 1
        self._found.problems += [replace(problem, number=number) for problem in once[:-1]]
        return once[-1] if once else None

    def _other_width(self, row: list[str], line: int) -> Problem:
        return Problem(
            Code.MALFORMED_ROW,
            f"{len(row)} cells, but the header has {self._width}",
            "put captions that hold a comma into double quotes",
            str(self._path),
            line,
        )

    def _swallowed(self, line: int) -> Problem:
        return Problem(
            Code.MALFORMED_ROW,
            "a cell spans lines, and one of them looks like a row of its own",
            "look for a quote that is not closed in this row",
            str(self._path),
            line,
        )

    def _body(self) -> Iterator[_Cells]:
        rows = _rows(self._path)
        next(rows)
        try:
            yield from rows
        except _NotCsvError as error:
            # Where the next row would begin cannot be known: each line left counts as a sample.
            self._found.total += max(1, self._lines - error.first + 1)
            self._found.problems.append(
                Problem(
                    error.code,
                    f"{error.reason}; nothing from here on is read",
                    "look for a quote that is not closed, or not doubled, from this line on"
                    if error.code is Code.MALFORMED_ROW
                    else "make it a line end, or put the cell into double quotes",
                    str(self._path),
                    error.first,
                )
            )


class _Dialect(NamedTuple):
    delimiter: str
    skipped: int
    """Lines before the header that are no row."""


def delimiter_of(path: Path) -> str:
    """Return the delimiter that a file's ending stands for."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _dialect(path: Path) -> _Dialect:
    """The delimiter that the first line names, else the one that the ending stands for."""
    with open_utf8(path) as file:
        named = _SEP.fullmatch(file.readline(32))
    if named is None:
        return _Dialect(delimiter_of(path), 0)
    return _Dialect(named[1].decode(), 1)


def _header(path: Path) -> list[str]:
    """The column names.

    Raises:
        SpecError: there is no header row, or it was written with another delimiter.
        _NotCsvError: it is not valid CSV.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open_utf8(path) as file:
        header = next((row for _, _, row in _parsed(file, _dialect(path))), [])
    # A byte order mark stays where a line was put before it.
    names = [name.strip("\ufeff \t\r\n") for name in header]
    if not any(names):
        raise table_error(path, "the file has no header row", _NAME_COLUMNS)
    _require_delimiter(path, names)
    _require_names(path, names)
    return names


def _rows(path: Path) -> Iterator[_Cells]:
    """The rows that are not blank; a quoted caption may span several lines.

    Raises:
        _NotCsvError: from here on the file is not CSV.
        SpecError: it changed since its survey.
    """
    try:
        with open_utf8(path) as file:
            yield from _parsed(file, _dialect(path))
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error


def _parsed(file: BinaryIO, dialect: _Dialect) -> Iterator[_Cells]:
    lines = _lines(file)
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    before = skipped = dialect.skipped
    for _ in islice(lines, skipped):
        pass
    try:
        for row in reader:
            last = reader.line_num + skipped
            if len(row) > 1 or (row and row[0].strip()):
                yield before + 1, last, row
            before = last
    except csv.Error as error:
        raise _NotCsvError(str(error), before + 1, reader.line_num + skipped) from error


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines with their ends, one by one: the last may be damaged and the first still read."""
    line = file.readline(_LIMIT).removeprefix(codecs.BOM_UTF8)
    while line:
        if len(line) == _LIMIT:  # the survey says so, too; half a line must not become a row
            raise csv.Error(f"a line has more than {MAX_LINE} characters")
        # The csv module of Python 3.10 refuses NUL bytes; the survey has reported them.
        yield line.decode("utf-8", "surrogateescape").replace("\0", "")
        line = file.readline(_LIMIT)


def _swallowed(row: list[str], video: str, delimiter: str) -> bool:
    """Whether a cell that spans lines holds other rows: its quote was meant to close earlier.

    Rows are known by the videos that they name.
    """
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


def _first_rows(path: Path) -> list[list[Any]]:
    """The first rows, as far as they are CSV."""
    rows: list[list[Any]] = []
    try:
        with open_utf8(path) as file:
            for _, _, row in islice(_parsed(file, _dialect(path)), 1, _FIRST_ROWS + 1):
                rows.append(row)
    except (_NotCsvError, UnicodeDecodeError):
        pass  # whoever reads them says so
    return rows


def _undecodable_header(path: Path) -> SpecError:
    flaw = next(p for p in survey(path, table=True).problems if p.code is Code.NOT_UTF8)
    return SpecError(flaw.message, where=str(path), remedy=flaw.remedy, code=flaw.code)


def _bad_header(path: Path, error: Exception) -> SpecError:
    return table_error(path, f"the header row is not valid CSV: {error}", _NAME_COLUMNS)


def _require_delimiter(path: Path, header: list[str]) -> None:
    """A header that is one cell, with another delimiter in it, was written with that one."""
    used = _dialect(path).delimiter
    if len(header) > 1:
        return
    if used in header[0]:
        raise table_error(
            path,
            "each line as a whole is in quotes, so that the table has one column",
            f"take the outer quotes away, for instance: {_unquote(path, used)}",
        )
    for other in _DELIMITERS:
        if other != used and other in header[0]:
            remedy = _separate(path, other)
            raise table_error(
                path,
                f"its cells are separated by {_DELIMITERS[other]}, not by {_DELIMITERS[used]}",
                remedy,
            )


def _separate(path: Path, other: str) -> str:
    if other in ",\t":
        return f"give the file the ending {'.csv' if other == ',' else '.tsv'}"
    name = in_shell(path)
    return f"say so in a first line of its own, for instance: sed -i '1i sep={other}' {name}"


def _unquote(path: Path, delimiter: str) -> str:
    form = "" if delimiter == "," else f", delimiter={delimiter!r}"
    return (
        f'python3 -c "import csv, sys; csv.writer(sys.stdout{form}).writerows(next(csv.reader('
        f'[row[0]]{form})) for row in csv.reader(sys.stdin{form}))" < {in_shell(path)} > '
        f"{in_shell(path.with_stem('new'))}"
    )


def _require_names(path: Path, names: list[str]) -> None:
    """A header whose cells name videos is a row of data."""
    for name in names:
        if _ENDS_IN_VIDEO.search(name):
            raise table_error(
                path,
                f"the first row is no header: {name[:200]!r} looks like a video",
                _NAME_COLUMNS,
            )
