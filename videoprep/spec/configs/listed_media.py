"""The media that a list of a trainer names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from videoprep.errors import Problem
from videoprep.spec.entries import Entries
from videoprep.spec.readers.base import FolderReader, ReadRequest, TableReader
from videoprep.spec.roles import Role


class ListedMedia(FolderReader):
    """Reads a table whose columns have the names that the trainer asks for."""

    name = "trainer-list"
    summary = "a trainer's list"
    names_all = True

    def __init__(
        self,
        table: TableReader,
        path: Path,
        columns: Mapping[str, str],
        remarks: Iterable[Problem] = (),
    ) -> None:
        self._table = table
        self._path = path
        self._columns = dict(columns)
        self._remarks = tuple(remarks)

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        return False

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        return os.fspath(self._path)

    def role_folders(self, request: ReadRequest) -> Mapping[Role, str]:
        return {}

    def read(self, request: ReadRequest) -> Entries:
        found = self._table.read(self._path, replace(request, columns=self._columns))
        found.remarks.extend(self._remarks)
        return found


def root_of_list(path: Path, first: str | None) -> Path:
    """Return the folder that the paths of a list are relative to.

    That is where the trainer is run, or else where the list lies.

    Args:
        path: the list.
        first: the first path in it; None if it has none.
    """
    here = Path.cwd()
    relative = first is not None and not os.path.isabs(first)
    if relative and not (path.parent / str(first)).exists() and (here / str(first)).exists():
        return here
    return path.parent
