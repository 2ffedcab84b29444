"""Looks up on disk the files that a list names. Opens none, so that a FIFO cannot block it."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, Problem
from videoprep.spec.roles import Role

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")

# Guessing what a missing path should have been takes several looks at the disk each, and at most
# so many names of a folder.
_GUESSES = 100
_NAMES = 50_000
_FOLDERS = 50

# A clip with several captions is looked up once; the lists of most datasets name each once.
_REMEMBERED = 20_000

Identity = tuple[int, int]
"""Device and inode."""


def is_inside(path: str, root: str) -> bool:
    """Whether a path is the root or lies below it; both are resolved already."""
    return path == root or path.startswith(root if root.endswith("/") else root + "/")


class VideoLookup:
    """Checks that entries lead to regular files inside the data root.

    Folders are resolved once; each file then costs one look at the disk, links apart.
    """

    def __init__(self, root: Path, list_file: str, allow_outside: bool) -> None:
        self._root = os.path.realpath(root)
        self._prefix = os.path.join(self._root, "")
        self._list_file = list_file
        self._allow_outside = allow_outside
        self._folders: dict[str, bool] = {}
        self._found: dict[str, Identity] = {}
        self._identities = array("Q")
        self._names: dict[str, dict[str, str]] = {}
        self._guesses = 0
        self._remedy = f"paths are relative to {self._root}; correct the path or remove the sample"

    def identities(self) -> NDArray[np.uint64]:
        """Uint64 ``[found, 2]``: device and inode of each video, in the order of `check`.

        Only of samples with which nothing is wrong.
        """
        return np.array(self._identities, dtype=np.uint64).reshape(-1, 2)

    def check(
        self,
        video: str,
        line: int | None,
        beside: Sequence[tuple[Role, str]] = (),
        flaws: Sequence[Problem] = (),
    ) -> Sequence[Problem]:
        """Look up the files of a sample; return what is wrong with them.

        Args:
            video: the path of its video.
            line: where the list names them.
            beside: the paths of its further media, by role.
            flaws: what is known to be wrong with it.
        """
        found = self._found.get(video) or self._look_up(video, line)
        if not beside and not flaws and not isinstance(found, Problem):  # lists may be long
            self._identities.extend(found)
            return ()
        problems = [*flaws, found] if isinstance(found, Problem) else [*flaws]
        for role, name in beside:
            other = self._found.get(name) or self._look_up(name, line)
            if isinstance(other, Problem):
                problems.append(_of_role(role, other))
        if not problems and not isinstance(found, Problem):
            self._identities.extend(found)
        return problems

    def _look_up(self, video: str, line: int | None) -> Identity | Problem:
        """Device and inode of a file, or what is wrong with its path."""
        path = video if video.startswith("/") else self._prefix + video
        is_link, target = False, None
        try:
            status = os.lstat(path)
            is_link = stat.S_ISLNK(status.st_mode)
            if not self._is_inside(path, is_link):
                return self._outside(video, line)
            if is_link:
                target = os.readlink(path)
                status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            inside = self._is_inside(path, is_link) and not is_address(video)
            # Whether it exists out there is not the list's business.
            return self._missing(video, line, target) if inside else self._outside(video, line)
        except (OSError, ValueError) as error:  # a loop of links, an overlong name
            reason = getattr(error, "strerror", None) or error
            message = f"cannot look up {video[:500]}: {reason}"
            return self._problem(line, Code.NOT_A_FILE, message, "correct the path")
        if not stat.S_ISREG(status.st_mode):
            message = f"{video[:500]} is {_kind_of(status.st_mode)}, not a file"
            return self._problem(line, Code.NOT_A_FILE, message, "name a file")
        identity = status.st_dev, status.st_ino
        if len(self._found) < _REMEMBERED:
            self._found[video] = identity
        return identity

    def _is_inside(self, path: str, is_link: bool = False) -> bool:
        """Whether a path stays in the root, links followed; it need not exist."""
        if self._allow_outside:
            return True
        folder, _, name = path.rpartition("/")
        if is_link or name in ("", ".", ".."):
            return is_inside(os.path.realpath(path), self._root)
        inside = self._folders.get(folder)
        if inside is None:
            inside = is_inside(os.path.realpath(folder or "/"), self._root)
            self._folders[folder] = inside
        return inside

    def _missing(self, video: str, line: int | None, target: str | None = None) -> Problem:
        asked = self._guesses < _GUESSES
        guess = self._guess(video) if asked else None
        remedy = f"is it {guess}? {self._remedy}" if guess else self._remedy
        folder = self._folder_with(video) if asked and guess is None else None
        if folder is not None:
            remedy = (
                f"it lies in {folder}: if the others do, too, set "
                f"`data_root={self._prefix + folder!r}`; {self._remedy}"
            )
        message = f"no such file: {video[:500]}"
        if target is not None:
            message += f" is a symbolic link to {target[:500]}, which does not exist"
        return Problem(Code.MISSING_VIDEO, message, remedy, self._list_file, line)

    def _outside(self, video: str, line: int | None) -> Problem:
        if is_address(video):
            return self._problem(
                line,
                Code.OUTSIDE_ROOT,
                f"{video[:500]} is an address, not a file in the data root",
                "download it into the data root, and name it by its path",
            )
        return self._problem(
            line,
            Code.OUTSIDE_ROOT,
            f"{video[:500]} leads outside the data root",
            "move it inside, or set `allow_outside_root`",
        )

    def _guess(self, video: str) -> str | None:
        """What may have been meant: other slashes, quotes, escapes, case, surrounding folder."""
        self._guesses += 1
        bare = video.strip("\"'\ufeff")
        slashed = bare.replace("\\", "/")
        for candidate in (bare, slashed, unquote(bare), slashed.partition("/")[2]):
            if candidate and candidate != video and self._is_file(candidate):
                return candidate
        alike = self._other_case(slashed)
        # Letters with accents in one character or two look the same: their codes tell.
        same_look = alike is not None and folded(alike, case=False) == folded(video, case=False)
        return ascii(alike) if same_look else alike

    def _folder_with(self, video: str) -> str | None:
        """The folder of the root that holds such a video: the list may be relative to it."""
        folders = sorted(self._names_in("").values())[:_FOLDERS]
        return next((one for one in folders if self._is_file(os.path.join(one, video))), None)

    def _is_file(self, video: str) -> bool:
        path = os.path.join(self._root, video)
        if "\0" in path or not os.path.isfile(path):
            return False
        return is_inside(os.path.realpath(path), self._root)

    def _other_case(self, video: str) -> str | None:
        """The file of the root whose path differs in case, or in how accents are written."""
        found: list[str] = []
        for part in video.split("/"):
            if part in ("", ".", ".."):
                return None
            name = self._names_in("/".join(found)).get(folded(part))
            if name is None:
                return None
            found.append(name)
        path = "/".join(found)
        return path if self._is_file(path) else None

    def _names_in(self, folder: str) -> dict[str, str]:
        """The names in a folder of the root, by what is left of them without case."""
        if folder not in self._names:
            whole = os.path.join(self._root, folder)
            names: list[str] = []
            if is_inside(os.path.realpath(whole), self._root) and os.path.isdir(whole):
                with os.scandir(whole) as found:
                    names = [item.name for item in islice(found, _NAMES)]
            self._names[folder] = {folded(name): name for name in names}
        return self._names[folder]

    def _problem(self, line: int | None, code: Code, message: str, remedy: str) -> Problem:
        return Problem(code, message, remedy, self._list_file, line)


def _of_role(role: Role, problem: Problem) -> Problem:
    """What is wrong with a file that is not the video: the sample is lost all the same."""
    missing = problem.code is Code.MISSING_VIDEO
    return replace(
        problem,
        code=Code.MISSING_MEDIA if missing else problem.code,
        message=f"its {role}: {problem.message}",
        remedy=f"{problem.remedy}; or name none" if missing else problem.remedy,
    )


def is_address(video: str) -> bool:
    """Whether an entry is a URL."""
    return ":/" in video and _URL.match(video) is not None


def folded(name: str, *, case: bool = True) -> str:
    """A name without the differences that one does not see: of accents, and of case."""
    composed = unicodedata.normalize("NFC", name)
    return composed.casefold() if case else composed


def _kind_of(mode: int) -> str:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a FIFO",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((what for is_kind, what in kinds.items() if is_kind(mode)), "special")
