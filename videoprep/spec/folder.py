"""The folders of a dataset, on disk or behind a URL: which files lie in them, level by level."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videoprep.fs.mirror import remote_of
from videoprep.spec.caption_journal import FOLDER as JOURNAL
from videoprep.spec.video_lookup import is_inside

# Spec files and lists that videoprep writes, the folder of its caches, and the caption journal.
_OWN = (".videoprep", "videoprep.yaml", "videoprep.yaml.bak", JOURNAL)

HIDDEN = "hidden files and folders"
LINKED_OUTSIDE = "linked folders that lead outside the data root"
LINKED_AGAIN = "linked folders that were read already"
BROKEN_LINKS = "broken links"
UNREADABLE = "folders that cannot be read"
SPECIAL = "files that are not regular"


@dataclass(frozen=True, slots=True)
class Level:
    """One folder, and what lies directly in it."""

    prefix: str
    """Its path relative to the data root, with a slash after it; empty for the root."""
    files: Sequence[str]
    """Names of its regular files, in order, without hidden ones."""
    other: Sequence[tuple[str, str]] = field(default=())
    """What else lies in it and is not looked into: what kind it is, and its name."""


def levels(
    root: Path, *, within: Path | None = None, allow_outside: bool = False
) -> Iterator[Level]:
    """Yield a folder and the folders in it, each with its files, in order.

    Linked folders come last. They are followed if they stay inside ``within``, or if the outside is
    allowed; no folder is read twice, so that a loop of links ends.

    Args:
        root: the folder.
        within: the data root, if it is another folder.
        allow_outside: whether links may lead anywhere.
    """
    remote = remote_of(root)
    if remote is None:
        yield from _Walk(root, within or root, allow_outside).levels()
        return
    names: dict[str, list[str]] = {"": []}
    hidden: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(remote.listing()):
        folder, slash, file = name.rpartition("/")
        if name.startswith(f"{JOURNAL}/"):
            continue
        if any(part.startswith(".") for part in name.split("/")):
            hidden.setdefault("", []).append((HIDDEN, name))
        elif file:
            names.setdefault(folder + slash, []).append(file)
    for prefix in sorted(names):
        yield Level(prefix, names[prefix], hidden.get(prefix, ()))


class _Walk:
    """Goes through folders on disk."""

    def __init__(self, root: Path, within: Path, allow_outside: bool) -> None:
        self._root = root
        self._real_root = os.path.realpath(within)
        self._allow_outside = allow_outside
        self._seen: set[tuple[int, int]] = set()
        self._linked: deque[str] = deque()

    def levels(self) -> Iterator[Level]:
        """Yield them: real folders first, then the linked ones that were found in them."""
        yield from self._below("")
        while self._linked:
            prefix = self._linked.popleft()
            kind = self._refused(prefix)
            if kind is None:
                yield from self._below(f"{prefix}/")
            else:
                folder, slash, name = prefix.rpartition("/")
                yield Level(folder + slash, (), ((kind, name),))

    def _refused(self, name: str) -> str | None:
        """Why a linked folder is not read, if it is not."""
        path = os.path.join(self._root, name)
        if not self._allow_outside and not is_inside(os.path.realpath(path), self._real_root):
            return LINKED_OUTSIDE
        try:
            return LINKED_AGAIN if self._identity(path) in self._seen else None
        except OSError:
            return BROKEN_LINKS

    def _below(self, prefix: str) -> Iterator[Level]:
        waiting = [prefix]
        while waiting:
            prefix = waiting.pop()
            level, folders = self._level(prefix)
            yield level
            waiting += [f"{prefix}{name}/" for name in reversed(folders)]

    def _level(self, prefix: str) -> tuple[Level, list[str]]:
        """One folder, and the names of the folders in it that are to be read."""
        path = os.path.join(self._root, prefix)
        files: list[str] = []
        folders: list[str] = []
        other: list[tuple[str, str]] = []
        try:
            self._seen.add(self._identity(path))
            with os.scandir(path) as found:
                for entry in found:
                    if entry.name in _OWN:
                        continue
                    if entry.name.startswith("."):
                        other.append((HIDDEN, entry.name))
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(entry.name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        self._linked.append(f"{prefix}{entry.name}")
                    elif entry.is_symlink() and os.path.isfile(entry.path):
                        files.append(entry.name)
                    else:
                        other.append((BROKEN_LINKS if entry.is_symlink() else SPECIAL, entry.name))
        except OSError as error:
            if not prefix:
                raise
            return Level(prefix, (), ((f"{UNREADABLE} ({error.strerror})", ""),)), []
        return Level(prefix, sorted(files), sorted(other)), sorted(folders)

    @staticmethod
    def _identity(path: str) -> tuple[int, int]:
        status = os.stat(path)
        return status.st_dev, status.st_ino
