"""The lists of a dataset behind a URL: brought into its mirror before they are read.

For ordinary folders all of this does nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoprep.errors import SourceError, SpecError
from videoprep.fs import Files
from videoprep.fs.mirror import Remote, remote_of, shown, shown_in
from videoprep.fs.staging import bring
from videoprep.spec.columns import looks_like_a_dataset, of_fields
from videoprep.spec.entries import Entries
from videoprep.spec.locate import is_ours
from videoprep.spec.readers import folder_readers, table_readers, table_suffixes
from videoprep.spec.readers.base import FolderReader, Reader, ReadRequest
from videoprep.spec.readers.caption_files import CaptionNames
from videoprep.spec.readers.line_files import PROMPTS, VIDEOS
from videoprep.spec.spec_file import NAME
from videoprep.spec.video_files import is_media_name, suffix_of

LINES = (PROMPTS, VIDEOS)

_NAMING = ("dataset_file", "caption_column", "video_column")
_SNIFFED = 1 << 16
_MOST_TABLES = 20  # that are looked into
_DOWNLOADS = 16  # at a time


def bring_lists(path: Path, options: Mapping[str, Any]) -> None:
    """Bring what lists the samples of the dataset at a path, and no other file of the folder.

    Raises:
        SpecError: several tables could be the list.
        SourceError: a file cannot be brought here.
        OSError: the remote folder cannot be read.
    """
    named = [str(options[field]) for field in _NAMING if options.get(field)]
    root = options.get("data_root")
    if root is not None and root != path:
        _bring(Path(root), named)
    remote = remote_of(path)
    if remote is None:
        return
    if path.suffix.lower() in (*table_suffixes(), ".yaml", ".yml"):  # a file
        _bring(path.parent, [path.name])
        return
    there = set(remote.files.names())
    here = {entry.name for entry in path.iterdir() if entry.is_file()} if path.is_dir() else set()
    usual = [name for name in (NAME, *LINES) if name in there | here]
    _bring(path, [*usual, *named])
    if NAME in there or there.issuperset(LINES) or options.get("dataset_file"):
        return
    tables, others = _tables(remote, there, options)
    if len(tables) > 1:
        raise SpecError(
            f"several tables could be the dataset: {', '.join(tables)}",
            where=remote.url,
            remedy="name one with `dataset_file`",
        )
    # What was there the last time and is gone is removed here, too.
    _bring(path, {*tables, *(name for name in here if name.lower().endswith(table_suffixes()))})
    if not tables and not _bring_folder(path, remote, folder_readers(), request_columns(options)):
        _bring(path, others[:2])  # it is not a dataset, and whoever reads it says why


def bring_spec_file(path: Path) -> None:
    """Bring the ``videoprep.yaml`` at a path, or the one in the folder at a path, if there is one.

    Raises:
        SourceError: it cannot be brought here.
        OSError: the remote folder cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        _bring(path.parent, [path.name])
    elif suffix not in table_suffixes():
        _bring(path, [NAME])


def bring_named(saved: Path, fields: Mapping[str, Any]) -> None:
    """Bring the lists that a ``videoprep.yaml`` names, and make the folder that it names."""
    if remote_of(saved.parent) is None:
        return
    named = [str(fields[field]) for field in _NAMING if fields.get(field)]
    _bring(saved.parent, named)
    root = Path(fields["data_root"])
    if root != saved.parent:
        root.mkdir(parents=True, exist_ok=True)
        _bring(root, named)


def bring_again(
    root: Path, reader: Reader, lists: Iterable[Path], columns: Mapping[str, str]
) -> None:
    """Bring lists up to date just before they are read; each may lie in a mirror of its own."""
    remote = remote_of(root)
    if remote is not None:
        root.mkdir(parents=True, exist_ok=True)
        if isinstance(reader, FolderReader):
            _bring_folder(root, remote, [reader], columns)
    for path in lists:
        _bring(path.parent, [path.name])


def request_columns(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that options name, by what they hold."""
    return {what: name for what, name in of_fields(options).items() if name}


def _tables(
    remote: Remote, names: Iterable[str], options: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """The tables that could list the samples, and the others; of each only a little is read."""
    listed = sorted(names)
    beside = CaptionNames(listed)
    captions = {one for name in listed if is_media_name(name) for one in beside.of(name)}
    found: list[str] = []
    others: list[str] = []
    for name in listed:
        reader = table_readers().get(suffix_of(name))
        if reader is None or name in captions or name.startswith(".") or is_ours(name):
            continue
        if len(found) + len(others) > _MOST_TABLES:
            break
        header = reader.glance(io.BufferedReader(_RemoteFile(remote.files, name), _SNIFFED))
        if header is not None:
            could_be = not header or looks_like_a_dataset(header, options)
            (found if could_be else others).append(name)
    return found, others


class _RemoteFile(io.RawIOBase):
    """A file behind a URL, of which only what is read is downloaded."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        self._size = files.size(name) or 0
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        data = self._files.read_range(self._name, self._at, size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _bring_folder(
    root: Path, remote: Remote, readers: Iterable[FolderReader], columns: Mapping[str, str]
) -> bool:
    """Bring the caption files or tables of the first format that the folder is in, if it is."""
    names = list(remote.listing(fresh=True))
    for reader in readers:
        wanted = reader.mirrored(names, columns)
        if not wanted:
            continue
        for folder in {os.path.dirname(name) for name in names}:
            (root / folder).mkdir(parents=True, exist_ok=True)
        _bring(root, wanted)
        if reader.sniff(root, ReadRequest(root, columns)):  # names do not tell every format
            return True
    return False


def with_urls(found: Entries) -> Entries:
    """Entries whose lists are called by their URLs, as users know them."""
    lists: dict[str, str] = {}

    def url_of(file: str) -> str:
        if file not in lists:
            lists[file] = shown(file)
        return lists[file]

    first = [entry.file for entry in found.entries[:1]]
    if all(url_of(name) == name for name in (*found.files, *first)):
        return found
    entries = [
        entry._replace(file=url_of(entry.file), caption_file=url_of(entry.caption_file))
        for entry in found.entries
    ]
    problems = [replace(problem, file=url_of(problem.file)) for problem in found.problems]
    remarks = [replace(problem, file=url_of(problem.file)) for problem in found.remarks]
    files = [url_of(file) for file in found.files]
    return replace(found, entries=entries, problems=problems, remarks=remarks, files=files)


@contextmanager
def remote_errors() -> Iterator[None]:
    """Errors speak of URLs, not of the paths that stand for them."""
    try:
        yield
    except SpecError as error:
        error.message = shown_in(error.message)
        error.where = shown_in(error.where) if error.where is not None else None
        error.remedy = shown_in(error.remedy) if error.remedy is not None else None
        raise
    except SourceError as error:
        raise SpecError(error.message, where=error.where, remedy=error.remedy) from error


def _bring(folder: Path, names: Iterable[str]) -> None:
    """Bring files of a folder; names may be absolute paths, also such as lead elsewhere."""
    remote = remote_of(folder)
    if remote is None:
        return
    named = (remote.name_of(folder / name) for name in names)
    found = list(dict.fromkeys(name for name in named if name is not None))
    if len(found) <= 2:
        bring(folder, found)
        return
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        for _ in pool.map(lambda name: bring(folder, [name]), found):
            pass  # an error is raised here
