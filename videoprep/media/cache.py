"""Probe results kept between runs, so that an unchanged file is opened only once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from videoprep.errors import MediaError
from videoprep.media.probe import MediaInfo, probe

logger = logging.getLogger(__name__)

# Part of the file's name: raise it when MediaInfo or the way it is found out changes.
_VERSION = 1

# Files probed at a time: enough to keep the threads busy, few enough to keep memory flat.
_WINDOW = 256


class ProbeCache:
    """Remembers the `MediaInfo` of files by path, size and modification time.

    Lives in ``ROOT/.videoprep/``, or in the user's cache folder where the root is read-only. A
    cache that cannot be written costs time, never correctness: this is logged and probing goes
    on without it.
    """

    def __init__(self, root: Path) -> None:
        self._database = _open(root)

    def __enter__(self) -> ProbeCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.commit()
        self._database.close()

    def probe_all(self, paths: Iterable[Path]) -> Iterator[MediaInfo | MediaError]:
        """Probes files in parallel; gives one result a path, in the order of the paths.

        Failures are not remembered: a file that a copy has not finished writing is looked at
        anew the next time.
        """
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            window: list[Path] = []
            for path in paths:
                window.append(path)
                if len(window) == _WINDOW:
                    yield from self._probe_window(window, pool)
                    window = []
            yield from self._probe_window(window, pool)

    def _probe_window(
        self, paths: Sequence[Path], pool: ThreadPoolExecutor
    ) -> list[MediaInfo | MediaError]:
        keys = [_key(path) for path in paths]
        known = [self._get(key) if key else None for key in keys]
        fresh = pool.map(_probe, [p for p, info in zip(paths, known, strict=True) if not info])
        results: list[MediaInfo | MediaError] = []
        for key, info in zip(keys, known, strict=True):
            result = info or next(fresh)
            if info is None and key and isinstance(result, MediaInfo):
                self._put(key, result)
            results.append(result)
        self._database.commit()
        return results

    def _get(self, key: tuple[str, int, int]) -> MediaInfo | None:
        row = self._database.execute(
            "SELECT info FROM probes WHERE path = ? AND size = ? AND mtime_ns = ?", key
        ).fetchone()
        return MediaInfo.from_json(json.loads(row[0])) if row else None

    def _put(self, key: tuple[str, int, int], info: MediaInfo) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?)", (*key, json.dumps(info.to_json()))
        )


def cache_folder(root: Path) -> Path:
    """``ROOT/.videoprep``, or a folder of its own in the user's cache where the root is read-only.

    A folder without any write bit is meant to stay as it is, even where the user (root) could
    write to it all the same.
    """
    if root.stat().st_mode & 0o222 and os.access(root, os.W_OK):
        return root / ".videoprep"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return base / "videoprep" / name


def _probe(path: Path) -> MediaInfo | MediaError:
    try:
        return probe(path)
    except MediaError as error:
        return error


def _key(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # probing it will say what is wrong
    return os.fspath(path.absolute()), status.st_size, status.st_mtime_ns


def _open(root: Path) -> sqlite3.Connection:
    file = cache_folder(root) / f"probe-v{_VERSION}.sqlite"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _with_table(sqlite3.connect(file, timeout=60))
    except (OSError, sqlite3.Error) as error:
        logger.warning("probe results are not kept: %s: %s", file, error)
        return _with_table(sqlite3.connect(":memory:"))


def _with_table(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute(
        "CREATE TABLE IF NOT EXISTS probes "
        "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, info TEXT)"
    )
    return database
