"""The folder of an export: each file is whole or not there; what is there is not written again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from videoprep.errors import StoreError
from videoprep.fs.atomic import (
    Writer,
    create_bytes,
    is_abandoned,
    is_temporary,
    link_file,
    write_bytes,
    write_file,
)

STATE = ".videoprep-export.json"

NAMES = "videoprep-clips.jsonl"
"""Which clip of which video each exported name stands for."""


class Folder:
    """Where an export goes.

    Args:
        path: the folder; made, or gone on with.
        identity: what is exported, to what: an export of anything else in the folder is refused.

    Attributes:
        path: the folder.
        written: how many files were written, or linked, since it was opened.

    Raises:
        StoreError: the folder holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.written = 0
        state = self.path / STATE
        # A killed export may have left no more than what it was writing.
        is_used = self.path.exists() and not all(map(is_temporary, os.listdir(self.path)))
        if not state.is_file():
            if is_used:
                raise StoreError(
                    "is not an export, and not empty",
                    where=str(self.path),
                    remedy="choose a new folder",
                )
            create_bytes(state, json.dumps(dict(identity), indent=2).encode())
        if json.loads(state.read_bytes()) != dict(identity):
            raise StoreError(
                "holds the export of another store, to another target, or with other options",
                where=str(self.path),
                remedy="choose another -o, or remove the folder",
            )
        _sweep(self.path)

    def has(self, name: str) -> bool:
        """Whether a file is there already, which is then whole."""
        return (self.path / name).is_file()

    def write(self, name: str, write: Writer) -> None:
        """Writes a file, if it is not there yet."""
        if not self.has(name):
            write_file(self.path / name, write)
            self.written += 1

    def link(self, name: str, source: str, write: Writer) -> None:
        """Makes a file another name of one that is there; writes it where that cannot be done."""
        if self.has(name):
            return
        if link_file(self.path / source, self.path / name):
            self.written += 1
        else:
            self.write(name, write)

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, replacing one that is there."""
        write_bytes(self.path / name, text.encode())

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Writes a text file a line at a time, replacing one that is there."""

        def write(file: BinaryIO) -> None:
            for line in lines:
                file.write(f"{line}\n".encode())

        write_file(self.path / name, write)


def _sweep(path: Path) -> None:
    """Removes what a killed export was writing."""
    for parent, _, names in os.walk(path):
        for name in filter(is_temporary, names):
            if is_abandoned(Path(parent, name)):
                Path(parent, name).unlink(missing_ok=True)
