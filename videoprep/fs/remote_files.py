"""A folder of files behind an fsspec URL: an object store such as S3, or anything fsspec knows.

An object store shows an object whole or not at all, and keeps it once it says so. Elsewhere a file
is uploaded under a temporary name and moved.
"""

from __future__ import annotations

import errno
import inspect
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from videoprep.errors import VideoprepError
from videoprep.failpoints import reach
from videoprep.fs.atomic import Writer
from videoprep.fs.files import Files

# Their objects appear whole. What else fsspec knows may show a file while it is being written.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "tos"}

_PACKAGES = {
    "s3": "videoprep[s3]",
    "s3a": "videoprep[s3]",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "oci": "ocifs",
    "oss": "ossfs",
}

# s3fs holds so many parts of a file in memory at once while it uploads.
_S3_UPLOAD = {"chunksize": 1 << 24, "max_concurrency": 4}

# A request for a piece costs a round trip: pieces are not smaller than this.
_PIECE = 1 << 24

# A conditional write that met another one at the same moment is told to try again.
_ATTEMPTS = 5

_NUMBERS: tuple[tuple[type[BaseException], int], ...] = (
    (FileNotFoundError, errno.ENOENT),
    (PermissionError, errno.EACCES),
    (FileExistsError, errno.EEXIST),
    (IsADirectoryError, errno.EISDIR),
    (NotADirectoryError, errno.ENOTDIR),
    (TimeoutError, errno.ETIMEDOUT),
    (ConnectionError, errno.ECONNREFUSED),
)

# Where the backend cannot create a file only if there is none, threads of one process still can.
_creating = threading.Lock()


def _renew_lock() -> None:
    global _creating
    _creating = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)

# Closing what a forked process has inherited would wait for a thread that is not there.
_inherited: list[Any] = []


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a listing says of a file.

    Attributes:
        size: in bytes.
        version: changes when the file is written: its etag, checksum or times; empty where the
            backend tells none.
    """

    size: int
    version: str


class RemoteFiles(Files):
    """A folder behind a URL.

    Credentials, endpoints and the like are the backend's own: its environment variables and files,
    and fsspec's configuration. Nothing that was listed is remembered, since others write, too.

    May be pickled, and used after a fork and by several threads.

    Args:
        url: such as ``s3://bucket/latents``.

    Raises:
        VideoprepError: no backend for the URL is installed, or the URL names nothing.
    """

    def __init__(self, url: str) -> None:
        self.location = url if url.endswith("://") else url.rstrip("/")
        self._protocol = url.partition("://")[0]
        self._system: Any = None
        self._pid = 0
        self._folder = _stripped(url)

    def __reduce__(self) -> tuple[type[RemoteFiles], tuple[str]]:
        return RemoteFiles, (self.location,)

    def read(self, name: str) -> bytes:
        with self._errors(name):
            return bytes(self._fs.cat_file(self._at(name)))

    def read_range(self, name: str, start: int, size: int) -> bytes:
        with self._errors(name):
            if size <= 0:  # no backend can ask for nothing
                self._fs.info(self._at(name))
                return b""
            try:
                return bytes(self._fs.cat_file(self._at(name), start=start, end=start + size))
            except OSError as error:
                if _status(error) == 416:  # the range begins behind the file's end
                    return b""
                raise

    def size(self, name: str) -> int | None:
        with self._errors(name):
            try:
                info = self._fs.info(self._at(name))
            except (FileNotFoundError, NotADirectoryError) as error:
                _require_bucket(error)
                return None
            return int(info["size"]) if info["type"] == "file" else None

    def names(self, folder: str = "") -> list[str]:
        return self._entries(folder, "file")

    def folders(self, folder: str = "") -> list[str]:
        return self._entries(folder, "directory")

    def write(self, name: str, write: Writer) -> None:
        base = PurePosixPath(name).name
        # It has no name, so that nothing is left behind if the process is killed.
        with tempfile.TemporaryFile() as file:
            reach("file.begun", base)
            write(file)
            file.flush()
            reach("file.written", base)
            with self._errors(name):
                self._upload(file.fileno(), name)

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file only if there is none yet; says whether it did.

        S3, Google Cloud Storage and other object stores whose fsspec backend knows conditional
        writes let exactly one of several writers win. Elsewhere it is looked up first: exactly one
        thread of this process wins, and processes that do this at the very same moment may
        overwrite each other. The answer is no, too, where a write arrived whose confirmation was
        lost on the way.
        """
        base = PurePosixPath(name).name
        for point in ("file.begun", "file.written", "file.synced"):
            reach(point, base)
        with self._errors(name):
            made = self._create(name, data)
        if made:
            reach("file.placed", base)
        return made

    def delete(self, name: str) -> None:
        with self._errors(name):
            try:
                self._fs.rm_file(self._at(name))
            except FileNotFoundError as error:
                _require_bucket(error)

    def path(self, name: str) -> None:
        return None

    def chunks(self, name: str, size: int = 1 << 22) -> Iterator[bytes]:
        total = self.size(name)
        if total is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.where(name))
        for piece in self._pieces(name, total, max(size, _PIECE)):
            for at in range(0, len(piece), size):
                yield piece[at : at + size]

    def download(self, name: str, found: RemoteFile, file: BinaryIO) -> None:
        """Copies a file that was looked up into an open one. Memory stays flat.

        Raises:
            FileNotFoundError: there is no such file any more.
            OSError: it cannot be read, or has become shorter.
        """
        for piece in self._pieces(name, found.size, _PIECE):
            file.write(piece)

    def _pieces(self, name: str, total: int, size: int) -> Iterator[bytes]:
        start = 0
        while start < total:
            piece = self.read_range(name, start, min(size, total - start))
            if not piece:
                raise OSError(errno.EIO, "the file became shorter meanwhile", self.where(name))
            yield piece
            start += len(piece)

    def walk(self) -> dict[str, RemoteFile]:
        """All files of the folder and of those in it, by their names relative to it.

        Raises:
            OSError: the folder cannot be listed.
        """
        prefix = self._folder.rstrip("/") + "/"
        with self._errors(""):
            self._fs.invalidate_cache()
            found = self._fs.find(self._folder, detail=True)
        # S3 may hold an object that stands for the folder itself.
        return {
            path[len(prefix) :]: RemoteFile(int(info["size"] or 0), _version(info))
            for path, info in found.items()
            if path.startswith(prefix) and not path.endswith("/") and info["type"] == "file"
        }

    def stat(self, name: str) -> RemoteFile:
        """What the backend says of a file.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be looked up.
        """
        with self._errors(name):
            info = self._fs.info(self._at(name))
        return RemoteFile(int(info["size"] or 0), _version(info))

    @property
    def _fs(self) -> Any:
        """The backend; another one after a fork, which its threads and connections do not survive.

        It is not shared with others, who may want listings to be remembered.
        """
        if self._system is None or self._pid != os.getpid():
            from fsspec import url_to_fs
            from fsspec.dircache import DirCache

            if self._system is not None:
                _inherited.append(self._system)
            system, _ = url_to_fs(self.location, skip_instance_cache=True)
            system.dircache = DirCache(use_listings_cache=False)
            self._system, self._pid = system, os.getpid()
        return self._system

    def _at(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}" if name else self._folder

    def _entries(self, folder: str, kind: str) -> list[str]:
        path = self._at(folder).rstrip("/")
        with self._errors(folder):
            self._fs.invalidate_cache(path)
            try:
                entries = self._fs.ls(path, detail=True)
            except FileNotFoundError as error:
                _require_bucket(error)
                return []
        names = (entry["name"].rstrip("/") for entry in entries if entry["type"] == kind)
        inside = (name[len(path) + 1 :] for name in names if name.startswith(f"{path}/"))
        return sorted(name for name in inside if name and "/" not in name)

    def _upload(self, descriptor: int, name: str) -> None:
        """Puts an open file in place."""
        fs, final = self._fs, self._at(name)
        base = PurePosixPath(name).name
        source = f"/proc/self/fd/{descriptor}"
        if self._protocol in _OBJECT_STORES:
            reach("file.synced", base)
            fs.put_file(source, final, **(_S3_UPLOAD if self._protocol in ("s3", "s3a") else {}))
        else:
            fs.makedirs(fs._parent(final), exist_ok=True)
            temporary = _temporary(final)
            try:
                fs.put_file(source, temporary)
                reach("file.synced", base)
                fs.mv(temporary, final)
            except BaseException:
                _remove(fs, temporary)
                raise
        reach("file.placed", base)

    def _create(self, name: str, data: bytes) -> bool:
        fs, path = self._fs, self._at(name)
        if not self._is_conditional():
            with _creating:
                if self.size(name) is not None:
                    return False
                self.write_bytes(name, data)
                return True
        # Servers that only speak like S3 may not know of conditions, and overwrite.
        if self.size(name) is not None:
            return False
        for attempt in range(_ATTEMPTS):
            try:
                fs.pipe_file(path, data, mode="create")
                return True
            except FileExistsError:
                return False
            except OSError as error:
                if _status(error) == 412:
                    return False
                if _status(error) == 501:  # the server knows no conditions, and says so
                    fs.pipe_file(path, data)
                    return True
                if _status(error) != 409 or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable")

    def _is_conditional(self) -> bool:
        """Whether the backend can write a file only if there is none, in one step."""
        pipe = getattr(self._fs, "_pipe_file", None)
        known = pipe is not None and "mode" in inspect.signature(pipe).parameters
        return self._protocol in _OBJECT_STORES and known

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Whatever a backend raises becomes an `OSError` that names the URL."""
        try:
            yield
        except (VideoprepError, MemoryError):
            raise
        except Exception as error:
            where = self.where(name) if name else self.location
            raise _as_os_error(error, where) from error


def _stripped(url: str) -> str:
    """The folder's path as the backend writes it.

    Raises:
        VideoprepError: there is no such backend, or it is not installed.
    """
    from fsspec import get_filesystem_class

    protocol = url.partition("://")[0]
    try:
        path = get_filesystem_class(protocol)._strip_protocol(url)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        raise VideoprepError(
            f"{protocol}:// needs a package that is not installed: {error}",
            where=url,
            remedy=f"pip install '{package}'" if package else "install what it names",
        ) from error
    except ValueError as error:
        raise VideoprepError(
            f"{protocol}:// is not known",
            where=url,
            remedy="write s3://bucket/folder, another URL that fsspec knows, or a path",
        ) from error
    if not path and protocol in _OBJECT_STORES:
        raise VideoprepError("names no bucket", where=url, remedy="write s3://bucket/folder")
    return str(path)


def _temporary(path: str) -> str:
    """A name beside the final one, as `videoprep.fs.atomic.is_temporary` knows them."""
    folder, _, base = path.rpartition("/")
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return f"{folder}/.{base}.{owner}.tmp"


def _remove(fs: Any, path: str) -> None:
    """Removes what is left of a failed upload, if it can be; the error that led here is told."""
    with suppress(OSError):
        fs.rm_file(path)


def _version(info: dict[str, Any]) -> str:
    """What a backend says of a file that changes when it is written."""
    for name in ("ETag", "etag", "md5Hash", "content_md5", "generation", "checksum"):
        if info.get(name):
            return str(info[name]).strip('"')
    times = (info.get(name) for name in ("LastModified", "last_modified", "mtime", "created"))
    moment = next(filter(None, times), "")
    # Listings and single answers of one backend may differ in how they write it.
    return str(moment.timestamp() if isinstance(moment, datetime) else moment)


def _answer(error: BaseException | None) -> dict[str, Any]:
    """What the server answered, where the error comes from botocore."""
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            return answer
        error = error.__cause__
    return {}


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error."""
    status = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return int(status) if status is not None else None


def _require_bucket(error: OSError) -> None:
    """A folder or file may be missing; without its bucket the URL is wrong."""
    if _answer(error).get("Error", {}).get("Code") == "NoSuchBucket":
        raise error


def _as_os_error(error: Exception, where: str) -> OSError:
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        number = next((n for kind, n in _NUMBERS if isinstance(error, kind)), errno.EIO)
    name = type(error).__name__
    if "Credential" in name or "Token" in name:
        number = errno.EACCES
    elif "Timeout" in name:
        number = errno.ETIMEDOUT
    return OSError(number, _message(error, number), where)


def _message(error: Exception, number: int) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return error.strerror or os.strerror(number)
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    said = " ".join(said.split())[:500]
    if _answer(error).get("Error", {}).get("Code") == "NoSuchBucket":
        return "the bucket does not exist"
    if number == errno.ENOENT:
        return os.strerror(number)  # backends say the path once more, which the error names
    if number in (errno.EACCES, errno.EPERM):
        return f"no access: {said or type(error).__name__}; check the backend's credentials"
    return said or type(error).__name__
