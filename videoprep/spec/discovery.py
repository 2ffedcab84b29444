"""Finds out how a folder that nobody has prepared holds its videos and captions.

Little is read: the names of a folder up to a limit, and the beginnings of lists. What the videos
themselves are like is looked at elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from videoprep.errors import Code, SpecError
from videoprep.place import names_in, nowhere
from videoprep.spec.columns import find, guess
from videoprep.spec.csv_file import first_rows
from videoprep.spec.dataset import PROMPTS, VIDEOS
from videoprep.spec.encoding import count_lines
from videoprep.spec.gathering import (
    Gathered,
    from_json_lines,
    from_parquet,
    from_sidecars,
    has_sidecars,
    is_ours,
    some_videos,
)
from videoprep.spec.spec_file import NAME
from videoprep.spec.table_kind import VIDEO_ENDING
from videoprep.spec.video_lookup import is_address, is_inside

LOOKED_AT = 1000
"""Samples of a list that are looked at, from its start."""

_VIDEO = re.compile(rf"{VIDEO_ENDING}$")
_CAPTION = re.compile(r"caption|prompt|text|descri|title", re.IGNORECASE)
_IMAGE = re.compile(r"image|first_?frame|thumb", re.IGNORECASE)
_SHARE = 0.5  # of the cells looked at that have to look like a video's path
_TEXT_FILES = 20  # of a folder that may be lists
_ENTRIES = 1_000_000  # of a folder among which a list is looked for
_FOLDERS = 50  # in a folder that videos may be relative to
_START = 1 << 20  # bytes of a list

_WRITE_ONE = (
    "put each video's caption into a text file beside it (hiker.txt for hiker.mp4), or write one "
    "CSV file with the columns video and caption; then run `videoprep init` again"
)


@dataclass(frozen=True, slots=True)
class Found:
    """How a dataset is written.

    Attributes:
        folder: where ``videoprep.yaml`` belongs.
        what: the lists in words.
        fields: of a `DatasetSpec`, as ``videoprep.yaml`` writes them.
        names: the first videos, as they are written.
        notes: what else is worth knowing.
        gathered: a list that has yet to be written, where there is none that is read as it is.
    """

    folder: Path
    what: str
    fields: dict[str, Any]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    gathered: Gathered | None = None

    @property
    def root(self) -> Path:
        """The folder that the videos are relative to."""
        return self.folder / str(self.fields.get("data_root", "."))


def discover(path: Path, named: Mapping[str, str]) -> Found:
    """Finds the dataset in a folder, or the one that a list describes.

    Args:
        path: a folder, or a list.
        named: ``caption_column`` and ``video_column`` of a table, where they are known.

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
    found = _of_file(path, named) if path.is_file() else _of_folder(path, named)
    return _rooted(found)


def _of_file(path: Path, named: Mapping[str, str]) -> Found:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise SpecError(
            "no list of a dataset ends like this",
            where=str(path),
            remedy=f"name a folder, or a file ending in {', '.join(_READERS)}",
        )
    return read(path, named)


def _of_folder(folder: Path, named: Mapping[str, str]) -> Found:
    lists = _lists_in(folder)
    if not named and all(os.path.isfile(folder / name) for name in (PROMPTS, VIDEOS)):
        notes = (f"Also here, and not read: {_shown(lists)}",) if lists else ()
        return _pair(folder, PROMPTS, VIDEOS, notes)
    found, refused = _first_that_reads(folder, lists, named)
    if found is None:
        found = _line_files(folder)
    if found is None and has_sidecars(folder):
        found = _as_table(folder, from_sidecars(folder), {})
    if found is None:
        raise refused[0] if refused else _nothing(folder)
    passed = tuple(f"Not taken: {' '.join(str(error).split())}" for error in refused[:3])
    return replace(found, notes=(*found.notes, *passed))


def _lists_in(folder: Path) -> list[str]:
    """The lists that are files, by kind, so that a FIFO is never waited for."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in islice(entries, _ENTRIES)
            if Path(entry.name).suffix.lower() in _READERS and not entry.name.startswith(".")
        ]
    files = [name for name in names if not is_ours(name) and os.path.isfile(folder / name)]
    return sorted(files, key=lambda name: (_ORDER.index(Path(name).suffix.lower()), name))


def _first_that_reads(
    folder: Path, lists: Sequence[str], named: Mapping[str, str]
) -> tuple[Found | None, list[SpecError]]:
    """The first of several lists that makes sense, and why those before it do not."""
    refused: list[SpecError] = []
    for name in lists:
        try:
            found = _of_file(folder / name, named)
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
            "take another: videoprep init PATH-OF-THE-LIST --overwrite"
        )


def _line_files(folder: Path) -> Found | None:
    """Two text files of which one names videos, and the other has as many lines."""
    names = [name for name in names_in(folder) if not name.startswith(".")]
    stems = {Path(name).stem for name in names if _VIDEO.search(name)}
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
            remedy="write one caption a line, for each line of it",
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
    return Found(
        folder,
        f"{captions} and {videos}: one caption and one video a line",
        {"caption_column": captions, "video_column": videos},
        tuple(_entries(folder / videos)),
        tuple(notes),
    )


def _table(path: Path, named: Mapping[str, str]) -> Found:
    header, rows = first_rows(path, LOOKED_AT)
    fields = _columns(header, rows, path, named)
    at = header.index(fields["video_column"])
    names = tuple(row[at].strip() for row in rows if len(row) > at)
    return Found(
        path.parent,
        f"{path.name}: {fields['video_column']} and {fields['caption_column']} of its columns "
        f"{_shown(header)}",
        {"dataset_file": path.name, **fields},
        tuple(filter(None, names)),
        tuple(_unread(header, fields)),
    )


def _as_table(folder: Path, gathered: Gathered, named: Mapping[str, str]) -> Found:
    """A list that has to be written as a table first."""
    rows = list(islice(gathered.rows(), LOOKED_AT))
    fields = _columns(gathered.header, rows, gathered.source, named)
    at = gathered.header.index(fields["video_column"])
    return Found(
        folder,
        f"{gathered.what}, written as {gathered.name}",
        {"dataset_file": gathered.name, **fields},
        tuple(filter(None, (row[at].strip() for row in rows))),
        tuple(_unread(gathered.header, fields)),
        gathered,
    )


def _json_lines(path: Path, named: Mapping[str, str]) -> Found:
    return _as_table(path.parent, from_json_lines(path), named)


def _parquet(path: Path, named: Mapping[str, str]) -> Found:
    return _as_table(path.parent, from_parquet(path), named)


_READERS: dict[str, Callable[[Path, Mapping[str, str]], Found]] = {
    ".csv": _table,
    ".tsv": _table,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
_ORDER = tuple(_READERS)


def _columns(
    header: list[str], rows: Sequence[Sequence[str]], path: Path, named: Mapping[str, str]
) -> dict[str, str]:
    """Which columns hold what: as named, by their usual names, else by what is in them."""
    known = dict(named)
    for field, name in named.items():
        find(header, name, path, field.removesuffix("_column"))
    usual = _usual_columns(header, path)
    videos = [name for at, name in enumerate(header) if _share(rows, at, _is_video) > _SHARE]
    if videos and usual.get("video_column") not in videos:
        known.setdefault("video_column", videos[0])
    if "caption_column" not in usual:
        video = known.get("video_column") or usual.get("video_column")
        caption = _caption_column([name for name in header if name != video], header, rows)
        if caption is not None:
            known.setdefault("caption_column", caption)
    return guess(header, known, path)


def _usual_columns(header: list[str], path: Path) -> dict[str, str]:
    """Those with usual names, each found without the other."""
    found = {}
    for field, other in (("video_column", "caption_column"), ("caption_column", "video_column")):
        try:
            found[field] = guess(header, {other: "-"}, path)[field]
        except SpecError:
            continue
    return found


def _caption_column(
    names: Sequence[str], header: Sequence[str], rows: Sequence[Sequence[str]]
) -> str | None:
    """A column whose name speaks of captions, else the one with the longest prose."""
    called = [name for name in names if _CAPTION.search(name)]
    if called:
        return called[0]
    lengths = {name: _prose(rows, header.index(name)) for name in names}
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    return longest if longest is not None and lengths[longest] else None


def _prose(rows: Sequence[Sequence[str]], at: int) -> int:
    """Characters of a column, where most cells are more than a word."""
    if _share(rows, at, lambda cell: " " in cell.strip()) <= _SHARE:
        return 0
    return sum(len(row[at]) for row in rows if at < len(row))


def _share(rows: Sequence[Sequence[str]], at: int, holds: Callable[[str], bool]) -> float:
    cells = [row[at] for row in rows if at < len(row) and row[at].strip()]
    return sum(map(holds, cells)) / len(cells) if cells else 0.0


def _unread(header: Sequence[str], fields: dict[str, str]) -> Iterator[str]:
    left = [name for name in header if name and name not in fields.values()]
    images = [name for name in left if _IMAGE.search(name)]
    if images:
        yield f"Not read: {_shown(images)}. First frames are taken from the videos themselves."


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
        "--allow-outside-root."
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
    return _VIDEO.search(cell.strip()) is not None


def _entries(path: Path) -> list[str]:
    """The first lines that are not blank; bytes that are no UTF-8 are for `validate` to name."""
    with path.open("rb") as file:
        text = file.read(_START).decode("utf-8-sig", "surrogateescape")
    return list(filter(None, (line.strip() for line in text.split("\n")[:LOOKED_AT])))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _nothing(folder: Path) -> SpecError:
    if not names_in(folder):
        return SpecError("the folder is empty", where=str(folder), remedy=_WRITE_ONE)
    videos = some_videos(folder)
    if videos:
        return SpecError(
            f"videos, such as {videos[0].relative_to(folder)}, and no captions for them",
            where=str(folder),
            remedy=_WRITE_ONE,
            code=Code.MISSING_LIST,
        )
    return SpecError(
        f"neither lists nor videos here; it holds {_shown(names_in(folder))}",
        where=str(folder),
        remedy=f"name the folder of the dataset; or {_WRITE_ONE}",
        code=Code.MISSING_LIST,
    )


__all__ = ["LOOKED_AT", "NAME", "Found", "discover"]
