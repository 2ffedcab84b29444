"""The folder of an export: each file is whole or not there; what is there is not written again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videoprep.durable import Writer, write_bytes, write_file
from videoprep.errors import StoreError

STATE = ".videoprep-export.json"


class Folder:
    """Where an export goes.

    Args:
        path: the folder; made, or gone on with.
        identity: what is exported, to what: an export of anything else in the folder is refused.

    Raises:
        StoreError: the folder holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        state = self.path / STATE
        if state.is_file():
            if json.loads(state.read_bytes()) != dict(identity):
                raise StoreError(
                    "holds the export of another store, or to another target",
                    where=str(self.path),
                    remedy="choose another -o, or remove the folder",
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise StoreError(
                "is no export, and not empty",
                where=str(self.path),
                remedy="choose a new folder",
            )
        else:
            write_bytes(state, json.dumps(dict(identity), indent=2).encode())

    def has(self, name: str) -> bool:
        """Whether a file is there already, which is then whole."""
        return (self.path / name).is_file()

    def write(self, name: str, write: Writer) -> None:
        """Writes a file."""
        write_file(self.path / name, write)

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file."""
        write_bytes(self.path / name, text.encode())
