"""Folders of videos outside their dataset's folder, as this user had them written by videoprep.

A ``videoprep.yaml`` may come from a stranger, so what it says must not lead out of its folder. A
dataset that videoprep itself makes of films elsewhere, at the user's command, is another matter: it
is noted in the user's own folder, where no download comes to lie, and holds for this dataset and
these films only.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from videoprep.fs.atomic import write_bytes

_MOST_BYTES = 1 << 14


def remember_root(folder: Path, root: Path) -> bool:
    """Note that the dataset in a folder is of videos elsewhere; return whether that was possible.

    Args:
        folder: the dataset's.
        root: that of the videos.
    """
    try:
        note = _note_of(folder)
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(note, os.fsencode(os.path.realpath(root)))
    except (OSError, RuntimeError):  # then the user names the file itself, which needs no note
        return False
    return True


def is_own_root(folder: Path, root: str) -> bool:
    """Return whether this user has made the dataset in a folder of the videos in another."""
    try:
        with _note_of(folder).open("rb") as file:
            noted = file.read(_MOST_BYTES)
        return noted == os.fsencode(os.path.realpath(root))
    except (OSError, ValueError, RuntimeError):
        return False


def _note_of(folder: Path) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or ""
    if not os.path.isabs(base):  # as its specification asks; here it could be a stranger's folder
        base = os.fspath(Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return Path(base) / "videoprep" / "roots" / name
