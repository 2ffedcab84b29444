"""Finds out how a folder that nobody has prepared holds its videos and captions.

Little is read: the names of a folder up to a limit, and the beginnings of lists. What the videos
themselves are like is looked at elsewhere. Formats that every command knows are found by `locate`;
this looks at contents as well, and what it finds belongs into a ``videoprep.yaml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec.cells import BadCellError, as_captions, as_path
from videoprep.spec.columns import find, guess
from videoprep.spec.encoding import count_lines
from videoprep.spec.entries import Entries
from videoprep.spec.folder import levels
from videoprep.spec.locate import NO_DATASET, folder_reader_of, is_ours, locate, require_table
from videoprep.spec.path_hints import kind_of, names_in, nowhere
from videoprep.spec.readers import table_suffixes
from videoprep.spec.readers.base import FolderReader, Header
from videoprep.spec.readers.line_files import PROMPTS, VIDEOS
from videoprep.spec.readers.line_files import READER as LINE_FILES
from videoprep.spec.role_folders import recognized_folders
from videoprep.spec.spec_file import NAME
from videoprep.spec.video_files import is_video_name
from videoprep.spec.video_lookup import is_address, is_inside

LOOKED_AT = 1000
"""Samples of a list that are looked at, from its start."""

_CAPTION = re.compile(r"caption|prompt|text|descri|title", re.IGNORECASE)
_SHARE = 0.5  # of the cells looked at that have to look like a video's path
_TEXT_FILES = 20  # of a folder that may be lists
_ENTRIES = 1_000_000  # of a folder among which a list is looked for
_FOLDERS = 50  # in a folder that videos may be relative to
_START = 1 << 20  # bytes of a list


@dataclass(frozen=True, slots=True)
class Found:
    """How a dataset is written."""

    folder: Path
    """Where ``videoprep.yaml`` belongs."""
    what: str
    """The lists in words."""
    fields: dict[str, Any]
    """Of a `DatasetSpec`, as ``videoprep.yaml`` writes them."""
    names: tuple[str, ...]
    """The first videos, as they are written."""
    notes: tuple[str, ...] = ()
    """What else is worth knowing."""

    @property
    def root(self) -> Path:
        """The folder that the videos are relative to."""
        return self.folder / str(self.fields.get("data_root", "."))


def discover(path: Path, named: Mapping[str, str]) -> Found:
    """Find the dataset in a folder, or the one that a list describes.

    Args:
        path: a folder, or a list.
        named: ``caption_column`` and ``video_column`` of a table, if they are known.

    Raises:
        SpecError: nothing is there, or nothing that could be a dataset; it says what to do.
    """
    if not path.exists():
        raise SpecError(
            "no such file or folder", where=str(path), remedy=nowhere(path, "check the path")
        )
    if not path.is_dir() and not path.is_file():
        raise SpecError(
            "is neither a file nor a folder", where=str(path), remedy="name a dataset's folder"
        )
    if not path.is_file():
        return _rooted(_of_folder(path, named))
    reader = folder_reader_of(path, named)
    if reader is not None:
        return _rooted(_in_format(path.parent, reader, ()))
    return _rooted(_table(path, named))


def _of_folder(folder: Path, named: Mapping[str, str]) -> Found:
    """By the formats that every command knows, then by contents."""
    lists = _lists_in(folder)
    try:
        located = locate(folder, named)
    except SpecError as error:
        return _by_contents(folder, lists, named, error)
    if located.table is None:
        assert isinstance(located.reader, FolderReader)  # noqa: S101 (only tables are files)
        return _in_format(folder, located.reader, lists)
    found = _table(folder / located.table.name, named)
    return replace(found, notes=(*_others(lists, located.table.name), *found.notes))


def _by_contents(
    folder: Path, lists: Sequence[str], named: Mapping[str, str], refused: SpecError
) -> Found:
    if kind_of(folder) in ("store", "run"):
        raise refused
    found, problems = _first_that_reads(folder, lists, named)
    if found is None:
        found = _line_files(folder)
    if found is None:
        raise problems[0] if problems else _advised(folder, refused)
    passed = tuple(f"Not taken: {' '.join(str(error).split())}" for error in problems[:3])
    return replace(found, notes=(*found.notes, *passed))


def _advised(folder: Path, refused: SpecError) -> SpecError:
    """What `locate` says, but not its advice to run `videoprep init`, which has just failed."""
    return _nothing(folder) if refused.message.startswith(NO_DATASET) else refused


def _in_format(folder: Path, reader: FolderReader, lists: Sequence[str]) -> Found:
    """A format that a folder is in as a whole."""
    notes = (f"Also here, and not read: {_shown(lists)}",) if lists else ()
    if reader is LINE_FILES:
        return _pair(folder, PROMPTS, VIDEOS, notes)
    roles = recognized_folders(folder, {}) if reader.names_all else {}
    beside = tuple(f"{name}/" for name in roles.values())
    names = (
        level.prefix + name
        for level in levels(folder)
        if not level.prefix.startswith(beside)
        for name in level.files
        if _is_video(name)
    )
    first = tuple(islice(names, LOOKED_AT))
    fields: dict[str, Any] = {"format": reader.name}
    if roles:
        fields["roles"] = {str(role): name for role, name in roles.items()}
        shown = ", ".join(f"{role} in {name}/" for role, name in roles.items())
        notes = (*notes, f"Beside the videos, under their names: {shown}")
    return Found(folder, reader.summary, fields, first, notes)


def _lists_in(folder: Path) -> list[str]:
    """The lists that are files, by kind, so that a FIFO is never waited for."""
    suffixes = table_suffixes()
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in islice(entries, _ENTRIES)
            if entry.name.lower().endswith(suffixes) and not entry.name.startswith(".")
        ]
    files = [name for name in names if not is_ours(name) and os.path.isfile(folder / name)]
    readers = {name: require_table(folder / name) for name in files}
    return sorted(
        (name for name in files if readers[name].sniff(folder / name)),
        key=lambda name: (suffixes.index(Path(name).suffix.lower()), name),
    )


def _first_that_reads(
    folder: Path, lists: Sequence[str], named: Mapping[str, str]
) -> tuple[Found | None, list[SpecError]]:
    """The first of several lists that makes sense, and why those before it do not."""
    refused: list[SpecError] = []
    for name in lists[:_TEXT_FILES]:
        try:
            found = _table(folder / name, named)
        except SpecError as error:
            refused.append(error)
            continue
        return replace(found, notes=(*_others(lists, name), *found.notes)), refused
    return None, refused


def _others(tables: Sequence[str], taken: str) -> Iterator[str]:
    others = [name for name in tables if name != taken]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        yield (
            f"Several lists are here; {taken} was taken. Others: {', '.join(others[:5])}{more}. To "
            "take another, give its path to `videoprep init`."
        )


def _line_files(folder: Path) -> Found | None:
    """Two text files of which one names videos, and the other has as many lines."""
    names = [name for name in names_in(folder) if not name.startswith(".")]
    stems = {Path(name).stem for name in names if _is_video(name)}
    texts = [
        name for name in names if name.lower().endswith(".txt") and os.path.isfile(folder / name)
    ]
    texts = [name for name in texts if Path(name).stem not in stems][:_TEXT_FILES]
    listing = [name for name in texts if _names_videos(folder / name)]
    if not listing:
        return None
    videos = max(listing, key=lambda name: _there(folder, _entries(folder / name)[:100]))
    length = count_lines(folder / videos)
    others = sorted(
        (name for name in texts if name != videos),
        key=lambda name: (_CAPTION.search(name) is None, name),
    )
    equal = [name for name in others if count_lines(folder / name) == length]
    if not equal:
        lengths = ", ".join(f"{name}: {count_lines(folder / name)}" for name in others[:5])
        raise SpecError(
            f"{videos} names videos in {length} lines, and no other text file has as many lines "
            f"({lengths or 'there is none'})",
            where=str(folder),
            remedy="write one caption per line, for each line of it",
            code=Code.UNEQUAL_COUNTS,
        )
    notes: tuple[str, ...] = ()
    if len(equal) > 1:
        notes = (
            f"{equal[0]} was taken for the captions; {', '.join(equal[1:6])} has as many lines. To "
            "take another, name it as caption_column.",
        )
    return _pair(folder, equal[0], videos, notes)


def _pair(folder: Path, captions: str, videos: str, notes: Sequence[str]) -> Found:
    names = tuple(_entries(folder / videos))
    lengths = [
        count_lines(folder / name) for name in (captions, videos) if os.path.isfile(folder / name)
    ]
    if len(set(lengths)) > 1:
        notes = (
            *notes,
            f"{captions} has {lengths[0]} lines and {videos} has {lengths[1]}: they do not pair up "
            "until both have as many.",
        )
    return Found(
        folder,
        f"{captions} and {videos}: a caption and a video per line",
        {"caption_column": captions, "video_column": videos},
        names,
        tuple(notes),
    )


def _table(path: Path, named: Mapping[str, str]) -> Found:
    header = require_table(path).header(path)
    fields = _columns(header, path, named)
    at = header.names.index(fields["video_column"])
    rows = header.rows if at < len(header.names) else []
    texts = (_path_of(row[at]) for row in rows if len(row) > at)
    names = tuple(name for name in texts if name)
    if not names:
        names = tuple(_first_names(path, fields))
    return Found(
        path.parent,
        f"{path.name}: {fields['video_column']} and {fields['caption_column']} of its columns "
        f"{_shown(header.names)}",
        {"dataset_file": path.name, **fields},
        names,
    )


def _first_names(path: Path, fields: Mapping[str, str]) -> Iterator[str]:
    """The first videos of a table whose header comes without rows."""
    used = {"video": fields["video_column"]}
    for row in islice(require_table(path).rows(path, used, Entries()), LOOKED_AT):
        if not isinstance(row.cells, Problem) and (name := _path_of(row.cells[0])):
            yield name


def _path_of(value: Any) -> str:
    """A cell's path; empty if it does not hold one, which `validate` then says."""
    try:
        return as_path(value).strip()
    except BadCellError:
        return ""


def _columns(header: Header, path: Path, named: Mapping[str, str]) -> dict[str, Any]:
    """Which columns hold what: as named, by their usual names, else by what is in them."""
    names, rows = header.names, header.rows
    known = dict(named)
    for field, name in named.items():
        find(names, name, path, field.removesuffix("_column"))
    usual = _usual_columns(header, path)
    videos = [name for at, name in enumerate(names) if _share(rows, at, _is_video) > _SHARE]
    if videos and usual.get("video_column") not in videos:
        known.setdefault("video_column", videos[0])
    if "caption_column" not in usual:
        video = known.get("video_column") or usual.get("video_column")
        caption = _caption_column([name for name in names if name != video], names, rows)
        if caption is not None:
            known.setdefault("caption_column", caption)
    return {**guess(names, known, path, rows)}


def _usual_columns(header: Header, path: Path) -> dict[str, str]:
    """Those with usual names, each found without the other."""
    found = {}
    for field, other in (("video_column", "caption_column"), ("caption_column", "video_column")):
        try:
            found[field] = guess(header.names, {other: "-"}, path)[field]
        except SpecError:
            continue
    return found


def _caption_column(
    names: Sequence[str], header: Sequence[str], rows: Sequence[Sequence[Any]]
) -> str | None:
    """A column whose name speaks of captions, else the one with the longest prose."""
    called = [name for name in names if _CAPTION.search(name)]
    if called:
        return called[0]
    lengths = {name: _prose(rows, header.index(name)) for name in names}
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    return longest if longest is not None and lengths[longest] else None


def _prose(rows: Sequence[Sequence[Any]], at: int) -> int:
    """Characters of a column, where most cells are more than a word."""
    if _share(rows, at, lambda cell: " " in cell.strip()) <= _SHARE:
        return 0
    return sum(len(_text(row[at])) for row in rows if at < len(row))


def _share(rows: Sequence[Sequence[Any]], at: int, holds: Callable[[str], bool]) -> float:
    texts = (_text(row[at]) for row in rows if at < len(row))
    cells = [text for text in texts if text.strip()]
    return sum(map(holds, cells)) / len(cells) if cells else 0.0


def _text(value: Any) -> str:
    """A cell as text: of several captions the first; empty if it holds something else."""
    try:
        return next(iter(as_captions(value)), "")
    except BadCellError:
        return ""


def _rooted(found: Found) -> Found:
    """Finds the folder that the videos are relative to, where it is one in the dataset's folder."""
    names = found.names[:100]
    here = _there(found.folder, names)
    if here or not names:
        return found
    inside = [name for name in names_in(found.folder)[:_FOLDERS] if not name.startswith(".")]
    folders = [name for name in inside if os.path.isdir(found.folder / name)]
    best = max(folders, key=lambda name: _there(found.folder / name, names), default=None)
    if best is not None and _there(found.folder / best, names):
        note = f"The videos lie in {best}."
        return replace(
            found, fields={"data_root": best, **found.fields}, notes=(note, *found.notes)
        )
    looked = ", ".join([".", *folders[:5]])
    note = (
        f"None of the first {len(names)} videos was found, neither in {looked}: name the folder of "
        "the videos as data_root, or correct the list; videos that are meant to lie outside need "
        "`allow_outside_root`."
    )
    return replace(found, notes=(note, *found.notes))


def is_there(root: Path, name: str) -> bool:
    """Whether a video is a file in the data root; a list of a stranger may lead elsewhere."""
    path = os.path.join(root, name)
    if "\0" in name or is_address(name) or not os.path.isfile(path):
        return False
    return is_inside(os.path.realpath(path), os.path.realpath(root))


def _there(root: Path, names: Sequence[str]) -> int:
    return sum(is_there(root, name) for name in names)


def _names_videos(path: Path) -> bool:
    lines = _entries(path)
    return bool(lines) and sum(map(_is_video, lines)) / len(lines) > _SHARE


def _is_video(cell: str) -> bool:
    return is_video_name(cell.strip().rpartition("/")[2])


def _entries(path: Path) -> list[str]:
    """The first lines that are not blank; bytes that are no UTF-8 are for `validate` to name.

    Raises:
        SpecError: it is not a file; a pipe would be waited for.
    """
    if not path.is_file():
        raise SpecError(
            "is not a regular file", where=str(path), remedy="write the list as a text file"
        )
    with path.open("rb") as file:
        text = file.read(_START).decode("utf-8-sig", "surrogateescape")
    return list(filter(None, (line.strip() for line in text.split("\n")[:LOOKED_AT])))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _nothing(folder: Path) -> SpecError:
    here = names_in(folder)
    what = f"it holds {_shown(here)}" if here else "the folder is empty"
    return SpecError(
        f"neither lists nor videos here; {what}",
        where=str(folder),
        remedy="name the folder of the dataset",
        code=Code.MISSING_LIST,
    )


__all__ = ["LOOKED_AT", "NAME", "Found", "discover"]
