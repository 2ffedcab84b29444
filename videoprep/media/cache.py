"""What opening files showed, kept between runs, so that an unchanged file is opened only once."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType

import av

from videoprep.durable import may_write
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
    SELECT path, size, mtime_ns, ctime_ns, inode, fingerprint, kind, value
    FROM files LEFT JOIN facts USING (fingerprint) WHERE path IN ({})
"""
_FIND_CONTENTS = "SELECT kind, value FROM facts WHERE fingerprint = ?"

Key = tuple[bytes, int, int, int, int]
_VARIABLES = 500  # as many as any build of SQLite takes

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
        self._fresh: dict[Key, tuple[str, Facts]] = {}  # not written yet
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

    def get(self, keys: Iterable[Key | None]) -> dict[Key, tuple[str, Facts]]:
        """The fingerprints of files that have not changed, and the facts about them by kind."""
        wanted = {key for key in keys if key is not None}
        found = {key: self._fresh[key] for key in wanted & self._fresh.keys()}
        if self._database is None:
            return found
        left = iter(sorted(key[0] for key in wanted - found.keys()))
        try:
            while paths := list(islice(left, _VARIABLES)):
                marks = ",".join("?" * len(paths))
                for *key, fingerprint, kind, text in self._database.execute(
                    _FIND.format(marks), paths
                ):
                    if tuple(key) in wanted:
                        facts = found.setdefault(tuple(key), (fingerprint, {}))[1]
                        facts |= {kind: str(text)} if kind is not None else {}
        except sqlite3.Error as error:
            self._give_up(error)
        return found

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
        before = self._fresh.get(key, (fingerprint, {}))[1]
        self._fresh[key] = fingerprint, {**before, **facts}
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self._write()

    def _write(self) -> None:
        """Writes what has come in one short go: meanwhile no other process can."""
        if self._database is None:
            return
        try:
            with self._database:
                file = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
                self._database.executemany(file, [(*k, f) for k, (f, _) in self._fresh.items()])
                fact = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)"
                self._database.executemany(fact, _rows(self._fresh.values()))
        except sqlite3.Error as error:
            self._give_up(error)
        self._fresh.clear()
        self._written = time.monotonic()

    def _give_up(self, error: Exception) -> None:
        logger.warning(
            "probe results are not kept: %s: %r; delete the file if this goes on", self._file, error
        )
        if self._database is not None:
            self._database.close()
        self._database = None


def _rows(known: Iterable[tuple[str, Facts]]) -> Iterator[tuple[str, str, str]]:
    for fingerprint, facts in known:
        for kind, text in facts.items():
            yield fingerprint, kind, text


def cache_folder(root: Path) -> Path:
    """``ROOT/.videoprep``, or a folder of its own in the user's cache where the root is read-only.

    A link is not followed: the dataset may come from a stranger.
    """
    inside = root / ".videoprep"
    if may_write(root) and not inside.is_symlink():
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
