"""A folder of files, on this machine or behind an fsspec URL. Each file is whole or not there."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from videoprep.failpoints import reach
from videoprep.fs.atomic import Writer, create_file, naming, write_file

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


class Files(ABC):
    """A folder of files. Names are relative to it, with slashes.

    Attributes:
        location: path or URL of the folder.
    """

    location: str

    def where(self, name: str) -> str:
        """What to call a file in messages."""
        return f"{self.location.rstrip('/')}/{name}"

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's contents.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
        """

    @abstractmethod
    def read_range(self, name: str, start: int, size: int) -> bytes:
        """Some of a file's bytes; fewer where it is shorter.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """How many bytes a file has; None where there is none."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Names of the files that lie directly in a folder, sorted, hidden ones too."""

    @abstractmethod
    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders that lie directly in a folder, sorted, hidden ones too."""

    @abstractmethod
    def write(self, name: str, write: Writer) -> None:
        """Writes a file, replacing one that is there. It appears whole, and survives a power cut.

        Raises:
            OSError: it cannot be written.
        """

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Writes a file only if there is none yet; says whether it did: one of several wins.

        Raises:
            OSError: it cannot be written.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Removes a file, if it is there."""

    def delete_folder(self, folder: str) -> None:
        """Removes a folder if it is empty; behind most URLs there are none apart from files."""
        del folder

    @abstractmethod
    def path(self, name: str) -> Path | None:
        """Where a file lies on this machine; None where it lies elsewhere."""

    def write_bytes(self, name: str, data: bytes) -> None:
        """`write` for contents that are at hand."""
        self.write(name, lambda file: _write_all(file, data))

    def chunks(self, name: str, size: int = 1 << 22) -> Iterator[bytes]:
        """A file's contents in pieces, so that memory stays flat."""
        start = 0
        while piece := self.read_range(name, start, size):
            yield piece
            start += len(piece)


class LocalFiles(Files):
    """A folder on a file system of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    def read(self, name: str) -> bytes:
        with naming(self.root / name):
            reach("file.read", name)
            return (self.root / name).read_bytes()

    def read_range(self, name: str, start: int, size: int) -> bytes:
        with naming(self.root / name), (self.root / name).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def size(self, name: str) -> int | None:
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, folder: str = "") -> list[str]:
        return sorted(entry.name for entry in self._entries(folder) if entry.is_file())

    def folders(self, folder: str = "") -> list[str]:
        return sorted(entry.name for entry in self._entries(folder) if entry.is_dir())

    def write(self, name: str, write: Writer) -> None:
        write_file(self.root / name, write)

    def create(self, name: str, data: bytes) -> bool:
        return create_file(self.root / name, lambda file: _write_all(file, data))

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def delete_folder(self, folder: str) -> None:
        with suppress(OSError):  # it is not empty, or not there
            (self.root / folder).rmdir()

    def path(self, name: str) -> Path:
        return self.root / name

    def chunks(self, name: str, size: int = 1 << 22) -> Iterator[bytes]:
        with naming(self.root / name), (self.root / name).open("rb") as file:
            while piece := file.read(size):
                yield piece

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except FileNotFoundError:
            return []


def is_url(location: str | os.PathLike[str]) -> bool:
    """Whether this is a URL and not a path."""
    return isinstance(location, str) and _URL.match(location) is not None


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)
