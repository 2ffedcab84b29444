"""Brings files of a remote dataset to this machine for as long as they are needed.

A file that is here stays until room is needed; then those that were not used for longest go first.
What is in use has a lock, which every process of this machine respects and the kernel lets go of
when its process ends in any way. On a file system without locks nothing is removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import posixpath
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from videoprep.errors import SourceError, VideoprepError
from videoprep.fs.atomic import (
    is_abandoned,
    is_temporary,
    lock,
    lock_alone,
    lock_shared,
    unlock,
)
from videoprep.fs.mirror import Remote, mirrors, remote_of
from videoprep.fs.remote_files import RemoteFile

_GIB = 1 << 30
_MOST_GIB = 20.0

# So much of the disk stays free for others, where it can.
_RESERVE = _GIB

# Others fill the mirrors, too: what they hold is counted again after so many seconds.
_COUNT_SECONDS = 10.0

# When room is made, a tenth more is made than is needed, so that it is seldom.
_SPARE = 0.1

# Different files are downloaded at once unless their names share a lock.
_LOCKS = 256


class Staging:
    """Makes sure that videos are on this machine while they are read.

    This one is for ordinary folders: it does nothing. `of` gives the right one.
    """

    @staticmethod
    def of(root: Path) -> Staging:
        """The staging of a data root; the same object for the same root."""
        return _staging_of(Path(os.path.abspath(root)))

    @property
    def is_remote(self) -> bool:
        """Whether files have to be brought here at all."""
        return False

    def fetch(self, path: Path) -> None:
        """Makes sure that a file is here, as it is now; it stays until `done`.

        May be called by several threads, and several times; each call needs its `done`. Files
        outside of the root are left alone.

        Raises:
            SourceError: it is gone, or cannot be brought here.
        """

    def done(self, path: Path) -> None:
        """Says that a file that was fetched is not needed any more."""

    def version(self, path: Path) -> RemoteFile | None:
        """What was brought here, of a remote file that is in use; else None."""
        return None

    @contextmanager
    def here(self, path: Path) -> Iterator[None]:
        """`fetch`, and `done` at the block's end."""
        self.fetch(path)
        try:
            yield
        finally:
            self.done(path)


@cache
def _staging_of(root: Path) -> Staging:
    remote = remote_of(root)
    return Staging() if remote is None else _RemoteStaging(remote)


def bring(root: Path, names: Iterable[str]) -> None:
    """Brings some files of a mirror up to date; those that the remote folder has not are removed.

    They stay for as long as this process runs. In an ordinary folder nothing is done.

    Raises:
        SourceError: one cannot be brought here.
        OSError: the remote folder cannot be read.
    """
    remote = remote_of(root)
    if remote is None:
        return
    for name in dict.fromkeys(posixpath.normpath(name) for name in names):
        path = root / name
        if remote.name_of(path) is None or name == ".":
            continue  # outside: who reads it will say so
        if remote.files.size(name) is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        else:
            staging = Staging.of(root)
            if staging.version(path) is not None:  # from the last time, and maybe old by now
                staging.done(path)
            staging.fetch(path)


@dataclass(slots=True)
class _Held:
    """A file that is in use: an open descriptor with a lock, and how often it was fetched."""

    descriptor: int
    found: RemoteFile
    count: int = 1


class _RemoteStaging(Staging):
    """That of a mirror."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._held: dict[str, _Held] = {}
        self._lock = Lock()
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Staging.of, (self._remote.root,)

    @property
    def is_remote(self) -> bool:
        return True

    def fetch(self, path: Path) -> None:
        name = self._remote.name_of(path)
        if name is None or self._hold_again(name):
            return
        try:
            with self._alone(name):
                if not self._hold_again(name):
                    held = self._bring(name)
                    with self._lock:
                        self._held[name] = held
        except OSError as error:
            raise _cannot(error, self._remote.files.where(name)) from error

    def done(self, path: Path) -> None:
        name = self._remote.name_of(path)
        if name is None:
            return
        self._forget_parent()
        with self._lock:
            held = self._held.get(name)
            if held is None:
                return
            held.count -= 1
            if held.count:
                return
            del self._held[name]
        # Not only closed: a forked process may have inherited the descriptor.
        unlock(held.descriptor)
        os.close(held.descriptor)

    def version(self, path: Path) -> RemoteFile | None:
        with self._lock:
            held = self._held.get(self._remote.name_of(path) or "")
        return None if held is None else held.found

    def _hold_again(self, name: str) -> bool:
        self._forget_parent()
        with self._lock:
            held = self._held.get(name)
            if held is not None:
                held.count += 1
        return held is not None

    def _forget_parent(self) -> None:
        """After a fork: what the parent holds is the parent's."""
        if self._pid != os.getpid():
            self._held, self._lock, self._pid = {}, Lock(), os.getpid()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One thread of one process brings a file; others wait, and find it there."""
        folder = self._remote.top / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        where = f"{self._remote.url}/{name}".encode("utf-8", "surrogatepass")
        number = hashlib.sha256(where).digest()[0] % _LOCKS
        with (folder / f"{number:02x}").open("wb") as file:
            lock_alone(file.fileno())
            yield

    def _bring(self, name: str) -> _Held:
        path = self._remote.root / name
        found = self._remote.files.stat(name)
        descriptor = _open_current(path, found)
        if descriptor is None:
            _make_room(found.size)
            self._download(name, path, found)
            descriptor = _open_locked(path)
        if descriptor is None:
            raise OSError(errno.EAGAIN, "it was removed again at once")
        _mark_used(path)
        return _Held(descriptor, found)

    def _download(self, name: str, path: Path, found: RemoteFile) -> None:
        """A partial download has another name, so that it never looks whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        temporary = path.with_name(f".{owner}.tmp")
        try:
            with temporary.open("xb") as file:
                lock(file.fileno())
                self._remote.files.download(name, found, file)
            if self._remote.files.stat(name) != found:  # it may be a mixture of both
                raise OSError(errno.EAGAIN, "it was written while it was downloaded")
            os.utime(temporary, (time.time(), _stamp(found)))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _room.used += found.size


def _stamp(found: RemoteFile) -> int:
    """Whole seconds that a file's modification time is set to: they stand for its version."""
    digest = hashlib.sha256(f"{found.size} {found.version}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _open_current(path: Path, found: RemoteFile) -> int | None:
    """Opens and locks a file that is here, if it is what the remote folder has now."""
    if not found.version:  # the backend does not tell
        return None
    descriptor = _open_locked(path)
    if descriptor is None:
        return None
    status = os.fstat(descriptor)
    if (status.st_size, int(status.st_mtime)) == (found.size, _stamp(found)):
        return descriptor
    os.close(descriptor)
    return None


def _open_locked(path: Path) -> int | None:
    """Opens a file with a lock that keeps others from removing it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    lock_shared(descriptor)
    try:
        same = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:  # it was removed between both
        same = False
    if same:
        return descriptor
    os.close(descriptor)
    return None


def _mark_used(path: Path) -> None:
    """Sets the access time, by which those that go first are chosen."""
    status = path.stat()
    if time.time() - status.st_atime > _COUNT_SECONDS:
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


@dataclass(slots=True)
class _Room:
    """How much all mirrors hold, as far as this process knows."""

    used: int = 0
    counted: float = -_COUNT_SECONDS


_room = _Room()
_making_room = Lock()


def _make_room(size: int) -> None:
    """Removes what was not used for longest, until there is room for a file.

    A file is downloaded even where it alone is more than may lie here: without it nothing goes on.
    """
    with _making_room:
        limit = _limit()
        stale = time.monotonic() - _room.counted > _COUNT_SECONDS
        if not stale and _room.used + size <= limit and _free() - size >= _RESERVE:
            return
        files = sorted(_staged_files())
        _room.used = sum(bytes_ for _, bytes_, _ in files)
        _room.counted = time.monotonic()
        too_much = max(_room.used + size - limit, size + _RESERVE - _free())
        if too_much <= 0:
            return
        too_much += int(limit * _SPARE)
        for _, bytes_, path in files:
            if too_much <= 0:
                break
            if _remove_unused(path):
                too_much -= bytes_
                _room.used -= bytes_


def _limit() -> int:
    text = os.environ.get("VIDEOPREP_STAGING_GIB", str(_MOST_GIB))
    try:
        return int(float(text) * _GIB)
    except (ValueError, OverflowError) as error:
        raise VideoprepError(
            f"VIDEOPREP_STAGING_GIB is {text!r}", remedy="give a number of GiB, such as 20"
        ) from error


def _free() -> int:
    return shutil.disk_usage(mirrors()).free


def _staged_files() -> Iterator[tuple[float, int, str]]:
    """When each file of all mirrors was used last, its size and path."""
    for top in _folders(mirrors()):
        for folder, _, names in os.walk(os.path.join(top, "data")):
            for name in names:
                path = os.path.join(folder, name)
                if is_temporary(name) and not is_abandoned(Path(path)):
                    continue
                with suppress(FileNotFoundError):
                    status = os.stat(path, follow_symlinks=False)
                    yield status.st_atime, status.st_size, path


def _folders(folder: Path) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _remove_unused(path: str) -> bool:
    """Removes a file, unless a process uses it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _cannot(error: OSError, url: str) -> SourceError:
    here = "make room on the disk, or put the mirrors elsewhere with VIDEOPREP_MIRRORS"
    again = "look whether it is there and may be read, and run the same command again"
    if error.errno == errno.ENOENT:
        return SourceError("the video is gone", where=url, remedy="bring it back, or plan anew")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return SourceError(
        f"cannot be brought to this machine: {error.strerror or error}",
        where=url,
        remedy=here if full else again,
    )
