"""Removes what processes left at a store that died while they wrote."""

from __future__ import annotations

from videoprep.engine.sessions import Session
from videoprep.fs import Files
from videoprep.fs.atomic import is_abandoned, is_temporary


def leftovers(files: Files) -> list[str]:
    """Temporary files whose writers are dead. Behind a URL there are none: objects come whole."""
    if files.path("") is None:
        return []
    folders = ["", *(f for f in files.folders() if not f.startswith("."))]
    folders += [f"{top}/{inner}" for top in folders[1:] for inner in files.folders(top)]
    folders += [f for f in files.folders() if f.startswith(".")]
    found = []
    for folder in folders:
        names = [f"{folder}/{name}" if folder else name for name in files.names(folder)]
        for name in names:
            path = files.path(name)
            if is_temporary(name.rpartition("/")[2]) and path is not None and is_abandoned(path):
                found.append(name)
    return found


def sweep(files: Files, session: Session) -> list[str]:
    """Removes leftovers and the marks of dead sessions; gives the files that were removed."""
    found = leftovers(files)
    for name in found:
        files.delete(name)
        if name.startswith("."):  # what kept a folder of processes from being removed
            files.delete_folder(name.rpartition("/")[0])
    session.sweep()
    return found
