"""Videos that lie beside those of a list and are not in it: they may have been forgotten."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from videoprep.fs.mirror import remote_of
from videoprep.spec.entries import Entry, PassedOver
from videoprep.spec.video_files import is_media_name, is_still_name, is_video_name

KIND = "videos that the list does not name"

_MOST_FOLDERS = 10_000
_MOST_NAMES = 1_000_000  # in all folders together
_EXAMPLES = 3


def unlisted_videos(root: Path, entries: Collection[Entry]) -> PassedOver | None:
    """Return the videos that lie in the folders of listed videos and are not listed.

    Of very many files only some are looked at, and then nothing is said. Links are not looked at.
    """
    listed = {_normal(entry.video) for entry in entries}
    folders = {os.path.dirname(name) for name in listed}
    listed |= {_normal(name) for entry in entries for _, name in entry.beside}
    inside = [one for one in folders if not one.startswith(("/", ".."))]
    if len(inside) > _MOST_FOLDERS:
        return None
    names = list(islice(_names(root, inside), _MOST_NAMES + 1))
    if len(names) > _MOST_NAMES:
        return None
    others = [name for name in names if name not in listed]
    if not others:
        return None
    # Still images may be covers, unless the list names some.
    is_meant = is_media_name if any(map(is_still_name, listed)) else is_video_name
    left = sorted(filter(is_meant, others))
    return PassedOver(KIND, len(left), tuple(left[:_EXAMPLES])) if left else None


def _normal(name: str) -> str:
    """The same as `os.path.normpath`, and several times as fast on names without detours."""
    detour = "//" in name or "./" in name or "/." in name or name.endswith("/")
    return os.path.normpath(name) if detour or name in ("", ".", "..") else name


def _names(root: Path, folders: Iterable[str]) -> Iterator[str]:
    """The files of folders, relative to the data root; hidden ones are left out."""
    remote = remote_of(root)
    if remote is not None:
        wanted = set(folders)
        yield from (name for name in remote.listing() if os.path.dirname(name) in wanted)
        return
    for folder in folders:
        try:
            with os.scandir(root / folder) as found:
                for entry in found:
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        yield os.path.join(folder, entry.name)
        except OSError:
            continue  # the list names what is not there: each of its videos is missing
