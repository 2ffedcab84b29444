"""Where the folders and lists lie that a config of a trainer names.

The user has named the config itself, and trainers allow any path in it. So each folder that it
names is a data root of its own: it may lie anywhere, but nothing in it leads out of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from videoprep.errors import Code, SpecError
from videoprep.spec.configs.keys import KeyCheck
from videoprep.spec.path_hints import nowhere
from videoprep.spec.video_lookup import is_inside

_LONGEST = 4096
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class RootFinder:
    """Finds what a config names."""

    check: KeyCheck

    def folder(self, written: str, *place: str | int) -> Path:
        """Return the folder that is named, absolute.

        A folder that is not there is none of this machine: the path is returned as it is, so that
        whoever opens the dataset says so, or takes another folder in its place.

        Raises:
            SpecError: it is no path.
        """
        path = self._found(written, *place)
        here = os.path.realpath(self.check.file.path.parent)
        if path.is_dir() and not is_inside(os.path.realpath(path), here):
            self.check.note(
                f"reads {written[:_SHOWN]}, outside of the config's folder",
                "note",
                *place,
                remedy="nothing, if you trust the config; files in it may not lead further",
                code=Code.OUTSIDE_ROOT,
            )
        return path

    def file(self, written: str, *place: str | int) -> Path:
        """Return the list that is named, absolute.

        Raises:
            SpecError: it is not there.
        """
        path = self._found(written, *place)
        if path.is_file():
            return path
        raise SpecError(
            f"no such file: {written[:_SHOWN]}",
            where=self.check.file.where(*place),
            remedy=nowhere(path, "correct the path"),
            code=Code.MISSING_LIST,
        )

    def _found(self, written: str, *place: str | int) -> Path:
        """Where the trainer looks: where it is run; or else beside the config."""
        if "\0" in written or len(written) >= _LONGEST or not written.strip():
            raise self.check.error("is no path", *place)
        path = Path(written).expanduser()
        if path.is_absolute():
            return path
        here, beside = Path.cwd() / path, self.check.file.path.absolute().parent / path
        if here.exists() or not beside.exists():
            return Path(os.path.normpath(here))
        return Path(os.path.normpath(beside))


def moved_hint(written: str, config: Path) -> str | None:
    """Return where a folder of another machine may lie on this one; None if nothing is like it.

    Args:
        written: the path in the config.
        config: the file.
    """
    parts = (PureWindowsPath if "\\" in written else PurePosixPath)(written).parts
    for count in range(min(3, len(parts)), 0, -1):
        inside = Path(*parts[-count:])
        if not inside.is_absolute() and (config.absolute().parent / inside).is_dir():
            return os.fspath(inside)
    return None
