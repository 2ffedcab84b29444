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
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from videoprep.failpoints import reach

# What file systems without hard links answer to a link.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_LOCKED = (errno.EWOULDBLOCK, errno.EACCES)

# What file systems without locks answer.
_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK)

_LOCK_TRIES, _LOCK_SECONDS = 20, 0.005

# Seconds after which a leftover of another machine is one: locks may not reach from there to here.
_ABANDONED_SECONDS = 3600.0

# A file that was made a moment ago may not be locked yet; a busy machine makes moments long.
_FRESH_SECONDS = 60.0

# A folder may be removed, being empty, before something is put into it.
_FOLDER_TRIES = 100

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
    with naming(path):
        with _written(path, write) as temporary:
            os.replace(temporary, path)
        reach("file.placed", os.fspath(path))
        _sync_folder(path.parent)


def create_file(path: Path, write: Writer) -> bool:
    """Writes a file only if there is none yet; says whether it did.

    The name appears in one step with the whole contents: of several writers exactly one wins.
    """
    with naming(path):
        with _written(path, write) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_without_links(path, temporary.read_bytes())
        reach("file.placed", os.fspath(path))
        _sync_folder(path.parent)
        return True


def link_file(source: Path, path: Path) -> bool:
    """Gives a file another name; says whether the file system could."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return False
        _sync_folder(path.parent)
        return True


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the file system name the file that was meant: not a temporary one, not none."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and not is_temporary(Path(str(error.filename)).name)
        if named or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def write_bytes(path: Path, data: bytes) -> None:
    """`write_file` for contents that are at hand."""
    write_file(path, lambda file: _write_all(file, data))


def keep_copy(path: Path, data: bytes) -> Path:
    """Write what a file holds beside it: as ``.bak``, or with the first number that is free."""
    for number in count(1):
        copy = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        same = copy.is_file() and copy.read_bytes() == data
        if same or create_bytes(copy, data):
            return copy
    raise AssertionError


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
        locked = is_locked(path)
    except FileNotFoundError:
        return False
    if locked is not False:
        return locked is None and age > _ABANDONED_SECONDS
    host, _, process = path.name.removesuffix(_SUFFIX).rpartition("-")[0].rpartition("-")
    if not host.endswith(f".{socket.gethostname()}"):
        return age > _ABANDONED_SECONDS
    return age > _FRESH_SECONDS or not is_running(process)


def is_running(process: str) -> bool:
    """Whether there is a process of that number. It may be another one by now."""
    try:
        os.kill(int(process), 0)
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (ProcessLookupError, ValueError):
        return False
    except OSError:  # it is somebody else's, or there is no /proc
        return True
    # A zombie has let go of all it had, and only waits for its parent to notice.
    return stat.rpartition(")")[2].split()[:1] not in (["Z"], ["X"])


def is_locked(path: Path) -> bool | None:
    """Whether a process that this machine knows of holds a file's lock; None: there are no locks.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            if error.errno not in _LOCKED:
                raise
            return True
    return False


def has_record_locks(folder: Path) -> bool:
    """Whether files in a folder can be locked as SQLite does.

    A file of its own is tried: closing any other would let go of this process's locks on it.

    Raises:
        OSError: no file can be written there.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
    return True


def lock_shared(descriptor: int) -> None:
    """Locks a file together with others that do so. On a file system without locks: nothing."""
    _lock(descriptor, fcntl.LOCK_SH)


def lock_alone(descriptor: int) -> None:
    """Waits for a file to be locked by nobody, and locks it. Without locks: nothing."""
    _lock(descriptor, fcntl.LOCK_EX)


def unlock(descriptor: int) -> None:
    """Lets go of a file's lock."""
    _lock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int, how: int) -> None:
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def lock(descriptor: int) -> None:
    """Locks a file for as long as this process holds it open.

    On a file system without locks nothing is locked: there the age of files has to tell.
    """
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            if error.errno not in _LOCKED:
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


def open_new(path: Path) -> int:
    """Opens a file that is not there yet, and makes its folder if there is none.

    Another process may remove the folder in between because it is empty.
    """
    for left in reversed(range(_FOLDER_TRIES)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # 0o666 lets the umask decide, as for any file that a user makes.
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            if not left:
                raise
    raise AssertionError


def temporary_of(path: Path) -> Path:
    """Where this process writes a file that will be at ``path``; see `is_abandoned`."""
    # The host tells whether a lock can be relied on; the random part keeps writers apart.
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name}.{owner}{_SUFFIX}")


@contextmanager
def _written(path: Path, write: Writer) -> Iterator[Path]:
    """A temporary file with what is to be at ``path``. It stays locked until it is there."""
    temporary = temporary_of(path)
    with os.fdopen(open_new(temporary), "wb") as file:
        try:
            lock(file.fileno())
            reach("file.begun", os.fspath(path))
            write(file)
            file.flush()
            reach("file.written", os.fspath(path))
            os.fsync(file.fileno())
            reach("file.synced", os.fspath(path))
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
