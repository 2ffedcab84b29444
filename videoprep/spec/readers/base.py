"""What a reader of one dataset format is.

A reader turns files into `Entries`. It opens no video, guesses nothing in silence, and lets one
bad row cost one sample. The two kinds differ in what they are given: a `TableReader` reads one file
with named columns, a `FolderReader` reads what lies in a folder.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec import columns
from videoprep.spec.cells import (
    BadCellError,
    as_captions,
    as_path,
    as_paths,
    as_text,
    empty_among,
)
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.extras import EXTRAS, BadValueError, ExtrasReader, TimeUnit
from videoprep.spec.role_folders import (
    Folders,
    named_folders,
    recognized_folders,
    require_folders,
)
from videoprep.spec.roles import LISTED, Role, distinct, has_own_option
from videoprep.spec.sample import NO_EXTRAS, Extras

CaptionLines = Literal["several", "one"]
"""What the lines of a caption file are: ``several``, a caption each; ``one``, one caption."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a reader is asked to read."""

    root: Path
    """The data root: the folder that the names of videos are relative to."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Names of columns, files or folders by what they hold: those of `columns.COLUMNS`, and roles;
    what is missing is recognized, and ``""`` names none."""
    time_unit: TimeUnit | None = None
    """What times are in; None: what the names of the columns say, else seconds."""
    fallback: str | None = None
    """The caption of a video that has none; None: there is no such caption."""
    caption_lines: CaptionLines = "several"
    """What the lines of a caption file are."""
    allow_outside: bool = False
    """Whether folders outside the data root are looked into."""

    def named(self) -> dict[str, Any]:
        """Return the columns as fields of a spec."""
        return columns.as_fields(self.columns)


class Reader(ABC):
    """A format of datasets. Its name is the value of ``format`` in a spec."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """The format in words, such as ``a CSV or TSV file with a header row``."""


class FolderReader(Reader):
    """A format that is a folder: with lists of fixed names, or with a caption file per video."""

    names_all: ClassVar[bool] = False
    """Whether every file of the folder is a sample or is counted as passed over."""
    named: ClassVar[Collection[str]] = ()
    """What of `columns.COLUMNS` can be named for it: columns, files or folders. What else is named
    is refused before it is read."""
    order: ClassVar[int] = 100
    """Formats are looked for in this order; the first that a folder has is taken.

    Tables are looked for before the formats from 20 on. The table in ``docs/dataset.md`` has the
    same order.
    """

    @abstractmethod
    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        """Return whether a folder is written in this format; look at little."""

    @abstractmethod
    def read(self, request: ReadRequest) -> Entries:
        """Read the dataset in ``request.root``.

        Raises:
            SpecError: what the format needs is missing.
        """

    def require_nameable(self, request: ReadRequest) -> None:
        """Check that nothing is named that the format does not have.

        Raises:
            SpecError: something is.
        """
        for what, name in request.columns.items():
            if name and what not in self.named and has_own_option(what):
                raise SpecError(
                    f"{what}_column names a table's column, and the dataset has none: it is "
                    f"{self.summary}",
                    where=str(request.root),
                    remedy="leave it out, or write videos, captions and this column into one CSV "
                    "file",
                )

    def role_folders(self, request: ReadRequest) -> Folders:
        """Return the folders of media beside the videos: those that are named, or recognized, too.

        Raises:
            SpecError: what is named is not a folder, and the format has no columns.
        """
        columns = request.columns
        folders = named_folders(request.root, columns, ())
        if "start" not in self.named:
            require_folders(request.root, columns, folders)
        return (
            {**recognized_folders(request.root, columns), **folders} if self.names_all else folders
        )

    def lists(self, request: ReadRequest) -> list[Path]:
        """Return the files that name the samples; empty if there is a file for each."""
        return []

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        """Return what was read, in words."""
        return self.summary

    def mirrored(self, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        """Return the files of a remote folder that have to be downloaded to read its lists.

        Args:
            names: all files of the folder and the folders in it.
            columns: see `ReadRequest`.
        """
        return []


class Row(NamedTuple):
    """A row of a table: where it begins, and a value for each column asked for, or its problem."""

    line: int | None
    row: int | None
    cells: Sequence[Any] | Problem


class Header(NamedTuple):
    """The columns of a table."""

    names: list[str]
    rows: list[list[Any]]
    """The first rows, with a value for each column; they help to tell what a column holds."""


def header_of(reader: TableReader, path: Path) -> Header:
    """Return the columns of a table, remembered as long as the file does not change.

    Raises:
        SpecError: see `TableReader.header`.
    """
    try:
        status = os.stat(path)
    except OSError:
        return reader.header(path)  # which says what is wrong
    return _remembered(reader, path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(8)
def _remembered(reader: TableReader, path: Path, *state: int) -> Header:
    return reader.header(path)


class TableReader(Reader):
    """A format that is one file with named columns: a row is a sample."""

    suffixes: ClassVar[tuple[str, ...]]
    """Endings of its files, in lower case, with their dots."""

    @abstractmethod
    def sniff(self, path: Path) -> bool:
        """Return whether a file may be such a table, from how it begins.

        Only asked of files that are found and not named: ``config.json`` is not a dataset.
        """

    def glance(self, file: BinaryIO) -> Sequence[str] | None:
        """Return the columns of a file behind a URL, as far as a few reads tell.

        Returns:
            The names; empty if they cannot be told; None if the file is not such a table.
        """
        return ()

    @abstractmethod
    def header(self, path: Path) -> Header:
        """Return the columns.

        Raises:
            SpecError: the file is missing, cannot be read, or is not such a table.
        """

    @abstractmethod
    def rows(self, path: Path, used: Mapping[str, str], found: Entries) -> Iterator[Row]:
        """Yield the rows, each with the cells of the columns in use, in their order.

        A row that cannot be read is yielded with its `Problem`. What concerns the whole file, or
        all rows from one on, goes to ``found.problems``, remarks to ``found.remarks``; rows that
        are lost so are added to ``found.total``. The names of all columns go to ``found.header``,
        also of those that come to light late.

        Args:
            path: the table.
            used: names of columns by what they hold.
            found: what is known so far.

        Raises:
            SpecError: the file or a column is missing, or the file changed while it was read.
        """

    def guess_columns(self, path: Path, named: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a spec that name columns, as far as ``named`` does not.

        Raises:
            SpecError: no column or several could be meant.
        """
        header = header_of(self, path)
        return columns.guess(header.names, named, path, header.rows)

    def read(
        self,
        path: Path,
        request: ReadRequest,
        into: Entries | None = None,
        part: TablePart | None = None,
    ) -> Entries:
        """Read some columns of a table.

        A row with an empty caption or video, or with a cell that cannot be read, is a problem of
        its own; the other rows are not affected.

        Args:
            path: the table.
            request: which columns, and in what times are.
            into: entries to add to, if the dataset has several tables.
            part: what the table is in such a dataset.
        """
        found = Entries() if into is None else into
        used = {what: name for what, name in request.columns.items() if name}
        unit = request.time_unit or "seconds"
        where = str(path)
        found.files.append(where)
        found.header = {}
        cells_of, caption_at = _cells_reader(used, unit), list(used).index("caption")
        prefix, split = part or TablePart()
        for line, row, cells in self.rows(path, used, found):
            if isinstance(cells, Problem):
                found.fail(cells)
                continue
            try:
                video, captions, extras, media = cells_of(cells)
            except BadValueError as error:
                self._fail(found, error, where, line, row)
                continue
            if not captions and request.fallback is not None:
                captions = (request.fallback,)
                found.remarks.append(fallback_used(where, line, row, found.total + 1))
            if not captions or not video.strip():
                found.fail(_empty(used, video, where, line, row))
                continue
            found.total += 1
            if empty := empty_among(cells[caption_at]):
                found.remarks.append(some_empty(empty, where, line, row, found.total))
            if split is not None and extras.split is None:
                extras = replace(extras, split=split)
            name = _name_in(request.root, prefix, video)
            if media:
                media = tuple((role, _name_in(request.root, prefix, one)) for role, one in media)
            found.entries.append(
                Entry(
                    name, captions[0], found.total, line, row, where, where, extras, captions[1:],
                    media,
                )
            )  # fmt: skip
        self._tell_columns(path, request, used, unit, found)
        return found

    def textual(self, path: Path) -> list[str]:
        """Return the columns whose cells can be written as text."""
        return self.header(path).names

    def excerpt(self, path: Path, numbers: Collection[int]) -> Iterator[list[str]]:
        """Yield the header, then the rows with these numbers, all cells as text.

        Columns that are no text are skipped; see `textual`.

        Args:
            path: the table.
            numbers: of rows, as `Entry.number` counts them.
        """
        header = self.textual(path)
        yield header
        found = Entries()
        for line, row, cells in self.rows(path, {name: name for name in header}, found):
            del line, row
            found.total += 1
            if found.total in numbers and not isinstance(cells, Problem):
                yield [written(cell) for cell in cells]

    def _tell_columns(
        self, path: Path, request: ReadRequest, used: Mapping[str, str], unit: str, found: Entries
    ) -> None:
        """Keep what was used, and remark on what looks meaningful and was not."""
        off = [what for what, name in request.columns.items() if not name]
        header = list(found.header)
        found.columns |= used
        found.unused += [name for name in header if name and name not in used.values()]
        found.remarks += columns.unused(header, used, off, path)
        if any(what in used for what in ("start", "end", "range")):
            found.time_unit = unit

    def _fail(
        self, found: Entries, error: BadValueError, file: str, line: int | None, row: int | None
    ) -> None:
        remedy = (
            "correct the cell, or leave it empty; if the column means something else, turn it off "
            "by an empty name, for instance `split_column=''` or `roles={'control': ''}`"
        )
        found.total += 1
        for reason in error.reasons:
            problem = Problem(Code.BAD_VALUE, reason, remedy, file, line, row, found.total)
            found.problems.append(problem)


_Beside = tuple[tuple[Role, str], ...]
_CellsReader = Callable[[Sequence[Any]], tuple[str, tuple[str, ...], Extras, _Beside]]


def _cells_reader(used: Mapping[str, str], unit: TimeUnit) -> _CellsReader:
    """What makes video, captions, extras and further media of the cells of a row."""
    at = {what: number for number, what in enumerate(used)}
    caption_at, video_at = at["caption"], at["video"]
    caption, video = used["caption"], used["video"]
    extra = {what: (used[what], at[what]) for what in EXTRAS if what in used}
    read_extras = ExtrasReader(extra, unit).read if extra else None
    of_media = [what for what in used if what in LISTED or not has_own_option(what)]
    roles = [(role, at[role]) for role in distinct(of_media)]

    def cells_of(cells: Sequence[Any]) -> tuple[str, tuple[str, ...], Extras, _Beside]:
        wrong: list[str] = []
        beside: _Beside = ()
        path, extras = "", NO_EXTRAS
        captions: tuple[str, ...] = ()
        try:
            path = as_path(cells[video_at])
        except BadCellError as error:
            wrong.append(f"column {video!r} {error}")
        try:
            captions = as_captions(cells[caption_at])
        except BadCellError as error:
            wrong.append(f"column {caption!r} {error}")
        if read_extras is not None:
            try:
                extras = read_extras(cells)
            except BadValueError as error:
                wrong += error.reasons
        for role, number in roles:
            try:
                beside += media_in(role, cells[number])
            except BadCellError as error:
                wrong.append(f"column {used[role]!r} {error}")
        if wrong:
            raise BadValueError(wrong)
        return path, captions, extras, beside

    return cells_of


def media_in(role: Role, cell: Any) -> tuple[tuple[Role, str], ...]:
    """Return the media that a cell of a role's column names.

    A list names several, which are numbered: of ``reference`` they are ``reference:0`` and on.

    Raises:
        BadCellError: it holds something else, or several of a role of which there is one.
    """
    names = as_paths(cell)
    if isinstance(cell, list | tuple):
        if role.kind.several and ":" not in role:
            return tuple((Role(f"{role}:{number}"), name) for number, name in enumerate(names))
        if len(names) > 1:
            raise BadCellError(f"holds {len(names)} paths, and there is one {role}")
    return ((role, names[0]),) if names else ()


def _name_in(root: Path, prefix: str, video: str) -> str:
    """A video's path; spaces around it count if a file is really called so."""
    bare = video.strip()
    if prefix and os.path.isabs(bare):
        return bare
    if bare == video or os.path.lexists(os.path.join(root, prefix + video)):
        return prefix + video
    return prefix + bare


class TablePart(NamedTuple):
    """One of several tables of a dataset."""

    prefix: str = ""
    """What its videos' paths are relative to: a folder of the data root, with its slash."""
    split: str | None = None
    """The split that its samples belong to, unless a column says otherwise."""


def fallback_used(file: str, line: int | None, row: int | None, number: int) -> Problem:
    """Return the remark on a sample that gets the fallback for a caption."""
    return Problem(
        Code.EMPTY_CAPTION,
        "there is no caption: `caption_fallback` is used",
        "write a caption, if the fallback is not meant",
        file,
        line,
        row,
        number,
        severity="note",
    )


def some_empty(empty: int, file: str, line: int | None, row: int | None, number: int) -> Problem:
    """Return the remark on a sample that has empty captions among several."""
    are = "is" if empty == 1 else "are"
    return Problem(
        Code.SEVERAL_CAPTIONS,
        f"{empty} of its captions {are} empty, and {are} left out",
        "delete it, or write a caption" if empty == 1 else "delete them, or write captions",
        file,
        line,
        row,
        number,
        severity="note",
    )


def _empty(
    used: Mapping[str, str], video: str, file: str, line: int | None, row: int | None
) -> Problem:
    """The problem of a row that lacks its video or its caption."""
    what, code = ("caption", Code.EMPTY_CAPTION) if video.strip() else ("video", Code.EMPTY_VIDEO)
    return Problem(
        code,
        f"the column {used[what]!r} is empty",
        "write the missing entry, let a model write missing captions (`videoprep caption`), or "
        "delete the row",
        file,
        line,
        row,
        video=video.strip() or None,
    )


def written(cell: Any) -> str:
    """Return a cell as text for a CSV file; a list or an object as JSON.

    An object that only holds a path is that path, as which it is read.
    """
    is_path = isinstance(cell, dict) and cell.keys() <= {"path", "bytes"}
    try:
        return as_path(cell) if is_path else as_text(cell)
    except BadCellError:
        return json.dumps(cell, ensure_ascii=False, default=str)


def table_error(path: Path, message: str, remedy: str) -> SpecError:
    """Return the error for a file that is not the table that its ending stands for."""
    return SpecError(message, where=str(path), remedy=remedy, code=Code.NOT_A_TABLE)
