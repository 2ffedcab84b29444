"""Which processes work on a store, and whether they are still alive.

On this machine a lock tells: the kernel lets go of it when its owner ends in any way. Of processes
on other machines, and of those at a store behind a URL, a heartbeat tells.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from videoprep.durable import is_locked, lock
from videoprep.files import Files

FOLDER = ".sessions"

BEAT_SECONDS = 10.0
"""A session is to say so often that it lives."""

_SILENT_SECONDS = 180.0


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
        path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: whoever sees it sees it locked.
        temporary = path.with_name(f".{path.name}")
        self._held = temporary.open("wb")
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
            with suppress(OSError):  # others may be there
                Path(self._held.name).parent.rmdir()

    def beat(self) -> None:
        """Says that this process lives."""
        path = self._files.path(_name(self.id))
        if path is None:
            self._files.write_bytes(_name(self.id), str(time.time()).encode())
        else:
            os.utime(path)

    def is_alive(self, other: str) -> bool:
        """Whether another session's process lives, as far as can be told from here."""
        path = self._files.path(_name(other))
        try:
            if path is None:
                return time.time() - float(self._files.read(_name(other))) < _SILENT_SECONDS
            if _host(other) == _host(self.id):
                return is_locked(path)
            # Both times are the file server's.
            own = self._files.path(_name(self.id))
            now = time.time() if own is None else own.stat().st_mtime
            return now - path.stat().st_mtime < _SILENT_SECONDS
        except FileNotFoundError:
            return False

    def sweep(self) -> list[str]:
        """Removes what dead sessions left; gives their ids."""
        others = [name.removesuffix(".lock") for name in self._files.names(FOLDER)]
        dead = [other for other in others if other != self.id and not self.is_alive(other)]
        for other in dead:
            self._files.delete(_name(other))
        return dead


def _name(session: str) -> str:
    return f"{FOLDER}/{session}.lock"


def _host(session: str) -> str:
    return session.rsplit("-", 2)[0]
