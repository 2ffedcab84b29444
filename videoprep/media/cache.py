"""What opening files showed, kept between runs, so that an unchanged file is opened only once."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import av

from videoprep.media.source import signature_of

logger = logging.getLogger(__name__)

# Part of the file's name: raise it when what is kept, or the way it is found out, changes.
_VERSION = 5

# Others wait while something is not committed, and a run that is killed loses it.
_WRITE_SECONDS = 2.0

_TABLES = """
    CREATE TABLE IF NOT EXISTS files (
        path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
        fingerprint TEXT
    );
    CREATE TABLE IF NOT EXISTS facts (
        fingerprint TEXT, kind TEXT, value TEXT, PRIMARY KEY (fingerprint, kind)
    );
"""
_FIND = """
    SELECT fingerprint, kind, value FROM files LEFT JOIN facts USING (fingerprint)
    WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND inode = ?
"""
_FIND_CONTENTS = "SELECT kind, value FROM facts WHERE fingerprint = ?"

Key = tuple[bytes, int, int, int, int]
Facts = dict[str, str]
"""What is known of a file by kind, each as JSON text: ``{"value": …}`` or ``{"error": …}``."""


class FactCache:
    """Remembers what is known of files, by the fingerprint of their contents.

    A file's size, times and inode tell whether its fingerprint still holds. Lives in
    ``ROOT/.videoprep/``, or in the user's cache folder where the root is read-only. A cache that
    cannot be used costs time, never correctness: this is logged, and all goes on without it.

    Attributes:
        empty: whether nothing was known when it was opened.
    """

    def __init__(self, root: Path) -> None:
        # Another FFmpeg may read a file in another way.
        name = f"facts-v{_VERSION}-av{av.__version__}.sqlite"
        self._file = cache_folder(root) / name
        self._database: sqlite3.Connection | None = None
        self._files: list[tuple[Any, ...]] = []
        self._facts: list[tuple[str, str, str]] = []
        self._written = time.monotonic()
        self.empty = True
        try:
            self._database = _open(self._file)
            self.empty = self._database.execute("SELECT 1 FROM facts").fetchone() is None
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def __enter__(self) -> FactCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write()
        if self._database is not None:
            self._database.close()

    def get(self, key: Key | None) -> tuple[str, Facts] | None:
        """The fingerprint of a file that has not changed, and the facts of each kind about it."""
        if self._database is None or key is None:
            return None
        try:
            rows = self._database.execute(_FIND, key).fetchall()
            facts = {kind: str(text) for _, kind, text in rows if kind is not None}
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return (rows[0][0], facts) if rows else None

    def of_contents(self, fingerprint: str) -> Facts:
        """The facts of each kind about contents that may have lain elsewhere before."""
        if self._database is None:
            return {}
        try:
            rows = self._database.execute(_FIND_CONTENTS, (fingerprint,)).fetchall()
            return {kind: str(text) for kind, text in rows}
        except sqlite3.Error as error:
            self._give_up(error)
            return {}

    def put(self, key: Key | None, fingerprint: str, facts: Facts) -> None:
        """Remembers facts about a file.

        Args:
            key: that of the file before it was opened: one that changes meanwhile has another.
            fingerprint: that of its contents.
            facts: by kind.
        """
        if self._database is None or key is None:
            return
        self._files.append((*key, fingerprint))
        self._facts += [(fingerprint, kind, text) for kind, text in facts.items()]
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self._write()

    def _write(self) -> None:
        """Writes what has come in one short go: meanwhile no other process can."""
        if self._database is None:
            return
        try:
            with self._database:
                file = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
                self._database.executemany(file, self._files)
                fact = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)"
                self._database.executemany(fact, self._facts)
        except sqlite3.Error as error:
            self._give_up(error)
        self._files.clear()
        self._facts.clear()
        self._written = time.monotonic()

    def _give_up(self, error: Exception) -> None:
        logger.warning(
            "probe results are not kept: %s: %r; delete the file if this goes on", self._file, error
        )
        if self._database is not None:
            self._database.close()
        self._database = None


def cache_folder(root: Path) -> Path:
    """``ROOT/.videoprep``, or a folder of its own in the user's cache where the root is read-only.

    A folder without any write bit is meant to stay as it is, even where the user (root) could
    write to it all the same. A link is not followed: the dataset may come from a stranger.
    """
    inside = root / ".videoprep"
    if root.stat().st_mode & 0o222 and os.access(root, os.W_OK) and not inside.is_symlink():
        return inside
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return base / "videoprep" / name


def key_of(path: Path) -> Key | None:
    """A file's path, size, times and inode; None where they cannot be found out."""
    try:
        return os.fsencode(os.path.abspath(path)), *signature_of(path)
    except (OSError, ValueError):
        return None  # opening it will say what is wrong


def _open(file: Path) -> sqlite3.Connection:
    """Opens the database; a link or a FIFO in its place may be a stranger's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
        raise OSError("is not a regular file")
    # A generator may be closed by another thread than the one that used it.
    database = sqlite3.connect(file, timeout=60, check_same_thread=False)
    database.execute("PRAGMA trusted_schema = OFF")
    database.executescript(_TABLES)
    return database
