"""Datasets behind a URL: a mirror is the folder on this machine that stands for the remote one.

A mirror lies in the user's cache. It holds the dataset's lists, and its videos for as long as they
are needed and there is room. All paths of such a dataset are those of the mirror, so that the rest
of videoprep knows nothing of URLs; `remote_of` tells whether a folder is one. ::

    MIRRORS/<hash of the URL>/mirror.json   the URL
    MIRRORS/<hash of the URL>/data/…        what stands for the remote folder
    MIRRORS/<hash of the URL>/locks/…       one process downloads a file, the others wait

``MIRRORS`` is ``$VIDEOPREP_MIRRORS``, or ``videoprep/mirrors`` in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from videoprep.errors import SpecError
from videoprep.fs.atomic import write_bytes
from videoprep.fs.files import is_url
from videoprep.fs.remote_files import RemoteFile, RemoteFiles
from videoprep.fs.user_cache import cache_home

_DATA = "data"
_MARK = "mirror.json"
_DIGITS = 24

_FILES = (".yaml", ".yml", ".parquet")  # endings of videoprep's own files

# Listings by URL. One is made when the lists are read, and serves until they are read again.
_listings: dict[str, dict[str, RemoteFile]] = {}


@dataclass(frozen=True)
class Remote:
    """A folder behind a URL, and what stands for it on this machine.

    Attributes:
        url: of the folder.
        root: the folder in the mirror; it need not exist yet.
        top: the mirror: the folder that holds its data and what is known of it.
    """

    url: str
    root: Path
    top: Path

    @cached_property
    def files(self) -> RemoteFiles:
        """The folder itself."""
        return RemoteFiles(self.url)

    def listing(self, *, fresh: bool = False) -> dict[str, RemoteFile]:
        """All files of the folder by name: one listing, not a request a file.

        Args:
            fresh: whether to list anew what was listed before.

        Raises:
            OSError: it cannot be listed.
        """
        if fresh or self.url not in _listings:
            _listings[self.url] = self.files.walk()
        return _listings[self.url]

    def name_of(self, path: str | os.PathLike[str]) -> str | None:
        """A file's name relative to the folder; None where it lies elsewhere."""
        text, prefix = os.fspath(path), f"{self.root}/"
        if "//" in text or "/." in text or not text.startswith(prefix):
            text = os.path.abspath(text)
        return text[len(prefix) :] if text.startswith(prefix) else None


def local_path(location: str | os.PathLike[str], files: Iterable[str] = ()) -> Path:
    """Return a path as it is; for a URL the path that stands for it, in its mirror.

    A URL names a file if it ends in ``.yaml``, ``.parquet`` or one of ``files``, else a folder.
    Nothing is downloaded.

    Args:
        location: a path or a URL.
        files: further endings of files, in lower case.

    Raises:
        VideoprepError: no backend for the URL is installed.
        OSError: the mirror cannot be made.
    """
    if not is_url(location):
        return Path(location)
    url = str(location)
    if url.startswith("file:///"):
        return Path(url.removeprefix("file://"))
    if ".." in url.split("/"):
        raise SpecError("has .. in it", where=url, remedy="write the URL that is meant")
    url = url if url.endswith("://") else url.rstrip("/")
    if url.lower().endswith((*_FILES, *files)):
        folder, _, name = url.rpartition("/")
        return _mirror(folder) / name
    return _mirror(url)


def remote_of(root: str | os.PathLike[str]) -> Remote | None:
    """The remote folder that a data root stands for; None for an ordinary folder."""
    path = Path(os.path.abspath(root))
    if not path.is_relative_to(_base()):
        return None
    data = next((folder for folder in _upwards(path) if _is_data(folder)), None)
    if data is None:
        return None
    rest = path.relative_to(data).as_posix()
    url = _url_of(data.parent)
    return Remote(url if rest == "." else f"{url.rstrip('/')}/{rest}", path, data.parent)


def shown(path: str | os.PathLike[str]) -> str:
    """How a path is called in messages: by its URL where it lies in a mirror."""
    remote = remote_of(path)
    return os.fspath(path) if remote is None else remote.url


def shown_in(text: str) -> str:
    """A text in which paths of mirrors are written as URLs."""
    base = str(_base())
    for data in {f"{base}/{part[:_DIGITS]}/{_DATA}" for part in text.split(f"{base}/")[1:]}:
        text = text.replace(data, shown(data))
    return text


def _mirror(url: str) -> Path:
    """The folder that stands for a remote one; made if need be."""
    RemoteFiles(url)  # says what is missing, before a folder is made
    top = _base() / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    if not (top / _MARK).is_file():
        write_bytes(top / _MARK, json.dumps({"url": url}).encode())
    (top / _DATA).mkdir(exist_ok=True)
    return top / _DATA


def mirrors() -> Path:
    """The folder of all mirrors."""
    return _base()


def _base() -> Path:
    own = os.environ.get("VIDEOPREP_MIRRORS")
    if own:
        return Path(os.path.realpath(own))
    return Path(os.path.realpath(cache_home())) / "videoprep" / "mirrors"


def _upwards(path: Path) -> Iterable[Path]:
    return (path, *path.parents)


def _is_data(folder: Path) -> bool:
    return folder.name == _DATA and folder.parent.parent == _base()


@cache
def _url_of(top: Path) -> str:
    return str(json.loads((top / _MARK).read_bytes())["url"])
