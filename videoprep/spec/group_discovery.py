"""Finds several datasets in a folder that is none itself: one in each of its folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videoprep.errors import SpecError
from videoprep.spec.discovery import LOOKED_AT, Found, discover
from videoprep.spec.group_file import REGULARIZATION, VALIDATION, DatasetRole
from videoprep.spec.path_hints import names_in
from videoprep.spec.spec_file import DATASETS

_FOLDERS = 100
_SHOWN = 8
_ROLES: tuple[tuple[re.Pattern[str], DatasetRole], ...] = (
    (re.compile(r"val(id)?(ation)?|test|eval(uation)?|held?[-_ ]?out", re.IGNORECASE), VALIDATION),
    (re.compile(r"reg(ulari[sz]ation)?|prior|class", re.IGNORECASE), REGULARIZATION),
)
"""What folders of these names are for."""


def discover_group(folder: Path) -> Found | None:
    """Return the datasets in the folders of a folder, as one description; None if there is none.

    A single folder with a dataset is not several: then None is returned, too.

    Args:
        folder: no dataset itself.
    """
    members = dict(_members(folder))
    if len(members) < 2:
        return None
    entries = [_entry(name, found) for name, found in members.items()]
    names = list(members)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    each = max(1, LOOKED_AT // len(members))
    return Found(
        folder,
        f"{len(names)} datasets, in the folders {', '.join(names[:_SHOWN])}{more}",
        {DATASETS: entries},
        tuple(_videos(folder, members, each)),
        (*_notes(entries), *(f"{name}: {one.what}" for name, one in members.items())),
    )


def note_on_folders(folder: Path, found: Found) -> str | None:
    """Say that the folders of a dataset could be datasets of their own; None if they could not.

    Args:
        folder: of the dataset.
        found: the dataset, which has all of their videos.
    """
    top = [name for name in found.names if "/" not in name]
    if found.fields.get("format") != "caption-files" or top or found.folder != folder:
        return None
    several = discover_group(folder)
    if several is None:
        return None
    names = [str(entry["path"]) for entry in several.fields[DATASETS]]
    listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return (
        f"Its folders ({listed}) are read as one dataset. To give each options, a weight or a role "
        f"such as {VALIDATION} of its own, list them under `{DATASETS}` instead."
    )


def role_by_name(name: str) -> DatasetRole:
    """Return what a dataset in a folder of this name is for."""
    return next((role for pattern, role in _ROLES if pattern.fullmatch(name)), "train")


def _members(folder: Path) -> Iterator[tuple[str, Found]]:
    """The folders that hold a dataset, by their names."""
    folders = (name for name in names_in(folder) if not name.startswith("."))
    for name in [one for one in folders if os.path.isdir(folder / one)][:_FOLDERS]:
        if os.path.islink(folder / name):
            continue  # it may lead anywhere
        try:
            yield name, discover(folder / name, {})
        except (SpecError, OSError):
            continue


def _entry(name: str, found: Found) -> dict[str, Any]:
    """A dataset as the file describes it."""
    fields = dict(found.fields)
    if "data_root" in fields:
        fields["data_root"] = (Path(name) / str(fields["data_root"])).as_posix()
    role = role_by_name(name)
    return {"path": name, **({} if role == "train" else {"role": role}), **fields}


def _notes(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        if "role" in entry:
            yield f"{entry['path']} is taken for {entry['role']}, by its name."


def _videos(folder: Path, members: dict[str, Found], each: int) -> Iterator[str]:
    """The first videos of each dataset, relative to the folder."""
    for found in members.values():
        for name in found.names[:each]:
            yield os.path.relpath(found.root / name, folder)
