"""Which processes work on a store, and whether they are still alive.

On this machine a lock tells: the kernel lets go of it when its owner ends in any way. Of processes
on other machines, on file systems without locks, and at a store behind a URL, a heartbeat tells.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO

from videoprep.durable import is_locked, lock, open_new, temporary_of
from videoprep.files import Files

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
        # Locked before it has its name: whoever sees it sees it locked.
        temporary = temporary_of(path)
        self._held = os.fdopen(open_new(temporary), "wb")
        lock(self._held.fileno())
        temporary.rename(path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            # One that was silent for long may have been swept by others; it goes on all the same.
            with suppress(FileNotFoundError):
                os.utime(path)

    def is_alive(self, other: str) -> bool:
        """Whether another session's process lives, as far as can be told from here."""
        path = self._files.path(_name(other))
        try:
            if path is None:
                return time.time() - float(self._files.read(_name(other))) < _SILENT_SECONDS
            locked = is_locked(path) if _host(other) == _host(self.id) else None
            if locked is not None:
                return locked
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


def _host(session: str) -> str:
    return session.rsplit("-", 2)[0]
