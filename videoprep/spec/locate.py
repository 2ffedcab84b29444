"""Finds the dataset that a path means: which format it is in, and which file lists its samples."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from videoprep.errors import Code, SpecError
from videoprep.fs.mirror import remote_of
from videoprep.spec.caption_journal import uses_journal
from videoprep.spec.columns import looks_like_a_dataset, of_fields
from videoprep.spec.path_hints import instead_of_a_dataset, kind_of, names_in, nowhere
from videoprep.spec.readers import folder_readers, reader_of, table_reader, table_suffixes
from videoprep.spec.readers.base import FolderReader, Reader, ReadRequest, TableReader, header_of
from videoprep.spec.readers.caption_files import CaptionNames
from videoprep.spec.readers.line_files import PROMPTS, VIDEOS, names_of
from videoprep.spec.readers.metadata_folders import READER as PARTS
from videoprep.spec.readers.metadata_folders import STEM
from videoprep.spec.text_file import in_shell
from videoprep.spec.video_files import is_still_name, is_video_name
from videoprep.spec.video_lookup import is_inside

CONVERTED = "videoprep-list.csv"
"""What earlier versions called the list that they made of a folder."""

NO_DATASET = "no dataset here"
"""How the message begins about a folder in which nothing is a dataset."""

_FIXED = ("videoprep.csv", "videoprep-")  # lists that `validate` writes, if asked to fix
_SHOWN = 5
_LOOKED_AT = 1 << 16  # bytes of a list, to see whether it names a folder

_MOST_TABLES = 100  # of a folder; more are not lists of it


@dataclass(frozen=True, slots=True)
class Located:
    """A dataset's place and format."""

    root: Path
    """The folder that the names of videos are relative to."""
    reader: FolderReader | TableReader
    table: Path | None = None
    """The file that lists the samples; None if the format is a folder."""


def locate(path: Path, options: Mapping[str, Any]) -> Located:
    """Find the dataset at a path: a list, or a folder that is written in one of the formats.

    Raises:
        SpecError: there is no such path, nothing in it that is a dataset, or several that could be.
    """
    reader = reader_of(str(options["format"])) if options.get("format") else None
    if kind(path) == "file":
        return _of_file(path, options)
    root = Path(options.get("data_root", path))
    if options.get("dataset_file") is not None:
        return _of_named_table(root, Path(options["dataset_file"]), options)
    if isinstance(reader, FolderReader):
        return Located(root, reader)
    if kind_of(path) == "store":
        raise _not_a_dataset(path)
    found = _reader_or_table(path, options, reader)
    if isinstance(found, FolderReader):
        return Located(root, found)
    _require_no_parts(path, found)
    _require_link_inside(path, found, options)
    table = Path(found) if path == root else (path / found).absolute()
    return Located(root, require_table(path / found), table)


def _reader_or_table(
    path: Path, options: Mapping[str, Any], asked: Reader | None
) -> FolderReader | str:
    """The format that a folder is in as a whole, or the name of the table in it.

    Args:
        path: the folder.
        options: of the spec.
        asked: the format of tables that is asked for; None: any, and folder formats as well.
    """
    request = request_of(path, options)
    formats = folder_readers() if asked is None else ()
    found = _first(path, request, [one for one in formats if one.order < _TABLES_AT])
    if found is not None:
        return found
    tables, others = _tables(path, options, asked)
    if len(tables) > 1:
        raise _several(path, tables)
    if not tables:
        found = _first(path, request, [one for one in formats if one.order >= _TABLES_AT])
        if found is not None:
            return found
    # Of tables that do not look like a dataset, whoever reads the only one says what it lacks.
    if not tables and len(others) != 1:
        raise _nothing_found(path, request, others)
    return (tables or others)[0]


def _of_file(path: Path, options: Mapping[str, Any]) -> Located:
    root = Path(options.get("data_root", path.parent))
    reader = folder_reader_of(path, options)
    if reader is not None:
        return Located(root, reader)
    if kind_of(path) == "index":
        raise _not_a_dataset(path)
    return Located(root, require_table(path), path.absolute())


def _of_named_table(root: Path, table: Path, options: Mapping[str, Any]) -> Located:
    _require_there(root, table)
    path = root / table if os.path.isfile(root / table) else table
    reader = folder_reader_of(path, options)
    if reader is None:
        return Located(root, require_table(table), table)
    raise SpecError(
        f"`dataset_file` names a table, and this is part of a folder of the format {reader.name}",
        where=str(path),
        remedy=f"give the folder that it lies in, without `dataset_file`: {in_shell(str(root))}",
        code=Code.NOT_A_TABLE,
    )


def folder_reader_of(path: Path, options: Mapping[str, Any]) -> FolderReader | None:
    """Return the format of the folder that a file lists, if it is not the table it is called."""
    table = table_reader(path)
    request = request_of(path.parent, options)
    try:
        if table is None or table.sniff(path):
            return None
        for reader in folder_readers():
            if path in reader.lists(request) and reader.sniff(path.parent, request):
                return reader
    except (SpecError, OSError, UnicodeDecodeError):
        pass  # whoever reads it as a table says what is wrong
    return None


_TABLES_AT = 20  # tables are looked for between the folder formats before this order and the others


def request_of(root: Path, options: Mapping[str, Any]) -> ReadRequest:
    """Return what a reader of a folder is asked, from the options of a spec."""
    columns = of_fields(options)
    fallback = options.get("caption_fallback")
    if fallback is None and uses_journal(root, options.get("caption_journal")):
        fallback = ""  # which has the captions, so that videos alone are a dataset
    return ReadRequest(
        root,
        columns,
        fallback=fallback,
        allow_outside=bool(options.get("allow_outside_root")),
    )


def _first(path: Path, request: ReadRequest, readers: list[FolderReader]) -> FolderReader | None:
    found = next((reader for reader in readers if reader.sniff(path, request)), None)
    if found is None and request.fallback is not None and readers and _has_videos(path):
        return next((one for one in readers if one.name == "caption-files"), None)
    return found


def _has_videos(path: Path) -> bool:
    from videoprep.spec.folder import levels

    return any(is_video_name(name) for level in levels(path) for name in level.files)


def _tables(
    folder: Path, options: Mapping[str, Any], asked: Reader | None
) -> tuple[list[str], list[str]]:
    """The names of a folder's tables that could list samples, and of those that could not.

    One that cannot be read could, too. One without a column for the video or the caption is not
    read in place of captions that lie beside the videos.
    """
    found: list[str] = []
    others: list[str] = []
    candidates = list(_candidates(folder))
    for name in candidates if len(candidates) <= _MOST_TABLES else ():
        reader = require_table(folder / name)
        if asked is not None and reader is not asked:
            continue
        try:
            if not reader.sniff(folder / name):
                continue
            header = header_of(reader, folder / name).names
        except (SpecError, OSError):
            found.append(name)
            continue
        (found if looks_like_a_dataset(header, options) else others).append(name)
    return found, others


def _candidates(folder: Path) -> Iterator[str]:
    """Files that end like a table; not hidden ones, captions of videos, or our own lists."""
    suffixes = table_suffixes()
    names = [
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith(".") and not entry.is_dir(follow_symlinks=False)
    ]
    captions: set[str] = set()
    if any(name.lower().endswith(".json") for name in names):
        remote = remote_of(folder)  # of which only the lists lie here
        there = names if remote is None else [*{*names, *remote.listing()}]
        beside = CaptionNames(there)
        captions = {one for name in there if is_video_name(name) for one in beside.of(name)}
    for name in sorted(names):
        if name in captions or not name.lower().endswith(suffixes) or is_ours(name):
            continue
        if os.path.isfile(folder / name):  # a pipe would be waited for
            yield name


def is_ours(name: str) -> bool:
    """Return whether a file is a list that videoprep has written."""
    return name == CONVERTED or (name.startswith(_FIXED) and name.endswith(".csv"))


def kind(path: Path) -> Literal["file", "folder"]:
    """Return what lies at a path, without opening it.

    Raises:
        SpecError: nothing, or something that is neither a file nor a folder.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise SpecError(
            "no such file or folder" if missing else f"cannot be looked up: {error}",
            where=str(path),
            remedy=nowhere(path, "check the path") if missing else "check the path",
        ) from error
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise SpecError(
        "is neither a file nor a folder", where=str(path), remedy="name a dataset's folder"
    )


def require_table(path: Path) -> TableReader:
    """Return the reader of a file.

    Raises:
        SpecError: no format has its ending.
    """
    reader = table_reader(path)
    if reader is None:
        raise SpecError(
            "this kind of file cannot be read as a dataset",
            where=str(path),
            remedy=_other_file(path),
        )
    return reader


def require_inside(path: Path, written: str | Path, root: Path, allow_outside: bool) -> None:
    """Check a list: it may be a link in a dataset from elsewhere; an absolute path is the user's.

    Raises:
        SpecError: it leads outside the data root.
    """
    if allow_outside or os.path.isabs(written):
        return
    try:
        inside = is_inside(os.path.realpath(path), os.path.realpath(root))
    except ValueError:  # not a path: a NUL byte in it
        inside = False
    if not inside:
        raise SpecError(
            "the list leads outside the data root",
            where=str(path),
            remedy="name it by its absolute path, or set `allow_outside_root`",
            code=Code.OUTSIDE_ROOT,
        )


def _require_there(root: Path, table: Path) -> None:
    """Check that a list that is named exists, in the data root or where the command runs.

    Raises:
        SpecError: it does not.
    """
    if not os.path.lexists(root / table) and not os.path.lexists(table):
        raise SpecError(
            f"no such list, neither in {root} nor here",
            where=str(table),
            remedy=nowhere(root / table, "check `dataset_file`"),
            code=Code.MISSING_LIST,
        )


def _require_link_inside(path: Path, name: str, options: Mapping[str, Any]) -> None:
    """Found and not named: it has to lie in the folder, as the videos do."""
    require_inside(path / name, name, path, bool(options.get("allow_outside_root")))


def _require_no_parts(path: Path, name: str) -> None:
    """Check that ``metadata.csv`` is the whole list: folders beside it may have theirs.

    Raises:
        SpecError: they do.
    """
    if not name.lower().startswith(f"{STEM}."):
        return
    parts = PARTS.lists(ReadRequest(path))
    if parts:
        written = [name, *(os.path.relpath(part, path) for part in parts)]
        raise _several(path, written[:_SHOWN], f"; all folders: `format: {PARTS.name}`")


def _several(path: Path, tables: list[str], more: str = "") -> SpecError:
    return SpecError(
        f"several tables could be the dataset: {', '.join(tables)}",
        where=str(path),
        remedy=f"name one with `dataset_file`{more}",
    )


def _not_a_dataset(path: Path) -> SpecError:
    remedy = instead_of_a_dataset(path, "name another")
    return SpecError("this is not a dataset", where=str(path), remedy=remedy)


def _nothing_found(path: Path, request: ReadRequest, tables: list[str]) -> SpecError:
    if kind_of(path) not in (None, "dataset"):
        return _not_a_dataset(path)
    if tables:
        return SpecError(
            f"none of its tables has a column for the video and one for the caption: "
            f"{', '.join(tables[:_SHOWN])}",
            where=str(path),
            code=Code.MISSING_LIST,
            remedy="name one with `dataset_file`, and its columns with `video_column` and "
            "`caption_column`",
        )
    missing = [name for name in names_of(request) if not os.path.exists(path / name)]
    without = _first_file(path, is_video_name)
    if without is not None and len(missing) > 1:
        return SpecError(
            f"there are videos, such as {without}, and no captions",
            where=str(path),
            code=Code.MISSING_LIST,
            remedy=f"{_above(path)}write each caption into a text file beside its video, such as "
            f"{Path(without).stem}.txt, let a model write them (`videoprep caption`), or set "
            "`caption_fallback`",
        )
    still = _first_file(path, is_still_name)
    if still is not None and len(missing) > 1:
        return SpecError(
            f"there are still images, such as {still}, and no videos: they are not encoded",
            where=str(path),
            code=Code.MISSING_LIST,
            remedy="name a folder of videos",
        )
    return SpecError(
        f"{NO_DATASET}: {' and '.join(missing)} not found, no table, and no videos with "
        "captions beside them",
        where=str(path),
        code=Code.MISSING_LIST,
        remedy=f"{_above(path)}write {PROMPTS} (a caption per line) and {VIDEOS} (a video path per "
        "line), a CSV file, or a text file beside each video; if it is written in some other way, "
        f"`videoprep init {in_shell(str(path))}` may find out how",
    )


def _first_file(path: Path, is_meant: Callable[[str], bool]) -> str | None:
    """A file in a folder, or in the folders in it; None if the first of them hold none."""
    from videoprep.spec.folder import levels

    for number, level in enumerate(levels(path)):
        for name in level.files:
            if is_meant(name):
                return level.prefix + name
        if number > _MOST_TABLES:
            break
    return None


def _above(path: Path) -> str:
    """A hint if the lists of a dataset name the folder, such as that of its videos."""
    folder = path.parent if path.name else path / ".."
    inside = f"{path.resolve().name}/".encode()
    lists = (name for name in names_in(folder) if _may_be_list(name))
    named = any(inside in _beginning(folder / name) for name in islice(lists, _MOST_TABLES))
    return f"did you mean {folder}, the folder above? " if named else ""


def _may_be_list(name: str) -> bool:
    return name.lower().endswith((".txt", ".yaml", *table_suffixes()))


def _beginning(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return b""
        with path.open("rb") as file:
            return file.read(_LOOKED_AT)
    except OSError:
        return b""


def _other_file(path: Path) -> str:
    """What to do with a file that is not a table."""
    give = f"give a folder, or a file ending in {', '.join(table_suffixes())}"
    inside = f"give the folder that it lies in: {in_shell(str(path.parent))}"
    beside = path.suffix.lower() == ".txt" or is_video_name(path.name)
    return instead_of_a_dataset(path, inside if beside else give)
