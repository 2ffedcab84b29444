"""Makes or updates a ``videoprep.yaml``: what was found, what is set, and what is proposed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videoprep.errors import SpecError
from videoprep.families.model_folder import open_model
from videoprep.families.profile import Profile
from videoprep.families.registry import family_of, get_profile
from videoprep.fs.atomic import create_bytes, keep_copy, may_write, write_bytes
from videoprep.fs.mirror import remote_of, shown
from videoprep.index.merging import (
    ChangedSetting,
    Merged,
    Saved,
    find,
    merge,
    own_lines,
    read_saved,
    require_own_file,
)
from videoprep.index.passed_over import passed_over
from videoprep.index.proposals import describe, glance, propose
from videoprep.index.sound_found import sound_found
from videoprep.spec.columns import COLUMNS
from videoprep.spec.commented import Comments, Proposal, commented_text
from videoprep.spec.discovery import Found
from videoprep.spec.group_discovery import discover_group, note_on_folders
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.spec_file import DATASETS, NAME
from videoprep.spec.video_lookup import is_inside

_SUFFIXES = (".yaml", ".yml")


class ReadOnlyError(SpecError):
    """The folder that the file belongs to is read-only."""


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A ``videoprep.yaml`` that is not written yet.

    Attributes:
        path: where it belongs.
        found: the dataset.
        profile: the profile that was named, now or in the file that is there; None: none was.
        merged: what it sets, and how that differs from the file that is there.
        proposed: what it shows without setting it.
        seen: what the videos looked at are like, in sentences.
        unused: what lies in the folder and is not used, in sentences.
        text: the file's text.
        old: what is in the file that is there; None: there is no such file.
    """

    path: Path
    found: Found
    profile: str | None
    merged: Merged
    proposed: dict[str, Proposal]
    seen: tuple[str, ...]
    unused: tuple[str, ...]
    text: str
    old: bytes | None

    @property
    def fields(self) -> dict[str, Any]:
        """What it sets."""
        return self.merged.fields

    def write(self) -> Path | None:
        """Write it, if it differs from what is there; the file is whole or not there.

        Returns:
            The copy that was kept of the file that was there; None if there was none.

        Raises:
            ReadOnlyError: the folder is read-only.
            SpecError: the file was changed meanwhile.
        """
        data = self.text.encode()
        if not self.changes:
            return None
        _require_writable(self.path.parent)
        if _contents(self.path) != self.old:
            raise _changed_meanwhile(self.path)
        if self.old is not None:
            backup = keep_copy(self.path, self.old)
            write_bytes(self.path, data)
            return backup
        if not create_bytes(self.path, data):
            raise _changed_meanwhile(self.path)
        return None

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.text.encode() != self.old


def scaffold(
    path: str | os.PathLike[str],
    *,
    caption_column: str | None = None,
    video_column: str | None = None,
    profile: str | None = None,
    model: str | None = None,
    accept: bool = False,
    overwrite: bool = False,
    output: str | os.PathLike[str] | None = None,
    ask: Callable[[], str | None] | None = None,
) -> Scaffold:
    """Look at a folder, or at a list, and make its ``videoprep.yaml``. Writes nothing.

    Only the first thousand samples of a list are looked at, and of these a few videos are opened.
    What a file that is there sets is kept.

    Args:
        path: a folder, or a table: CSV, TSV, JSON, JSON Lines or Parquet.
        caption_column: the table's column of captions, if it is not recognized.
        video_column: the table's column of videos, if it is not recognized.
        profile: the profile of the model that will be trained.
        model: that model: a folder or a hub id. No weights are read.
        accept: set what is proposed, too.
        overwrite: start from scratch; a file that is there counts for nothing.
        output: where the file will be written; None: into the folder.
        ask: gives a profile if it is not known; it may return None.

    Raises:
        SpecError: there is nothing that could be a dataset; it says what to do.
        ModelError: there is no such model, or it is of no known family.
    """
    where = _local(path)
    folder = where.parent if where.is_file() else where
    target = folder / NAME if output is None else _output(output)
    saved = read_saved(target, named=output is not None) if not overwrite else None
    if overwrite and os.path.lexists(target):
        require_own_file(target)
    columns = {"caption_column": caption_column, "video_column": video_column}
    named = {name: column for name, column in columns.items() if column}
    found, why = _find(where, named, saved)
    found = _placed(found, target.parent)
    asked = _named_profile(profile, model)
    known = asked or _saved_profile(saved) or _answer(ask)
    explicit = {**named, **({"profile": known.name} if known is not None else {})}
    merged = merge(found, saved, why, explicit)

    seen = glance(found.root, found.names)
    proposed = propose(seen, known, merged.fields)
    unset = {name: one for name, one in proposed.items() if name not in merged.fields}
    if accept:
        added = {name: one.value for name, one in unset.items()}
        merged = replace(merged, fields={**merged.fields, **added}, added={**merged.added, **added})
    several = DATASETS in found.fields
    sound = () if several else (f"{one}." for one in sound_found(found, seen, merged.fields))
    sentences = (*describe(seen), *sound)
    unused = () if several else tuple(passed_over(_read_as(found, merged), folder, seen.errors))
    top = (f"Found: {found.what}.", *found.notes, *(f"{one}." for one in unused), *sentences)
    text = commented_text(merged.fields, Comments(top, proposed, own_lines(saved, merged.kept)))
    return Scaffold(
        path=target,
        found=found,
        profile=known.name if known is not None else None,
        merged=merged,
        proposed={} if accept else unset,
        seen=sentences,
        unused=unused,
        text=text,
        old=_contents(target),
    )


def _read_as(found: Found, merged: Merged) -> Found:
    """The dataset with the roles that it will be read with, which a file that is there may name."""
    roles = {"roles": merged.fields["roles"]} if merged.fields.get("roles") else {}
    return replace(found, fields={**found.fields, **roles})


def columns_of(made: Scaffold) -> dict[str, str]:
    """Return the columns or line files that will be used, by what they hold."""
    names = {what: made.fields.get(f"{what}_column") for what in COLUMNS}
    roles = made.fields.get("roles") or {}
    return {what: str(name) for what, name in {**names, **roles}.items() if name}


def _local(path: str | os.PathLike[str]) -> Path:
    where = dataset_path(path)
    if remote_of(where) is not None:
        raise SpecError(
            "nothing is written into a remote folder",
            where=shown(where),
            remedy="write the file here, and copy it there",
        )
    return where


def _output(output: str | os.PathLike[str]) -> Path:
    path = _local(output)
    if path.suffix.lower() not in _SUFFIXES:
        raise SpecError(
            "the output is not a YAML file",
            where=str(path),
            remedy="give it a name that ends in .yaml",
        )
    return path


def _find(where: Path, named: dict[str, str], saved: Saved | None) -> tuple[Found, str | None]:
    """The dataset in a folder, or several in its folders."""
    try:
        found, why = find(where, named, saved)
        note = note_on_folders(where, found) if saved is None else None
        return (found if note is None else replace(found, notes=(*found.notes, note))), why
    except SpecError:
        several = discover_group(where) if where.is_dir() and not named and saved is None else None
        if several is None:
            raise
        return several, None


def _placed(found: Found, folder: Path) -> Found:
    """The same dataset, described by a file in another folder.

    Paths are relative if they lead into that folder, so that both can be moved together.
    """
    if os.path.realpath(found.folder) == os.path.realpath(folder):
        return found
    if DATASETS in found.fields:
        raise SpecError(
            "a file with several datasets is written into the folder that holds them",
            where=str(folder),
            remedy="leave `output` out",
            option="output",
        )
    root = os.path.abspath(found.root)
    fields = {**found.fields, "data_root": _relative(root, [folder])}
    lists = ("dataset_file",) if "dataset_file" in fields else ("caption_column", "video_column")
    for name in lists:
        if name in fields and "format" not in fields:
            path = os.path.abspath(found.folder / str(fields[name]))
            fields[name] = _relative(path, [Path(root), folder])
    return replace(found, folder=folder, fields=fields)


def _relative(path: str, folders: list[Path]) -> str:
    """A path relative to the first of the folders that it lies in, else absolute."""
    for folder in folders:
        real = os.path.realpath(path), os.path.realpath(folder)
        if is_inside(*real):
            return Path(os.path.relpath(*real)).as_posix()
    return path


def _named_profile(profile: str | None, model: str | None) -> Profile | None:
    known = get_profile(profile) if profile is not None else None
    if model is None:
        return known
    found = family_of(open_model(model, ())).profile
    if known is not None and known != found:
        raise SpecError(
            f"the model takes the profile {found.name!r}, not {known.name!r}",
            where=model,
            remedy="name only one of `profile` and `model`",
        )
    return found


def _saved_profile(saved: Saved | None) -> Profile | None:
    name = saved.values.get("profile") if saved is not None else None
    if saved is None or name is None:
        return None
    try:
        return get_profile(str(name))
    except SpecError as error:
        raise SpecError(error.message, where=str(saved.path), remedy=error.remedy) from error


def _answer(ask: Callable[[], str | None] | None) -> Profile | None:
    answer = ask() if ask is not None else None
    return get_profile(answer) if answer is not None else None


def _contents(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _require_writable(folder: Path) -> None:
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), Path())
    if not may_write(there):
        raise ReadOnlyError(
            f"the folder is read-only, so that no {NAME} can be written there",
            where=str(folder),
            remedy="write the file elsewhere with `output`",
        )


def _changed_meanwhile(path: Path) -> SpecError:
    return SpecError("the file has just been changed", where=str(path), remedy="run again")


__all__ = ["ChangedSetting", "ReadOnlyError", "Scaffold", "columns_of", "scaffold"]
