"""Files on disk and behind URLs: written atomically, mirrored, and staged for workers."""

from __future__ import annotations

import os
from pathlib import Path

from videoprep.fs.files import Files, LocalFiles, is_url

__all__ = ["Files", "LocalFiles", "is_url", "open_files"]


def open_files(location: str | os.PathLike[str]) -> Files:
    """Return the folder at a path, or at a URL such as ``s3://bucket/latents``.

    Raises:
        VideoprepError: No fsspec backend for the URL is installed.
    """
    if not is_url(location):
        return LocalFiles(Path(location))
    if str(location).startswith("file:///"):  # a local folder can promise more than fsspec does
        return LocalFiles(Path(str(location).removeprefix("file://")))
    from videoprep.fs.remote_files import RemoteFiles

    return RemoteFiles(str(location))
