"""Media beside videos that lie in folders of their own, under the videos' names.

``control/a/x.mp4`` goes with ``videos/a/x.mp4``. Folders are named by the option ``roles``, or
recognized by what they are called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from videoprep.errors import Code, Problem, SpecError
from videoprep.fs.mirror import remote_of
from videoprep.spec.columns import normalized
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.folder import levels
from videoprep.spec.roles import ROLES, Role, distinct, has_own_option, role_called
from videoprep.spec.video_files import is_still_name, is_video_name, suffix_of
from videoprep.spec.video_lookup import is_inside
from videoprep.text import counted

Folders = Mapping[Role, str]
"""Folders of media by role, relative to the data root."""

_SHOWN = 3


def named_folders(root: Path, columns: Mapping[str, str], header: Collection[str]) -> Folders:
    """Return the folders that are named for roles; other names are those of columns.

    Args:
        root: the data root.
        columns: what is named, by what it holds.
        header: the columns of the table, if it is one.
    """
    roles = {what: name for what, name in columns.items() if name and not has_own_option(what)}
    return {
        role: _relative(root, roles[role])
        for role in distinct(roles)
        if roles[role] not in header and _is_folder(root, roles[role])
    }


def require_folders(root: Path, columns: Mapping[str, str], folders: Folders) -> None:
    """Check that all that is named for roles is a folder.

    Raises:
        SpecError: something is not.
    """
    for what, name in columns.items():
        if name and not has_own_option(what) and what not in folders:
            raise SpecError(
                f"there is no folder {name!r} for the role {what!r}",
                where=str(root),
                remedy="name a folder of the data root that has a file for each video, under the "
                "video's name; or write videos, captions and this role into one CSV file",
                option="roles",
            )


def recognized_folders(root: Path, columns: Mapping[str, str]) -> Folders:
    """Return folders of the data root that hold what they are called after.

    Such as ``control``, ``masks`` and ``control_input_depth``. At least one file in it has a
    video's name, and none has a caption beside it: such files are samples themselves.

    Args:
        root: the data root.
        columns: what is named, by what it holds; a role that is named is not looked for.
    """
    from videoprep.spec.readers.caption_files import CaptionNames  # which looks for role folders

    found: dict[Role, list[str]] = {}
    for name in top_folders(root, lambda name: _role_of_folder(name) is not None):
        role = _role_of_folder(name)
        if role is not None and role not in columns and name not in columns.values():
            found.setdefault(role, []).append(name)
    single = {role: names[0] for role, names in found.items() if len(names) == 1}
    if not single:
        return {}
    videos = {
        _stem(name).rpartition("/")[2]
        for level in levels(root)
        if level.prefix.partition("/")[0] not in single.values()
        for name in level.files
        if is_video_name(name)
    }
    kept: dict[Role, str] = {}
    for role, folder in single.items():
        stems: set[str] = set()
        for level in levels(root / folder, within=root):
            captions = CaptionNames(level.files)
            media = [name for name in level.files if _is_medium(name)]
            if any(captions.of(name) for name in media):
                break
            stems.update(map(_stem, media))
        else:
            if not stems.isdisjoint(videos):
                kept[role] = folder
    return kept


def add_from_folders(
    found: Entries, root: Path, folders: Folders, *, allow_outside: bool = False
) -> None:
    """Give entries the media that lie in folders under the names of their videos.

    An entry without one, or with several, has a flaw. A folder with files for fewer than half of
    the videos is meant for these alone: the others have no medium of the role, and one remark says
    so.

    Args:
        found: the entries.
        root: the data root.
        folders: those of the roles.
        allow_outside: whether a folder may lead outside the data root.

    Raises:
        SpecError: one does.
    """
    for role, folder in folders.items():
        inside = is_inside(os.path.realpath(root / folder), os.path.realpath(root))
        if not inside and not allow_outside:
            raise SpecError(
                f"the folder {folder}/ leads outside the data root",
                where=str(root),
                remedy="move it inside, or set `allow_outside_root`",
                code=Code.OUTSIDE_ROOT,
            )
        files = _files(root, folder, allow_outside)
        stems = [_stem(os.path.normpath(entry.video)) for entry in found.entries]
        prefix = prefix_of(stems, files)
        keys = [stem.removeprefix(prefix) for stem in stems]
        covered = sum(key in files for key in keys)
        for_some = 0 < 2 * covered < len(keys)
        for place, (entry, key) in enumerate(zip(found.entries, keys, strict=True)):
            names = files.get(key, [])
            if len(names) == 1:
                medium = role, f"{folder}/{names[0]}"
                found.entries[place] = entry._replace(beside=_with(entry, medium))
            elif names or not for_some:
                found.flaws.setdefault(entry.number, []).append(
                    _flaw(entry, role, folder, key, names)
                )
        if for_some:
            found.remarks.append(_for_some(root, role, folder, covered, len(keys)))
        found.columns[role] = f"{folder}/"


def _with(entry: Entry, medium: tuple[Role, str]) -> tuple[tuple[Role, str], ...]:
    """The media of an entry with one more, in the order of roles."""
    every = dict([*entry.beside, medium])
    return tuple((role, every[role]) for role in distinct(every))


def _flaw(entry: Entry, role: Role, folder: str, key: str, names: Iterable[str]) -> Problem:
    shown = sorted(names)
    if shown:
        more = ", …" if len(shown) > _SHOWN else ""
        code, message = (
            Code.SEVERAL_MEDIA,
            f"its {role}: {folder}/ has several files called {key}: "
            f"{', '.join(shown[:_SHOWN])}{more}",
        )
        remedy = "keep one of them"
    else:
        code, message = Code.MISSING_MEDIA, f"its {role}: {folder}/ has no file called {key}"
        remedy = (
            f"add the file; if the sample is meant to have none, list the samples in a table and "
            f"leave its cell for {role} empty; or turn the role off with {_off(role)}"
        )
    return Problem(
        code, message, remedy, entry.file, entry.line, entry.row, entry.number, video=entry.video
    )


def _for_some(root: Path, role: Role, folder: str, covered: int, total: int) -> Problem:
    return Problem(
        Code.MISSING_MEDIA,
        f"{folder}/ has files for {covered} of {counted(total, 'sample')}: the others are used "
        f"without {role}",
        f"add files if more are meant to have one, or turn the role off with {_off(role)}",
        str(root / folder),
        severity="warning",
    )


def _off(role: Role) -> str:
    return f"`roles={{{str(role)!r}: ''}}`"


def _files(root: Path, folder: str, allow_outside: bool) -> dict[str, list[str]]:
    """The media in a folder, relative to it, by their paths without ending."""
    files: dict[str, list[str]] = {}
    for level in levels(root / folder, within=root, allow_outside=allow_outside):
        for name in filter(_is_medium, level.files):
            files.setdefault(level.prefix + _stem(name), []).append(level.prefix + name)
    return files


def prefix_of(stems: Collection[str], files: Collection[str]) -> str:
    """Return what of the videos' paths a folder does not have: most often the videos' folder.

    Of the folders that all videos share, that with which the most files are found.
    """
    levels_of_all = zip(*(stem.split("/")[:-1] for stem in stems), strict=False)
    same = (names[0] if len(set(names)) == 1 else None for names in levels_of_all)
    prefixes = [""]
    for part in takewhile(lambda name: name is not None, same):
        prefixes.append(f"{prefixes[-1]}{part}/")
    return max(prefixes, key=lambda one: sum(stem.removeprefix(one) in files for stem in stems))


def _role_of_folder(name: str) -> Role | None:
    words = normalized(name)
    for kind in ROLES.values():
        if kind.several and words in (*kind.columns, f"{kind.name}s", f"{kind.name}_videos"):
            return Role(kind.name)
    return role_called(words)


def top_folders(root: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the folders directly in the data root with a wanted name; no links out of it."""
    remote = remote_of(root)
    if remote is not None:
        tops = {name.partition("/")[0] for name in remote.listing() if "/" in name}
        yield from filter(wanted, sorted(tops))
        return
    top = os.path.realpath(root)
    for name in sorted(filter(wanted, os.listdir(root))):
        path = os.path.join(root, name)
        if is_inside(os.path.realpath(path), top) and os.path.isdir(path):
            yield name


def _is_folder(root: Path, name: str) -> bool:
    """Whether a folder of that name lies in the data root, which may be behind a URL."""
    remote = remote_of(root)
    if remote is None:
        return os.path.isdir(root / name)
    prefix = f"{_relative(root, name)}/"
    return any(one.startswith(prefix) for one in remote.listing())


def _relative(root: Path, name: str) -> str:
    """A folder's path as it is best written: a ``videoprep.yaml`` may give absolute ones."""
    whole, top = os.path.normpath(os.path.join(os.path.abspath(root), name)), os.path.abspath(root)
    return os.path.relpath(whole, top) if is_inside(whole, top) else whole


def _is_medium(name: str) -> bool:
    return is_video_name(name) or is_still_name(name)


def _stem(name: str) -> str:
    """A path without the ending of its file."""
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else name
