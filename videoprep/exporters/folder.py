"""The folder of an export: each file is whole or not there; what is there is not written again."""

from __future__ import annotations

import json
import os
from collections import Counter
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
        named: what `NAMES` will say of each clip; gone over to tell what has changed.

    Attributes:
        path: the folder.
        written: how many files were written, or linked, since it was opened.

    Raises:
        StoreError: the folder holds something else.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Mapping[str, Any],
        named: Iterable[Mapping[str, Any]] = (),
    ) -> None:
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
        held = json.loads(state.read_bytes())
        if held != dict(identity):
            raise StoreError(
                _difference(held, identity) or self._change(named),
                where=str(self.path),
                remedy="choose another -o; or remove the folder, and run the same command again",
            )
        _sweep(self.path)

    def _change(self, named: Iterable[Mapping[str, Any]]) -> str:
        """Says that the clips have changed, and how many."""
        try:
            lines = (self.path / NAMES).read_bytes().splitlines()
        except FileNotFoundError:  # it was stopped before
            return "holds a part of an export of other clips: of another store, or as they were"
        return _changes([json.loads(line) for line in lines], list(named))

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


def holds(path: str | os.PathLike[str], identity: Mapping[str, Any]) -> bool:
    """Return whether a folder has the export of something, finished or not."""
    state = Path(path, STATE)
    return state.is_file() and json.loads(state.read_bytes()) == dict(identity)


def _difference(held: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Says what an export was made with, other than its clips, that is not what is asked for."""
    if held.get("target") != asked["target"]:
        return f"holds an export to {held.get('target')}"
    if held.get("version") != asked["version"]:
        return "holds an export in the form of another version of videoprep"
    others = [name for name in asked if name != "clips" and held.get(name) != asked[name]]
    if others:
        told = (f"{name} {_said(held.get(name))}, not {_said(asked[name])}" for name in others)
        return f"holds an export that was made otherwise: {'; '.join(told)}"
    return None


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _changes(old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> str:
    """Says how many clips have changed since an export, by what is said of each but its name."""
    before, now = ({entry["video"] for entry in entries} for entries in (old, new))
    if not before & now:
        return "holds the export of another store"
    keys = sorted((set(old[0]) & set(new[0])) - {"name"})
    was, are = (Counter(json.dumps([entry.get(key) for key in keys]) for entry in entries)
                for entries in (old, new))  # fmt: skip
    changed, gone = (are - was).total(), len(before - now)
    told = [f"{changed:,} of {len(new):,} clips new or changed"] if changed else []
    told += [f"{gone:,} of {len(before):,} videos gone"] if gone else []
    how = " and ".join(told) or "other weights, tensors or further captions of clips"
    return f"holds an export of the store as it was; since then: {how}"


def _sweep(path: Path) -> None:
    """Removes what a killed export was writing."""
    for parent, _, names in os.walk(path):
        for name in filter(is_temporary, names):
            if is_abandoned(Path(parent, name)):
                Path(parent, name).unlink(missing_ok=True)
