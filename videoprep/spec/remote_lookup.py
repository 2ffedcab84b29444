"""Looks up the videos of a list behind a URL: in one listing of the folder, not one by one."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import Path

from videoprep.errors import Code, Problem, SpecError
from videoprep.fs.mirror import Remote, remote_of
from videoprep.spec.video_lookup import Identity, VideoLookup, folded, is_address


def lookup_in(root: Path, list_file: str, allow_outside: bool) -> VideoLookup:
    """What looks up the videos of a data root.

    Raises:
        SpecError: the remote folder cannot be listed.
    """
    remote = remote_of(root)
    if remote is None:
        return VideoLookup(root, list_file, allow_outside)
    return RemoteLookup(remote, list_file, allow_outside)


class RemoteLookup(VideoLookup):
    """Checks that entries name files of a remote folder."""

    def __init__(self, remote: Remote, list_file: str, allow_outside: bool) -> None:
        super().__init__(remote.root, list_file, allow_outside)
        self._remote = remote
        self._remedy = f"paths are relative to {remote.url}; correct the path or remove the sample"
        try:
            self._files = remote.listing(fresh=True)
        except OSError as error:
            raise SpecError(
                f"the folder of the videos cannot be listed: {error.strerror}",
                where=remote.url,
                remedy="check the URL, and that you may list it",
            ) from error

    def _look_up(self, video: str, line: int | None) -> Identity | Problem:
        """What a file is in the listing, or what is wrong with its path."""
        name = posixpath.normpath(video)
        outside = name.startswith(("/", "../")) or name == ".." or is_address(video)
        if outside:
            if video.startswith("/") and self._allow_outside:
                return super()._look_up(video, line)  # the user's own file, on this machine
            return self._outside(video, line)
        # Nothing lies above a folder that does not exist, as those of object stores do not.
        if name not in self._files or ".." in video.split("/") or video.endswith("/"):
            return self._missing(video, line)
        return _identity(name)

    def _outside(self, video: str, line: int | None) -> Problem:
        if not is_address(video):
            return super()._outside(video, line)
        return self._problem(
            line,
            Code.OUTSIDE_ROOT,
            f"{video[:500]} is an address, not a file in the data root",
            f"name it by its path, relative to {self._remote.url}",
        )

    def _is_file(self, video: str) -> bool:
        return posixpath.normpath(video) in self._files

    def _names_in(self, folder: str) -> dict[str, str]:
        if folder not in self._names:
            prefix = f"{folder}/" if folder else ""
            inside = (name[len(prefix) :] for name in self._files if name.startswith(prefix))
            names = {name.partition("/")[0] for name in inside}
            self._names[folder] = {folded(name): name for name in names}
        return self._names[folder]


def _identity(name: str) -> Identity:
    """Stands in for device and inode: two numbers that only this file has."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")
