"""Which processes work on a store, and whether they are still alive.

A heartbeat tells: who has been silent for too long is taken for dead. On this machine a lock tells
sooner: the kernel lets go of it when its owner ends in any way. A process that is stopped keeps its
lock; so the heartbeat counts there, too.

Who is wrongly taken for dead does no harm: work is done twice, and committed once. What processes
left that died while they wrote is swept.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from pathlib import Path
from typing import BinaryIO

from videoprep.fs import Files
from videoprep.fs.atomic import (
    is_abandoned,
    is_locked,
    is_running,
    is_temporary,
    lock,
    open_new,
    temporary_of,
)

FOLDER = ".sessions"
BEAT_SECONDS = 10.0
"""A session is to say so often that it lives."""
_SILENT_SECONDS = 180.0
_SUFFIX = ".lock"


class Session:
    """This process's presence at a store. Use it in a ``with`` block.

    Attributes:
        id: its name, unique.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: BinaryIO | None = None

    def __enter__(self) -> Session:
        path = self._files.path(_name(self.id))
        if path is None:
            self.beat()
            return self
        self._mark(path)
        return self

    def _mark(self, path: Path) -> None:
        # Locked before it has its name: whoever sees it sees it locked.
        temporary = temporary_of(path)
        if self._held is not None:
            self._held.close()
        self._held = os.fdopen(open_new(temporary), "wb")
        lock(self._held.fileno())
        temporary.rename(path)

    def __exit__(self, *_: object) -> None:
        self._files.delete(_name(self.id))
        if self._held is not None:
            self._held.close()
        self._files.delete_folder(FOLDER)

    def beat(self) -> None:
        """Says that this process lives."""
        path = self._files.path(_name(self.id))
        if path is None:
            self._files.write_bytes(_name(self.id), str(time.time()).encode())
        else:
            try:
                os.utime(path)
            except FileNotFoundError:  # it was silent for long, and others have swept it
                self._mark(path)

    def is_alive(self, other: str) -> bool:
        """Whether another session's process lives, as far as can be told from here."""
        path = self._files.path(_name(other))
        try:
            if path is None:
                return time.time() - float(self._files.read(_name(other))) < _SILENT_SECONDS
            if _host(other) == _host(self.id) and not _may_run(other, is_locked(path)):
                return False
            # Both times are the file server's.
            own = self._files.path(_name(self.id))
            # One who only looks has left no mark.
            now = own.stat().st_mtime if own is not None and own.exists() else time.time()
            return now - path.stat().st_mtime < _SILENT_SECONDS
        except FileNotFoundError:
            return False

    def sweep(self) -> list[str]:
        """Removes what dead sessions left; gives their ids."""
        names = [name for name in self._files.names(FOLDER) if not name.startswith(".")]
        others = [name.removesuffix(_SUFFIX) for name in names]
        dead = [other for other in others if other != self.id and not self.is_alive(other)]
        for other in dead:
            self._files.delete(_name(other))
        return dead


def sessions_at(files: Files) -> dict[str, bool]:
    """The sessions that have left a mark at a store, and whether their processes live."""
    onlooker = Session(files)  # leaves no mark unless it is entered
    names = [name for name in files.names(FOLDER) if name.endswith(_SUFFIX)]
    known = [name.removesuffix(_SUFFIX) for name in names if not name.startswith(".")]
    return {session: onlooker.is_alive(session) for session in known}


def _name(session: str) -> str:
    return f"{FOLDER}/{session}{_SUFFIX}"


def _may_run(session: str, locked: bool | None) -> bool:
    """Whether the process of a session of this machine may live; ``locked``: see `is_locked`."""
    return is_running(session.split("-")[-2]) if locked is None else locked


def _host(session: str) -> str:
    return session.rsplit("-", 2)[0]


def leftovers(files: Files) -> list[str]:
    """Temporary files whose writers are dead. There are none behind URLs: objects appear whole."""
    if files.path("") is None:
        return []
    folders = ["", *(f for f in files.folders() if not f.startswith("."))]
    folders += [f"{top}/{inner}" for top in folders[1:] for inner in files.folders(top)]
    folders += [f for f in files.folders() if f.startswith(".")]
    found = []
    for folder in folders:
        names = [f"{folder}/{name}" if folder else name for name in files.names(folder)]
        for name in names:
            path = files.path(name)
            if is_temporary(name.rpartition("/")[2]) and path is not None and is_abandoned(path):
                found.append(name)
    return found


def sweep(files: Files, session: Session) -> list[str]:
    """Removes leftovers and the marks of dead sessions; gives the files that were removed."""
    found = leftovers(files)
    for name in found:
        files.delete(name)
        if name.startswith("."):  # what kept a folder of processes from being removed
            files.delete_folder(name.rpartition("/")[0])
    session.sweep()
    return found
