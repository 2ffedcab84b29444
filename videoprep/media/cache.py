"""Probe results kept between runs, so that an unchanged file is opened only once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType

from videoprep.errors import MediaError
from videoprep.media.probe import MediaInfo, probe
from videoprep.media.source import signature_of

logger = logging.getLogger(__name__)

# Part of the file's name: raise it when MediaInfo or the way it is found out changes.
_VERSION = 2

# Files probed ahead: enough to keep the threads busy, few enough to keep memory flat.
_WINDOW = 256

_COLUMNS = "path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER"

Key = tuple[bytes, int, int, int, int]
Result = MediaInfo | MediaError


class ProbeCache:
    """Remembers the `MediaInfo` of files by path, size, times and inode.

    Lives in ``ROOT/.videoprep/``, or in the user's cache folder where the root is read-only. A
    cache that cannot be used costs time, never correctness: this is logged and probing goes on
    without it.
    """

    def __init__(self, root: Path) -> None:
        self._file = cache_folder(root) / f"probe-v{_VERSION}.sqlite"
        self._database: sqlite3.Connection | None = None
        try:
            self._database = _open(self._file)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def __enter__(self) -> ProbeCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._database is not None:
            self._commit()
        if self._database is not None:
            self._database.close()

    def probe_all(self, paths: Iterable[Path]) -> Iterator[Result]:
        """Probes files in parallel; gives one result a path, in the order of the paths.

        Failures are not remembered: a file that a copy has not finished writing is looked at
        anew the next time.
        """
        waiting = iter(paths)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            while window := list(islice(waiting, _WINDOW)):
                keys = [_key(path) for path in window]
                started = [
                    self._get(key) or pool.submit(_probe, path)
                    for key, path in zip(keys, window, strict=True)
                ]
                for key, item in zip(keys, started, strict=True):
                    yield self._finish(key, item)
                self._commit()

    def _finish(self, key: Key | None, item: MediaInfo | Future[Result]) -> Result:
        if isinstance(item, MediaInfo):
            return item
        result = item.result()
        if key is not None and isinstance(result, MediaInfo):
            self._put(key, result)
        return result

    def _get(self, key: Key | None) -> MediaInfo | None:
        if self._database is None or key is None:
            return None
        where = "path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND inode = ?"
        try:
            row = self._database.execute(f"SELECT info FROM probes WHERE {where}", key).fetchone()  # noqa: S608
            return MediaInfo.from_json(json.loads(row[0])) if row else None
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            self._give_up(error)
            return None

    def _put(self, key: Key, info: MediaInfo) -> None:
        if self._database is None:
            return
        row = (*key, json.dumps(info.to_json()))
        try:
            self._database.execute("INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            self._give_up(error)

    def _commit(self) -> None:
        if self._database is None:
            return
        try:
            self._database.commit()
        except sqlite3.Error as error:
            self._give_up(error)

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


def _probe(path: Path) -> Result:
    try:
        return probe(path)
    except MediaError as error:
        return error


def _key(path: Path) -> Key | None:
    try:
        return os.fsencode(path.absolute()), *signature_of(path)
    except (OSError, ValueError):
        return None  # probing it will say what is wrong


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=60)
    database.execute(f"CREATE TABLE IF NOT EXISTS probes ({_COLUMNS}, info TEXT)")
    return database
