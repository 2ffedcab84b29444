"""Files that are either whole or not there, also after a power cut.

A file is written under a temporary name in its own folder, flushed and fsynced, renamed into
place, and the folder fsynced so that the new name survives too. Modes follow the umask.

Its writer holds a lock on a temporary file. The kernel lets go of it when the process ends in any
way, so that a leftover can be told from a file that is being written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from videoprep.failpoints import reach

# What file systems without hard links answer to a link.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

# Locked by another process, or a file system that knows no locks.
_NO_LOCK = (errno.EWOULDBLOCK, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)

_LOCK_TRIES, _LOCK_SECONDS = 20, 0.005

# Seconds after which a leftover of another machine is one: locks may not reach from there to here.
_ABANDONED_SECONDS = 3600.0

# A file that was made a moment ago may not be locked yet.
_FRESH_SECONDS = 5.0

_SUFFIX = ".tmp"

Writer = Callable[[BinaryIO], None]


def may_write(folder: Path) -> bool:
    """Whether files may be put into a folder.

    One without any write bit is meant to stay as it is, even where the user (root) could write to
    it all the same.
    """
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def write_file(path: Path, write: Writer) -> None:
    """Writes a file, replacing one that is there."""
    temporary = _write_temporary(path, write)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    reach("file.placed", path.name)
    _sync_folder(path.parent)


def create_file(path: Path, write: Writer) -> bool:
    """Writes a file only if there is none yet; says whether it did.

    The name appears in one step with the whole contents: of several writers exactly one wins.
    """
    temporary = _write_temporary(path, write)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_without_links(path, temporary.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
    reach("file.placed", path.name)
    _sync_folder(path.parent)
    return True


def write_bytes(path: Path, data: bytes) -> None:
    """`write_file` for contents that are at hand."""
    write_file(path, lambda file: _write_all(file, data))


def create_bytes(path: Path, data: bytes) -> bool:
    """`create_file` for contents that are at hand."""
    return create_file(path, lambda file: _write_all(file, data))


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that is being written, or was left over."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def is_abandoned(path: Path) -> bool:
    """Whether nobody holds the lock on a file any more: its owner is dead.

    A file of another machine has to be old, too, since locks need not reach from there to here.
    """
    try:
        age = time.time() - path.stat().st_mtime
        if is_locked(path):
            return False
    except FileNotFoundError:
        return False
    own = f".{socket.gethostname()}-" in path.name
    return age > (_FRESH_SECONDS if own else _ABANDONED_SECONDS)


def is_locked(path: Path) -> bool:
    """Whether a process that this machine knows of holds a file's lock.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCK:
                raise
            return True
    return False


def lock(descriptor: int) -> None:
    """Locks a file for as long as this process holds it open.

    On a file system without locks nothing is locked: there the age of files has to tell.
    """
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCK:
                raise
            time.sleep(_LOCK_SECONDS)  # another process is just looking whether it is locked
        else:
            return


def _create_without_links(path: Path, data: bytes) -> bool:
    """For file systems without hard links: exactly one writer still wins.

    A power cut can leave a torn file, which its reader has to recognise.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return True


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _write_temporary(path: Path, write: Writer) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The host tells whether a lock can be relied on; the random part keeps writers apart.
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{owner}{_SUFFIX}")
    # 0o666 lets the umask decide, as for any file that a user makes.
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:  # the user knows the final name, not the temporary one
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            lock(descriptor)
            reach("file.begun", path.name)
            write(file)
            file.flush()
            reach("file.written", path.name)
            os.fsync(file.fileno())
            reach("file.synced", path.name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
