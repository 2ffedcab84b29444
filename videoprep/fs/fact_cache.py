"""What opening files showed, kept between runs, so that an unchanged file is opened only once."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sqlite3
import stat
import struct
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from videoprep.fs.atomic import (
    has_record_locks,
    is_abandoned,
    may_write,
    temporary_of,
    write_file,
)
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.fs.mirror import Remote, remote_of
from videoprep.fs.remote_files import RemoteFile
from videoprep.fs.staging import Staging
from videoprep.fs.user_cache import user_cache

logger = logging.getLogger(__name__)

# Part of the file's name: raise it when what is kept, or the way it is found out, changes.
_VERSION = 11

# Others wait while something is not committed, and a run that is killed loses it.
_WRITE_SECONDS = 2.0

# How long another process may take to write.
_WAIT_SECONDS = 60.0

# Without locks others see what is found out when the whole file is written anew.
_PUBLISH_SECONDS = 30.0

# Contents are numbered as they come, so that those of neighbours lie together: fingerprints lie
# anywhere. Most files of a dataset have the same size, length and rate, and so the same text: it is
# kept once, under its digest.
_TABLES = """
    CREATE TABLE IF NOT EXISTS files (
        path BLOB PRIMARY KEY, signature BLOB, content INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS contents (content INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE);
    CREATE TABLE IF NOT EXISTS facts (
        content INTEGER, kind TEXT, digest BLOB, PRIMARY KEY (content, kind)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS texts (digest BLOB PRIMARY KEY, value TEXT);
"""
_FIND = """
    SELECT path, signature, fingerprint, kind, digest
    FROM files JOIN contents USING (content) LEFT JOIN facts USING (content) WHERE path IN ({})
"""
_FIND_TEXTS = "SELECT digest, value FROM texts WHERE digest IN ({})"
_FIND_CONTENTS = """
    SELECT kind, value FROM contents JOIN facts USING (content) JOIN texts USING (digest)
    WHERE fingerprint = ?
"""

_PUT_CONTENTS = "INSERT OR IGNORE INTO contents (fingerprint) VALUES (?)"
_PUT_FILE = "INSERT OR REPLACE INTO files SELECT ?, ?, content FROM contents WHERE fingerprint = ?"
_PUT_FACT = "INSERT OR REPLACE INTO facts SELECT content, ?, ? FROM contents WHERE fingerprint = ?"
_PUT_TEXT = "INSERT OR REPLACE INTO texts VALUES (?, ?)"

# Threads that read files: hashing is quicker than most disks.
_HASHING = 4
_HASHED_AHEAD = 64

_VARIABLES = 512  # fewer than any build of SQLite takes at once
_DIGEST_BYTES = 16

Key = tuple[bytes, bytes]
"""A file's path, and what changes when it is written."""

_SIGNATURE = struct.Struct("<QqqQ")
_CODEC = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

Facts = dict[str, str]
"""What is known of a file by kind, each as JSON text: ``{"value": …}`` or ``{"error": …}``."""


class FactCache:
    """Remembers what is known of files, by the fingerprint of their contents.

    A file's size, times and inode tell whether its fingerprint still holds. Lives in
    ``ROOT/.videoprep/``, or in the user's cache folder where the root is read-only. A cache that
    cannot be used costs time, never correctness: this is logged, and all goes on without it.

    On a file system without locks each process works on a copy of its own, which then replaces the
    file: of several that run at once the last one's facts stay.

    Attributes:
        empty: whether nothing was known when it was opened.
    """

    def __init__(self, root: Path) -> None:
        # Another FFmpeg may read a file in another way.
        name = f"facts-v{_VERSION}-av{version('av')}.sqlite"
        self._file = cache_folder(root) / name
        self._database: sqlite3.Connection | None = None
        self._fresh: dict[Key, tuple[str, Facts]] = {}  # not written yet
        self._written = self._published = time.monotonic()
        self._copy: Path | None = None  # what is open where there are no locks
        self._unpublished = False
        self.empty = True
        try:
            self._database = self._open()
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
        self._write(last=True)
        self._close()

    def _open(self) -> sqlite3.Connection:
        """Opens the database; a link or a FIFO in its place may be a stranger's."""
        file = self._file
        file.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
            raise OSError("is not a regular file")
        try:
            return _connect(os.fspath(file))
        except sqlite3.OperationalError:
            # SQLite takes a file system without locks for one where another process has the lock.
            if has_record_locks(file.parent):
                return _connect(os.fspath(file), wait=_WAIT_SECONDS)
        for left in file.parent.glob(f".{file.name}.*"):
            if is_abandoned(left):
                left.unlink(missing_ok=True)
        self._copy = temporary_of(file)
        if file.exists():
            shutil.copyfile(file, self._copy)
        return _connect(f"file:{quote(os.fspath(self._copy.absolute()))}?nolock=1", uri=True)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)

    def get(
        self, keys: Iterable[Key | None], kinds: Collection[str] | None = None
    ) -> dict[Key, tuple[str, Facts]]:
        """The fingerprints of files that have not changed, and the facts about them by kind.

        Args:
            keys: of the files; None stands for one that cannot be recognized.
            kinds: of facts. Those of other kinds may be large, and are not read. None: all.
        """
        wanted = {key for key in keys if key is not None}
        found = {key: self._fresh[key] for key in wanted & self._fresh.keys()}
        if self._database is None:
            return found
        try:
            return self._stored(wanted - found.keys(), self._database, kinds) | found
        except sqlite3.Error as error:
            self._give_up(error)
            return found

    def _stored(
        self, wanted: set[Key], database: sqlite3.Connection, kinds: Collection[str] | None
    ) -> dict[Key, tuple[str, Facts]]:
        found: dict[Key, tuple[str, Facts]] = {}
        digests = []
        for path, signature, fingerprint, kind, digest in _select(
            database, _FIND, sorted(path for path, _ in wanted)
        ):
            key = path, signature
            if key in wanted and isinstance(fingerprint, str):
                facts = found.setdefault(key, (fingerprint, {}))[1]
                if digest is not None and (kinds is None or kind in kinds):
                    digests.append((facts, kind, digest))
        texts = dict(_select(database, _FIND_TEXTS, list({digest for *_, digest in digests})))
        for facts, kind, digest in digests:
            if digest in texts:
                facts[kind] = str(texts[digest])
        return found

    def of_contents(self, fingerprint: str, kinds: Collection[str] | None = None) -> Facts:
        """The facts of each kind about contents that may have lain elsewhere before."""
        if self._database is None:
            return {}
        try:
            rows = self._database.execute(_FIND_CONTENTS, (fingerprint,))
            return {kind: str(text) for kind, text in rows if kinds is None or kind in kinds}
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

    def flush(self) -> None:
        """Write what is remembered now: it took long to find out."""
        self._write()

    def _write(self, *, last: bool = False) -> None:
        """Writes what has come in one short go: meanwhile no other process can."""
        if self._database is None:
            return
        try:
            if self._fresh:
                self._commit(self._database)
            if self._copy is not None:
                self._publish(self._copy, last)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        self._fresh.clear()
        self._written = time.monotonic()

    def _commit(self, database: sqlite3.Connection) -> None:
        contents = [(fingerprint,) for fingerprint, _ in self._fresh.values()]
        files = ((*key, fingerprint) for key, (fingerprint, _) in self._fresh.items())
        facts = [
            (kind, _digest(text), fingerprint, text)
            for fingerprint, facts in self._fresh.values()
            for kind, text in facts.items()
        ]
        texts = {digest: text for _, digest, _, text in facts}
        with database:
            database.executemany(_PUT_CONTENTS, contents)
            database.executemany(_PUT_FILE, files)
            database.executemany(_PUT_FACT, (fact[:3] for fact in facts))
            database.executemany(_PUT_TEXT, texts.items())
        self._unpublished = True

    def _publish(self, copy: Path, last: bool) -> None:
        """Puts the copy that this process works on in the place of the file, now and then."""
        due = last or time.monotonic() - self._published > _PUBLISH_SECONDS
        if not self._unpublished or not due:
            return
        with copy.open("rb") as source:
            write_file(self._file, lambda target: shutil.copyfileobj(source, target))
        self._published, self._unpublished = time.monotonic(), False

    def _give_up(self, error: Exception) -> None:
        logger.warning(
            "probe results are not kept, so that the next command looks into all files again: "
            "%s: %s; %s",
            self._file, error, _advice(error, self._file),
        )  # fmt: skip
        self._close()


def _select(database: sqlite3.Connection, query: str, values: list[bytes]) -> Iterator[Any]:
    """The rows for some values of a column, in batches."""
    left = iter(values)
    while batch := list(islice(left, _VARIABLES)):
        yield from database.execute(query.format(",".join("?" * len(batch))), batch)


def _digest(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def cache_folder(root: Path) -> Path:
    """``ROOT/.videoprep``, or a folder of its own in the user's cache where the root is read-only.

    A link is not followed: the dataset may come from a stranger. That of a remote folder lies
    beside what is downloaded, out of reach of the names in it.
    """
    remote = remote_of(root)
    if remote is not None:
        return remote.top / ".videoprep"
    inside = root / ".videoprep"
    if may_write(root) and not inside.is_symlink():
        return inside
    return user_cache() / hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]


def key_of(path: str | os.PathLike[str]) -> Key | None:
    """A file's path, size, times and inode; None where they cannot be found out."""
    try:
        name = os.fspath(path)
        status = os.stat(name)
        signature = _SIGNATURE.pack(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        )
        return _absolute(name).encode(*_CODEC), signature
    except (OSError, ValueError, struct.error):
        return None  # opening it will say what is wrong


def fingerprints_of(root: Path, paths: Sequence[str]) -> list[str]:
    """Return the fingerprints of files of a data root, reading those that are not known.

    Empty for a file that cannot be read, and for one behind a URL that was never here.
    """
    with FactCache(root) as cache:
        keys = keys_of(root, paths)
        known = cache.get(keys, kinds=())  # the facts are long, and nobody wants them here
        is_remote = remote_of(root) is not None
        unknown = {
            key: path
            for key, path in zip(keys, paths, strict=True)
            if key is not None and key not in known and not is_remote
        }
        found: dict[Key | None, str] = {key: fingerprint for key, (fingerprint, _) in known.items()}
        with ThreadPoolExecutor(_HASHING) as threads:
            for key, fingerprint in _fingerprints(threads, unknown.items()):
                found[key] = fingerprint
                if fingerprint:
                    cache.put(key, fingerprint, {})
    return [found.get(key, "") for key in keys]


def _fingerprints(
    threads: ThreadPoolExecutor, files: Iterable[tuple[Key, str]]
) -> Iterator[tuple[Key, str]]:
    """The fingerprint of each file, in order; only so many are begun before they are asked for."""
    ahead: deque[tuple[Key, Future[str]]] = deque()
    for key, path in files:
        ahead.append((key, threads.submit(_fingerprint, path)))
        if len(ahead) >= _HASHED_AHEAD:
            first, hashed = ahead.popleft()
            yield first, hashed.result()
    for key, hashed in ahead:
        yield key, hashed.result()


def _fingerprint(path: str) -> str:
    try:
        return fingerprint_of(Path(path))
    except OSError:
        return ""  # opening it will say what is wrong


def keys_of(root: Path, paths: Iterable[str | os.PathLike[str]]) -> list[Key | None]:
    """`key_of` for files of a data root; in a remote one by what its listing says of them."""
    remote = remote_of(root)
    if remote is None:
        return [key_of(path) for path in paths]
    listing = remote.listing()
    names = ((path, remote.name_of(path)) for path in paths)
    return [
        key_of(path) if name is None else _remote_key(remote, name, listing.get(name))
        for path, name in names
    ]


def staged_key(remote: Remote, path: Path) -> Key | None:
    """The key of a remote file as it was brought to this machine."""
    name = remote.name_of(path)
    if name is None:
        return key_of(path)
    return _remote_key(remote, name, Staging.of(remote.root).version(path))


def _remote_key(remote: Remote, name: str, found: RemoteFile | None) -> Key | None:
    """A remote file's URL, size and version; None where the backend tells too little."""
    if found is None or not found.version:
        return None
    signature = f"{found.size} {found.version}".encode("utf-8", "surrogatepass")
    return f"{remote.url}/{name}".encode("utf-8", "surrogatepass"), signature


def _absolute(name: str) -> str:
    """The same as `os.path.abspath`, and several times as fast on names without detours."""
    if not name.startswith("/"):
        name = f"{os.getcwd()}/{name}"
    detour = "//" in name or "/." in name or name.endswith("/")
    return os.path.normpath(name) if detour else name


def _connect(name: str, *, wait: float = 0.0, uri: bool = False) -> sqlite3.Connection:
    # A generator may be closed by another thread than the one that used it.
    database = sqlite3.connect(name, timeout=wait, check_same_thread=False, uri=uri)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        database.executescript(_TABLES)
        database.execute(f"PRAGMA busy_timeout = {int(_WAIT_SECONDS * 1000)}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _advice(error: Exception, file: Path) -> str:
    """What to do about a cache that cannot be used."""
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return "wait until the other process that writes to it has ended"
    if isinstance(error, OSError):
        return f"make {file.parent} a folder that files can be written to"
    return "delete the file if this goes on"
