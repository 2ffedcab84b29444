"""What lies in a dataset's folder and is not used, and videos that lack something."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from videoprep.errors import Code, MediaError, SpecError
from videoprep.index.merging import header_of
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.discovery import LOOKED_AT, Found
from videoprep.spec.folder import HIDDEN, levels
from videoprep.spec.readers.caption_files import OTHERS
from videoprep.spec.sample import Listing
from videoprep.spec.video_files import is_still_name, is_video_name

_FILES = 20_000
_SHOWN = 3
_NOT_MEANT = (HIDDEN, OTHERS)  # for training; `validate` names them


def passed_over(found: Found, folder: Path, errors: Iterable[MediaError] = ()) -> Iterator[str]:
    """Say in sentences what in a folder cannot be used, and what is not used.

    Args:
        found: the dataset. Of a long list only the beginning is known: then nothing is said about
            videos that it does not name.
        folder: the folder that was looked at.
        errors: why videos that were opened cannot be used.
    """
    listing = _listing(found) if "format" in found.fields else None
    unusable = {} if listing is None else _by_place(listing, found.root)
    for error in errors:
        unusable.setdefault(str(error.where), error.message)
    if unusable:
        named = [f"{_named(where, found.root)}: {what}" for where, what in unusable.items()]
        more = f"; and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        yield f"Cannot be used: {'; '.join(named[:_SHOWN])}{more}"
    if listing is not None:
        yield from _of_folder(listing)
    else:
        yield from _columns(found)
        yield from _files(found, folder)


def _listing(found: Found) -> Listing:
    named = ("format", "caption_column", "video_column")
    return _listed_with_roles(
        found, {name: found.fields[name] for name in named if name in found.fields}
    )


def _listed_with_roles(found: Found, fields: Mapping[str, Any]) -> Listing:
    """The samples; without further media if what is named for roles is not there.

    The file that names it may be one that `init` was run to bring up to date; `validate` says what
    is missing.
    """
    roles = found.fields.get("roles")
    if roles:
        try:
            return DatasetSpec(data_root=found.root, **{**fields, "roles": roles}).listing()
        except SpecError:
            fields = {name: value for name, value in fields.items() if name != "roles"}
    return DatasetSpec(data_root=found.root, **fields).listing()


def _by_place(listing: Listing, root: Path) -> dict[str, str]:
    """What is wrong with samples of a listing, by the path of the video or the place in a list."""
    problems: dict[str, str] = {}
    for one in listing.problems:
        place = one.where if one.video is None else os.path.join(root, one.video)
        problems.setdefault(place, one.message)
    return problems


def _named(where: str, root: Path) -> str:
    """A path in the root, relative to it."""
    return where.removeprefix(f"{root}{os.sep}")


def _of_folder(listing: Listing) -> Iterator[str]:
    """A format that reads a whole folder says itself what it passes over."""
    for one in listing.reading.passed_over:
        if one.kind not in _NOT_MEANT:
            yield f"Passed over: {one}"
    for remark in listing.remarks:
        if remark.code is Code.MISSING_MEDIA:  # a folder with files for some of the videos
            yield remark.message


def _columns(found: Found) -> Iterator[str]:
    used = {*map(str, found.fields.values()), *(found.fields.get("roles") or {}).values()}
    unused = [name for name in header_of(found) or () if name and name not in used]
    if unused:
        yield f"Columns that are not used: {_listed(unused, 12)}"


def _files(found: Found, folder: Path) -> Iterator[str]:
    names = list(
        islice((one.prefix + name for one in levels(folder) for name in one.files), _FILES)
    )
    short, roles = len(found.names) < LOOKED_AT, bool(found.fields.get("roles"))
    named = [*found.names, *(_beside(found) if short and roles else ())]
    used = {os.path.abspath(os.path.join(found.root, name)) for name in named}
    if short:
        videos = [name for name in names if is_video_name(name)]
        left = [name for name in videos if os.path.abspath(folder / name) not in used]
        if left:
            yield f"Videos that the list does not name: {_listed(left)}"
    stills = [name for name in names if is_still_name(name)]
    stills = [name for name in stills if os.path.abspath(folder / name) not in used]
    if stills and (short or not roles):  # of a long list it is not known what lies beside
        yield f"Images that are not used: {_listed(stills)}"


def _beside(found: Found) -> Iterator[str]:
    """The media beside the videos of a short list, such as control videos and masks."""
    fields = {name: value for name, value in found.fields.items() if name != "data_root"}
    listing = _listed_with_roles(found, fields)
    for sample in (*listing.samples, *listing.unusable):
        yield from (media.name for media in sample.beside)


def _listed(names: Sequence[str], most: int = _SHOWN) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
