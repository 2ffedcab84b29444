"""Runs again on a folder that has a ``videoprep.yaml``: what a person set there is kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from videoprep.errors import SpecError
from videoprep.spec.columns import OPTIONAL
from videoprep.spec.commented import MARK, explanations
from videoprep.spec.dataset import require_known
from videoprep.spec.discovery import LOOKED_AT, Found, discover, is_there
from videoprep.spec.group_file import describes_several
from videoprep.spec.locate import CONVERTED
from videoprep.spec.readers import table_reader
from videoprep.spec.readers.line_files import PROMPTS, VIDEOS
from videoprep.spec.spec_file import read_spec_file
from videoprep.spec.video_lookup import is_inside
from videoprep.spec.yaml_lines import YamlLines, option_name, read_yaml_lines

_MAIN = ("caption_column", "video_column")
_EXTRA = tuple(f"{what}_column" for what in OPTIONAL)
_LISTS = ("data_root", "dataset_file", "format", *_MAIN, *_EXTRA, "time_unit")


@dataclass(frozen=True, slots=True)
class Saved:
    """A ``videoprep.yaml`` that is there already.

    Attributes:
        path: the file.
        data: its bytes.
        values: what it sets, as it is written.
        root: the data root.
        lists: the lists that it names, as paths, by option; a table's column stays a name.
        lines: what a person wrote into it.
    """

    path: Path
    data: bytes
    values: Mapping[str, Any]
    root: Path
    lists: Mapping[str, str]
    lines: YamlLines


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A setting that is no longer what it was.

    Attributes:
        name: the option.
        old: its value in the file.
        new: its value from now on; None: it is not set any more.
        why: the reason.
    """

    name: str
    old: Any
    new: Any
    why: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Settings of a file and of what was found.

    Attributes:
        fields: what is set from now on.
        kept: settings of the file that stay.
        added: settings that it did not have.
        changed: settings of the file that do not stay.
    """

    fields: dict[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)
    changed: tuple[ChangedSetting, ...] = ()


def read_saved(path: Path, *, named: bool) -> Saved | None:
    """Read a ``videoprep.yaml``, or return None if there is no such file.

    Args:
        path: the file.
        named: whether the user has named it, see `read_spec_file`.

    Raises:
        SpecError: it cannot be read, or is not a file of its own.
    """
    if not os.path.lexists(path):
        return None
    require_own_file(path)
    data = path.read_bytes()
    fields, values = {"data_root": path.parent}, {}
    if not _only_comments(data):
        if describes_several(path):
            raise SpecError(
                "describes several datasets, and is not rewritten",
                where=str(path),
                remedy="edit it yourself, or start from scratch with `overwrite`",
            )
        try:
            fields = read_spec_file(path, named=named)
            require_known(fields, path)
        except SpecError as error:
            remedy = f"{error.remedy}; or start from scratch with `overwrite`"
            raise SpecError(error.message, where=error.where, remedy=remedy) from error
        loaded = yaml.safe_load(data)
        values = {option_name(key): value for key, value in loaded.items()}
    lists = {name: str(fields[name]) for name in ("dataset_file", *_MAIN) if fields.get(name)}
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    lines = read_yaml_lines(text, MARK, explanations())
    return Saved(path, data, values, fields["data_root"], lists, lines)


def require_own_file(path: Path) -> None:
    """Check that a file that is there may be replaced.

    Raises:
        SpecError: it is a folder, a link, or something else that is not a file.
    """
    if path.is_symlink() or not path.is_file():
        raise SpecError(
            "is a folder, a link or a device, and is not replaced",
            where=str(path),
            remedy="remove it or rename it, or write the file elsewhere with `output`",
        )


def _only_comments(data: bytes) -> bool:
    lines = (line.strip() for line in data.splitlines())
    return all(not line or line.startswith(b"#") for line in lines)


def find(where: Path, named: Mapping[str, str], saved: Saved | None) -> tuple[Found, str | None]:
    """Find the dataset: by what the file says, as far as that holds.

    Args:
        where: the folder or list that the user named.
        named: columns that the user named.
        saved: the file that is there.

    Returns:
        The dataset, and why what the file says of its lists does not hold; None: it does.

    Raises:
        SpecError: there is nothing that could be a dataset.
    """
    if saved is None or not set(_LISTS) & set(saved.values):
        return discover(where, named), None
    why = _elsewhere(where, saved)
    if why is None:
        try:
            return _as_saved(where, named, saved), None
        except SpecError as error:
            why = f"{error.where}: {error.message}" if error.where else error.message
    return discover(where, named), why


def merge(
    found: Found, saved: Saved | None, why: str | None, explicit: Mapping[str, Any]
) -> Merged:
    """Merge what was found with what a file sets, which counts more.

    Args:
        found: the dataset.
        saved: the file that is there.
        why: why what the file says of its lists does not hold.
        explicit: what the user has asked for now, which counts most.
    """
    if saved is None:
        return Merged({**found.fields, **explicit})
    dropped = dict(_no_longer(found, saved, why))
    old = {name: value for name, value in saved.values.items() if name not in dropped}
    fields = {**found.fields, **old, **explicit}
    kept = {
        name: value
        for name, value in saved.values.items()
        if name in fields and (fields[name] is value or fields[name] == value)  # as NaN is not
    }
    changed = tuple(
        ChangedSetting(name, value, fields.get(name), dropped.get(name, "as you asked"))
        for name, value in saved.values.items()
        if name not in kept
    )
    added = {name: value for name, value in fields.items() if name not in saved.values}
    return Merged(fields, kept, added, changed)


def own_lines(saved: Saved | None, kept: Collection[str]) -> YamlLines:
    """Return what a person wrote, without the lines of settings that do not stay."""
    if saved is None:
        return YamlLines()
    settings = {name: lines for name, lines in saved.lines.settings.items() if name in kept}
    return replace(saved.lines, settings=settings)


def _elsewhere(where: Path, saved: Saved) -> str | None:
    """Why the user means another dataset than the file does, or None."""
    if where.is_file():
        table = saved.lists.get("dataset_file")
        same = table is not None and os.path.realpath(table) == os.path.realpath(where)
        return None if same else f"{where.name} was named"
    inside = is_inside(os.path.realpath(saved.root), os.path.realpath(where))
    return None if inside else f"{where} was named"


def _as_saved(where: Path, named: Mapping[str, str], saved: Saved) -> Found:
    """The dataset that the file describes, with what it leaves open.

    Raises:
        SpecError: a list or a column is missing.
    """
    folder = saved.path.parent
    mine = {name: saved.values[name] for name in _LISTS if saved.values.get(name) is not None}
    columns = {name: str(mine[name]) for name in _MAIN if name in mine} | dict(named)
    if "dataset_file" in saved.lists:
        table = Path(saved.lists["dataset_file"])
        if table.name == CONVERTED:
            raise SpecError("an earlier version made it; now the files it was made of are read")
        found = discover(table, columns)
    elif (pair := _line_files(saved)) is not None:
        return Found(folder, pair[0], mine, pair[1])
    else:
        found = _without_list(where, columns, saved)
    if not saved.root.is_dir():
        raise SpecError("the data root does not exist", where=str(saved.root))
    fields = {**_placed(found, folder), **mine}
    return replace(found, folder=folder, fields=fields)


def _without_list(where: Path, columns: Mapping[str, str], saved: Saved) -> Found:
    """The dataset of a file that does not name a list, in the folder or in its data root."""
    chosen = {"format": str(saved.values["format"])} if saved.values.get("format") else {}
    found = discover(where, {**columns, **chosen})
    if "format" in found.fields:  # its videos are those of the data root
        return discover(saved.root, {**columns, **chosen})
    missing = [name for name in columns if found.fields.get(name) != columns[name]]
    if missing:
        raise SpecError(f"there is neither a file nor a column {columns[missing[0]]!r}")
    return found


def _placed(found: Found, folder: Path) -> dict[str, Any]:
    """What was found, without paths that hold in another folder."""
    if os.path.realpath(found.folder) == os.path.realpath(folder):
        return found.fields
    paths = {"data_root", "dataset_file"}
    return {name: value for name, value in found.fields.items() if name not in paths}


def _line_files(saved: Saved) -> tuple[str, tuple[str, ...]] | None:
    """Two line files that the file names, in words, and the videos that they begin with."""
    folder = saved.path.parent
    captions = Path(saved.lists.get("caption_column", folder / PROMPTS))
    videos = Path(saved.lists.get("video_column", folder / VIDEOS))
    if not (captions.is_file() and videos.is_file()):
        return None
    with videos.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        names = tuple(filter(None, (line.strip() for line in islice(file, LOOKED_AT))))
    return f"{captions.name} and {videos.name}: a caption and a video per line", names


def _no_longer(found: Found, saved: Saved, why: str | None) -> Iterator[tuple[str, str]]:
    """Settings of the file that do not hold any more, with the reason."""
    header = header_of(found)
    for name, value in saved.values.items():
        if name not in _LISTS or value is None:
            continue
        if name in _EXTRA:
            if value and header is not None and value not in header:
                yield name, f"there is no column {value!r}"
        elif why is not None and name == "data_root":
            inside = is_inside(os.path.realpath(saved.root), os.path.realpath(found.root))
            if not (inside and any(is_there(saved.root, one) for one in found.names[:100])):
                yield name, why
        elif why is not None:
            yield name, why


def header_of(found: Found) -> list[str] | None:
    """The columns of the table, if it is one."""
    table = found.fields.get("dataset_file")
    if table is None:
        return None
    paths = [folder / str(table) for folder in (found.root, found.folder)]
    path = next((one for one in paths if one.is_file()), None)
    reader = table_reader(path) if path is not None else None
    return reader.header(path).names if path is not None and reader is not None else None
