"""The lists of a dataset behind a URL: brought into its mirror before they are read.

For ordinary folders all of this does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoprep.errors import Problem, SourceError, SpecError
from videoprep.mirror import remote_of, shown, shown_in
from videoprep.spec.entries import Entries
from videoprep.spec.spec_file import NAME
from videoprep.staging import bring

_TABLES = (".csv", ".tsv")
_LINE_FILES = ("prompt.txt", "videos.txt")
_NAMING = ("dataset_file", "caption_column", "video_column")


def bring_lists(path: Path, options: Mapping[str, Any]) -> None:
    """Brings what may be lists of the dataset at a path: by their usual names, and those named.

    Raises:
        SourceError: one cannot be brought here.
        OSError: the remote folder cannot be read.
    """
    named = [str(options[field]) for field in _NAMING if options.get(field)]
    root = options.get("data_root")
    if root is not None and root != path:
        _bring(Path(root), named)
    remote = remote_of(path)
    if remote is None:
        return
    if path.suffix:  # a file
        _bring(path.parent, [path.name])
        return
    there = set(remote.files.names())
    here = {entry.name for entry in path.iterdir() if entry.is_file()} if path.is_dir() else set()
    usual = {NAME, *_LINE_FILES}
    tables = {name for name in there | here if name.lower().endswith(_TABLES)}
    _bring(path, [*sorted(name for name in usual | tables if name in there | here), *named])


def bring_named(saved: Path, fields: Mapping[str, Any]) -> None:
    """Brings the lists that a ``videoprep.yaml`` names, and makes the folder that it names."""
    if remote_of(saved.parent) is None:
        return
    named = [str(fields[field]) for field in _NAMING if fields.get(field)]
    _bring(saved.parent, named)
    root = Path(fields["data_root"])
    if root != saved.parent:
        root.mkdir(parents=True, exist_ok=True)
        _bring(root, named)


def bring_again(root: Path, lists: Iterable[Path]) -> None:
    """Brings lists up to date just before they are read; each may lie in a mirror of its own."""
    if remote_of(root) is not None:
        root.mkdir(parents=True, exist_ok=True)
    for path in lists:
        _bring(path.parent, [path.name])


def with_urls(found: Entries) -> Entries:
    """Entries whose lists are called by their URLs, as users know them."""
    lists = {name: shown(name) for name in {found.video_file, found.caption_file}}
    if all(name == url for name, url in lists.items()):
        return found

    def renamed(problems: list[Problem]) -> list[Problem]:
        return [
            replace(problem, file=lists.get(problem.file, problem.file)) for problem in problems
        ]

    return replace(
        found,
        video_file=lists[found.video_file],
        caption_file=lists[found.caption_file],
        problems=renamed(found.problems),
        remarks=renamed(found.remarks),
    )


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
    """Brings files of a folder; names may be absolute paths, also such as lead elsewhere."""
    remote = remote_of(folder)
    if remote is None:
        return
    found = (remote.name_of(folder / name) for name in names)
    bring(folder, [name for name in found if name is not None])
