"""``videoprep.yaml``: a `DatasetSpec` saved beside its data. Read as data of a stranger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from videoprep.errors import SpecError
from videoprep.spec.own_roots import is_own_root
from videoprep.spec.video_lookup import is_inside

NAME = "videoprep.yaml"
"""What the file is called."""

_MOST_BYTES = 1 << 16
_SHOWN = 5
_STAY = "write a path inside the folder, or give it on the command line"
_MOST_EXACT = 1 << 53  # beyond it, not every whole number is a float
_LINE_ENDS = frozenset("\x85\u2028\u2029")

DATASETS = "datasets"
"""The key of a file that describes several datasets; see `group_file`."""
_LISTS = ("caption_column", "video_column")


class _SafeLoader(yaml.SafeLoader):
    """Without aliases, with which a few lines stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Writes text that is read back as it is, and whole numbers as people write them.

    The line ends of Unicode are written as codes: as they are, YAML would read them as a space.
    """


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _LINE_ENDS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _write_number(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    whole = number.is_integer() and abs(number) < _MOST_EXACT
    return dumper.represent_int(int(number)) if whole else dumper.represent_float(number)


_Dumper.add_representer(str, _write_text)
_Dumper.add_representer(float, _write_number)


def read_spec_file(path: Path, *, named: bool = False, root: Path | None = None) -> dict[str, Any]:
    """The fields that the file sets, by name; hyphens in names are taken for underscores.

    The file may come with a dataset from elsewhere: the paths in it have to stay in its folder.

    Args:
        path: the file.
        named: the user has named this very file, and not a folder that it was found in. An absolute
            path in it is then taken as it is; relative paths have to stay in the folder all the
            same. So is the absolute data root of a dataset that this user made of films elsewhere.
        root: the data root, if the user has named it: then it does not matter what the file says.

    Raises:
        SpecError: it cannot be read, is no mapping, leads out of its folder, or describes several
            datasets.
    """
    fields = read_settings(path)
    if DATASETS in fields:
        first, *others = _names(fields[DATASETS]) or ["NAME"]
        raise _error(
            path,
            "describes several datasets, and one is wanted here",
            f"name one of them: {' or '.join([f'{path}#{first}', *(f'…#{n}' for n in others)])}",
        )
    if root is None:
        written = fields.get("data_root", ".")
        root = path.parent / path_inside(path, "data_root", written, named)
    fields["data_root"] = root
    return fields | lists_inside(path, fields, fields["data_root"], named)


def _names(items: Any) -> list[str]:
    """The first datasets of a list, by their names or their paths."""
    if not isinstance(items, list):
        return []
    texts = (one.get("name", one.get("path")) if isinstance(one, dict) else one for one in items)
    return [text for text in texts if isinstance(text, str)][:_SHOWN]


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a file sets, as it is written; hyphens in names are taken for underscores.

    Raises:
        SpecError: it cannot be read, is no mapping, or allows itself what only the user can.
    """
    fields = {str(name).replace("-", "_"): value for name, value in _mapping(path).items()}
    require_modest(path, fields)
    return fields


def require_modest(path: Path, fields: Mapping[str, Any]) -> None:
    """Check that a file does not allow itself what only the user can allow.

    Raises:
        SpecError: it does.
    """
    if fields.get("allow_outside_root"):
        raise _error(
            path, "sets allow_outside_root", "leave it out, and set `allow_outside_root` yourself"
        )


def lists_inside(path: Path, fields: Mapping[str, Any], root: Path, named: bool) -> dict[str, str]:
    """Return where the lists lie that a file names, by option.

    Args:
        path: the file.
        fields: what it sets.
        root: the folder of the videos.
        named: see `read_spec_file`.

    Raises:
        SpecError: one leads out of the folder.
    """
    names = ("dataset_file",) if fields.get("dataset_file") is not None else _LISTS
    return {name: _list(path, name, fields[name], root, named) for name in names if name in fields}


def _list(path: Path, name: str, value: Any, root: Path, named: bool) -> str:
    """Where a list lies: beside the videos or beside this file, wherever videos are looked for."""
    written = path_inside(path, name, value, named)
    found = root / written if os.path.exists(root / written) else path.parent / written
    if name in _LISTS and not os.path.exists(found):
        return written  # a column of the table that lies there
    # The root lies in the folder, or is an absolute path of the user's own.
    folders = [os.path.realpath(folder) for folder in (path.parent, root)]
    inside = any(is_inside(os.path.realpath(found), folder) for folder in folders)
    if not inside and not os.path.isabs(written):
        raise _error(path, f"{name} leads out of the folder: {written[:500]}", _STAY)
    return str(found.absolute())


def spec_text(fields: Mapping[str, Any]) -> str:
    """The file's text; `read_spec_file` reads it back."""
    return yaml.dump(dict(fields), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def read_file(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        SpecError: it cannot be read, or is too large.
    """
    try:
        if not path.is_file():  # a FIFO would never end
            raise _error(path, "is no file", "name a videoprep.yaml")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror}", "check its permissions") from error
    if len(data) > _MOST_BYTES:
        raise _error(path, f"is larger than {_MOST_BYTES} bytes", "this is no spec")
    return data


def _mapping(path: Path) -> dict[Any, Any]:
    data = read_file(path)
    try:
        fields = yaml.load(data, _SafeLoader)  # noqa: S506 (a SafeLoader)
    except Exception as error:  # PyYAML raises anything, for instance KeyError at !!bool x
        reason = " ".join(str(error).split())[:500]
        raise _error(path, f"is not valid YAML: {reason}", "correct it, or delete it") from error
    if not isinstance(fields, dict):
        raise _error(path, "is no mapping of names to values", "write lines such as: profile: wan")
    return fields


def path_inside(path: Path, name: str, value: Any, named: bool) -> str:
    """Return a path that a file names, if it stays in the file's folder or is the user's own.

    Args:
        path: the file.
        name: the option that names it.
        value: the path, as it is written.
        named: see `read_spec_file`.

    Raises:
        SpecError: it leads out of the folder, or is no path.
    """
    if not isinstance(value, str) or not _is_path(value):
        raise _error(path, f"{name} is no path", "write a path relative to this file's folder")
    absolute = PurePath(value).is_absolute()
    own_root = name == "data_root" and is_own_root(path.parent, value)
    if absolute and (named or own_root):
        return value
    leads_out = absolute or ".." in PurePath(value).parts
    # A folder that is a link may lead anywhere. The lists are looked at when they are read.
    if not leads_out and name in ("data_root", "path"):
        folder = os.path.realpath(path.parent)
        leads_out = not is_inside(os.path.realpath(path.parent / value), folder)
    if leads_out:
        message = f"{name} leads out of the folder: {value[:500]}"
        if absolute and name == "data_root":
            message += "; the dataset was copied or moved since it was made, or is not yours"
            remedy = f"if you trust it, name the folder of its videos: `data_root={value[:500]!r}`"
            raise _error(path, message, f"{remedy}; or name this file itself")
        raise _error(path, message, f"{_STAY}; or name this file itself" if absolute else _STAY)
    return value


def _is_path(value: str) -> bool:
    """Whether the system takes the text as a path: NUL bytes and lone surrogates it does not."""
    try:
        return "\0" not in value and len(os.fsencode(value)) < 4096
    except UnicodeEncodeError:
        return False


def _error(path: Path, message: str, remedy: str) -> SpecError:
    return SpecError(message, where=str(path), remedy=remedy)
