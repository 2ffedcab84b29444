"""``datasets:`` in a ``videoprep.yaml``: several in one file. Read as data of a stranger."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from videoprep.errors import SpecError
from videoprep.fs.files import is_url
from videoprep.fs.mirror import remote_of, shown
from videoprep.options import Cli, as_key, joined, unknown_option, wrong_values
from videoprep.spec.configs.contract import TrainerDataset
from videoprep.spec.dataset import DatasetSpec, require_known, saved_spec
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.readers import table_suffixes
from videoprep.spec.spec_file import (
    DATASETS,
    lists_inside,
    path_inside,
    read_file,
    read_settings,
    require_modest,
)
from videoprep.spec.yaml_lines import lines_of_items, option_name
from videoprep.text import escape_unprintable

DatasetRole = Literal["train", "validation", "regularization"]
"""What a dataset is for in training."""

VALIDATION: DatasetRole = "validation"
REGULARIZATION: DatasetRole = "regularization"

_OF_ALL = ("fail_on",)
"""Options that no single dataset can have for itself."""

_MOST = 1000
_LONGEST = 200


class DatasetKeys(BaseModel):
    """The keys of a dataset among several, beside the options that any dataset has."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Annotated[str, Field(min_length=1), Cli(alike=("folder", "directory", "dir"))]
    """Folder or list of the dataset, relative to the file."""
    name: Annotated[str | None, Field(min_length=1, max_length=_LONGEST)] = None
    """Name of the dataset in messages, in the column `dataset` of the index, and after `#`.
    Default: its path."""
    role: Annotated[DatasetRole, Cli(alike=("is_reg", "type"))] = "train"
    """What the dataset is for: `train`, `validation` or `regularization`."""
    weight: Annotated[
        Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None,
        Cli(alike=("probability", "share")),
    ] = None
    """Share of the dataset in an epoch, relative to the weights of the other datasets of its role,
    however many clips each of them has."""
    repeats: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None, Cli(alike=("num_repeats",))
    ] = None
    """How often each sample of the dataset is repeated in an epoch; instead of `weight`."""


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A dataset as the file describes it; whether it is there has not been looked up."""

    file: Path
    """The ``videoprep.yaml``."""
    lines: Mapping[str, int]
    """The lines of its keys in the file; of the dataset as a whole under the empty name."""
    keys: DatasetKeys
    path: Path
    """Where it is."""
    options: Mapping[str, Any]
    """Of `DatasetSpec`, as the file sets them for it, those for all of its datasets among them."""
    trainer: TrainerDataset | None = None
    """What a trainer's config says of it, if the file is one."""

    @property
    def name(self) -> str:
        """Its name, or its path as it is written."""
        return self.keys.path if self.keys.name is None else self.keys.name

    @property
    def role(self) -> DatasetRole:
        """What it is for."""
        return self.keys.role

    @classmethod
    def of_trainer(cls, file: Path, one: TrainerDataset) -> DatasetEntry:
        """Return a dataset that a trainer's config describes."""
        keys = DatasetKeys(path=one.written, name=one.name, role=one.role, repeats=one.repeats)
        return cls(file, {"": one.line}, keys, one.root, one.options, one)

    @property
    def folder(self) -> Path:
        """The folder that it is, or that its list lies in."""
        return _folder_of(self.path)

    def place(self, key: str = "") -> str:
        """Return the file and the line of a key, or of the dataset if it does not set the key."""
        return f"{shown(self.file)}:{self.lines.get(key, self.lines[''])}"


@dataclass(frozen=True, slots=True)
class GroupFile:
    """What a ``videoprep.yaml`` with several datasets says."""

    defaults: Mapping[str, Any]
    """What it sets for all of them."""
    entries: tuple[DatasetEntry, ...]
    """Each of them."""


def describes_several(path: Path) -> bool:
    """Return whether a ``videoprep.yaml`` describes several datasets; it may be no such file."""
    try:
        return DATASETS in read_settings(path)
    except SpecError:
        return False


def read_group_file(file: Path, *, named: bool = False) -> GroupFile:
    """Read a file that describes several datasets.

    Args:
        file: the ``videoprep.yaml``.
        named: see `read_spec_file`.

    Raises:
        SpecError: it cannot be read, or describes no datasets that could be.
    """
    settings = read_settings(file)
    items = settings.pop(DATASETS, None)
    if not isinstance(items, list) or not 0 < len(items) <= _MOST:
        raise SpecError(
            f"'{DATASETS}' is no list of 1 to {_MOST:,} datasets",
            where=shown(file),
            remedy="write an item for each dataset, such as: - path: people",
        )
    for key in settings:
        _require_option(key, file)
    reader = _EntryReader(file, settings, named)
    lines = lines_of_items(read_file(file), DATASETS)
    entries = tuple(reader.read(item, at) for item, at in zip(items, lines, strict=True))
    _require_names(entries)
    _require_weights(entries)
    return GroupFile(settings, entries)


def _require_option(key: str, file: Path) -> None:
    """Check a key that stands beside the list, for all datasets."""
    if key in DatasetKeys.model_fields:
        raise SpecError(
            f"{key!r} is a key of each dataset, and stands beside '{DATASETS}'",
            where=shown(file),
            remedy="write it into the items of the list",
        )
    require_known([key], file)


@dataclass(frozen=True, slots=True)
class _EntryReader:
    """Reads the items of the list."""

    file: Path
    defaults: Mapping[str, Any]
    """What the file sets for all datasets."""
    named: bool

    def read(self, item: Any, lines: Mapping[str, int]) -> DatasetEntry:
        written = {"path": item} if isinstance(item, str) else item
        if not isinstance(written, dict):
            raise self._error(
                "is no dataset", "write a path, or keys such as: path: people", lines[""]
            )
        written = {option_name(key): value for key, value in written.items()}
        keys = self._keys(written, lines)
        try:
            path = self._path(keys.path)
            options = self._options(written, path)
        except SpecError as error:
            error.where = f"{shown(self.file)}:{lines['']}"
            raise
        return DatasetEntry(self.file, lines, keys, path, options)

    def _keys(self, written: Mapping[str, Any], lines: Mapping[str, int]) -> DatasetKeys:
        known = (*DatasetKeys.model_fields, *DatasetSpec.model_fields)
        for key in written:
            if key not in known:
                message, remedy = _unknown_key(key)
                raise self._error(message, remedy, lines.get(key, lines[""]))
            if key in _OF_ALL:
                raise self._error(
                    f"{key!r} is of all datasets together",
                    f"write it beside '{DATASETS}'",
                    lines.get(key, lines[""]),
                )
        if "path" not in written:
            raise self._error("a dataset has no 'path'", "write where it is", lines[""])
        own = {key: value for key, value in written.items() if key in DatasetKeys.model_fields}
        try:
            keys = DatasetKeys(**own)
        except ValidationError as error:
            wrong = wrong_values(error, DatasetKeys, as_key)
            at = lines.get(next(iter(wrong)), lines[""])
            raise self._error(joined(wrong.values()), _meant_role(own, wrong), at) from error
        if keys.weight is not None and keys.repeats is not None:
            raise self._error(
                "'weight' and 'repeats' both say how often the dataset comes",
                "leave one of them out",
                lines["repeats"],
            )
        return keys

    def _path(self, written: str) -> Path:
        if not is_url(written):
            return self.file.parent / path_inside(self.file, "path", written, self.named)
        path = dataset_path(written)
        here = remote_of(self.file.parent)
        inside = here is not None and here.name_of(path) is not None
        if not self.named and not inside:
            raise SpecError(
                f"path is an address: {written[:500]}",
                remedy="name this file itself, and not the folder that it lies in, to allow that",
            )
        return path

    def _options(self, written: Mapping[str, Any], path: Path) -> dict[str, Any]:
        own = {key: value for key, value in written.items() if key in DatasetSpec.model_fields}
        options = {**self.defaults, **own}
        require_modest(self.file, options)
        root = _folder_of(path)
        if "data_root" in options:
            inside = path_inside(self.file, "data_root", options["data_root"], self.named)
            options["data_root"] = root = self.file.parent / inside
        return options | lists_inside(self.file, options, root, self.named)

    def _error(self, message: str, remedy: str, line: int) -> SpecError:
        return SpecError(message, where=f"{shown(self.file)}:{line}", remedy=remedy)


def _meant_role(own: Mapping[str, Any], wrong: Iterable[str]) -> str:
    """What to do about wrong values: the role that was probably meant."""
    roles, written = get_args(DatasetRole), own.get("role")
    close = difflib.get_close_matches(str(written).lower(), roles, n=1, cutoff=0.7)
    if "role" not in wrong or not close:
        return "correct the file"
    return f"did you mean {close[0]!r}?"


def _folder_of(path: Path) -> Path:
    """The folder at a path, or that of the list there; behind a URL its ending tells."""
    is_list = path.suffix.lower() in table_suffixes() and not path.is_dir()
    return path.parent if is_list or path.is_file() else path


def _unknown_key(key: str) -> tuple[str, str]:
    """The message and the remedy for a key that no dataset has."""
    message, remedy = unknown_option(key, DatasetKeys, as_key)
    if "did you mean" in remedy:
        return message, remedy
    _, other = unknown_option(key, DatasetSpec, as_key)
    own = ", ".join(DatasetKeys.model_fields)
    there_are = f"the keys are {own}, and the options of any dataset"
    return message, other if "did you mean" in other else there_are


def _require_names(entries: Iterable[DatasetEntry]) -> None:
    """Check that each dataset can be told by its name."""
    seen: dict[str, DatasetEntry] = {}
    for entry in entries:
        name = entry.name
        if "#" in name or escape_unprintable(name, keep="") != name or len(name) > _LONGEST:
            raise SpecError(
                f"{name[:_LONGEST]!r} cannot be the name of a dataset",
                where=entry.place("name"),
                remedy="give it a 'name' of its own, of letters, digits and spaces",
            )
        before = seen.setdefault(name, entry)
        if before is not entry:
            raise SpecError(
                f"two datasets are called {name!r}; the other one is in line {before.lines['']}",
                where=entry.place("name"),
                remedy="give each a 'name' of its own",
            )


def _require_weights(entries: Iterable[DatasetEntry]) -> None:
    """Check that weights can be compared: of a role, all datasets have one or none has."""
    of_role: dict[DatasetRole, list[DatasetEntry]] = {}
    for entry in entries:
        of_role.setdefault(entry.role, []).append(entry)
    for role, members in of_role.items():
        weighted = [entry for entry in members if entry.keys.weight is not None]
        if role == VALIDATION and weighted:
            raise SpecError(
                f"dataset {weighted[0].name!r}: a dataset for validation is not drawn from, so "
                "that it has no 'weight'",
                where=weighted[0].place("weight"),
                remedy="leave it out",
            )
        if weighted and len(weighted) < len(members):
            without = ", ".join(_without_weight(members))
            raise SpecError(
                f"of the datasets for {_PURPOSE[role]} some have a 'weight', such as "
                f"{weighted[0].name}, and these have none: {without}",
                where=weighted[0].place("weight"),
                remedy="give each of them a 'weight', or none",
            )


_PURPOSE: Mapping[DatasetRole, str] = {
    "train": "training",
    "validation": "validation",
    "regularization": "regularization",
}


def _without_weight(entries: Iterable[DatasetEntry]) -> Iterator[str]:
    return (entry.name for entry in entries if entry.keys.weight is None)


def file_of(path: str | os.PathLike[str]) -> Path | None:
    """Return the ``videoprep.yaml`` with several datasets that a path means; None if it has none.

    Args:
        path: such a file, or the folder that it lies in.
    """
    try:
        saved = saved_spec(dataset_path(path))
    except SpecError:
        return None  # whoever reads it as one dataset says why
    return saved if saved is not None and describes_several(saved) else None
