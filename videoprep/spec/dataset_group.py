"""`DatasetGroup`: several datasets of one ``videoprep.yaml``, which are planned as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from typing_extensions import Unpack

from videoprep.errors import Problem, SpecError, VideoprepError, nearest
from videoprep.fs.files import is_url
from videoprep.fs.mirror import remote_of, shown
from videoprep.spec.configs import trainer_config
from videoprep.spec.configs.contract import ConfigReader, TrainerDataset
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.spec.configs.roots import moved_hint
from videoprep.spec.dataset import DatasetSpec, require_known
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.group_file import DatasetEntry, file_of, read_group_file
from videoprep.spec.path_hints import dataset_path, nowhere
from videoprep.spec.remote_lists import bring_spec_file, remote_errors
from videoprep.spec.video_lookup import is_inside

NAME_MARK = "#"
"""What parts the file from the name of one of its datasets: ``videoprep.yaml#people``."""

# Options that say where a dataset is, which each dataset of a group says for itself.
_OF_PLACE = ("data_root", "dataset_file")


@dataclass(frozen=True, slots=True)
class GroupedDataset:
    """A dataset of a group, found."""

    entry: DatasetEntry
    """What the file says of it."""
    spec: DatasetSpec

    @property
    def name(self) -> str:
        """Its name."""
        return self.entry.name

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Make errors say which dataset they are about."""
        with self.spec.blaming_file(), named_in_errors(self.entry):
            yield


@dataclass(frozen=True, slots=True)
class DatasetGroup:
    """The datasets of a ``videoprep.yaml`` with ``datasets:``.

    One index is planned of all of them, with a column ``dataset`` that names each clip's.
    """

    file: Path
    """The ``videoprep.yaml``."""
    entries: tuple[DatasetEntry, ...]
    """Its datasets, as it describes them."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What it sets for all of them."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `DatasetSpec` that are replaced in each dataset."""
    default_profile: str | None = None
    """The profile of datasets that name none."""
    trainer: str | None = None
    """The trainer whose config the file is; None if it is a ``videoprep.yaml``."""
    config_notes: tuple[Problem, ...] = ()
    """What of a trainer's config is not honoured, and what else the user has to know of it."""

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], **options: Unpack[DatasetOptions]
    ) -> DatasetGroup:
        """Read a ``videoprep.yaml`` with several datasets, which are not looked up yet.

        Args:
            path: the file, or the folder that it lies in; may be a URL.
            options: fields to replace in each of its datasets.

        Raises:
            SpecError: there is no such file, it is wrong, or an option is not for several.
        """
        found = cls.find(path, **options)
        if found is not None:
            return found
        raise SpecError(
            "no videoprep.yaml with several datasets here",
            where=os.fspath(path),
            remedy="write one with 'datasets', or give the path to `DatasetSpec`",
        )

    @classmethod
    def find(
        cls, path: str | os.PathLike[str], **options: Unpack[DatasetOptions]
    ) -> DatasetGroup | None:
        """Return the same; None if the path is that of something else, or of nothing.

        Raises:
            SpecError: the file is wrong, or an option is not for several datasets.
        """
        location = dataset_path(path)
        with remote_errors():
            bring_spec_file(location)
            config = trainer_config(location)
            file = file_of(location) if config is None else location
        if file is None:
            return None
        require_known(options)
        given = {name: value for name, value in options.items() if value is not None}
        for name in _OF_PLACE:
            if name in given:
                raise SpecError(
                    f"`{name}` is of one dataset, and this file describes several",
                    where=shown(file),
                    remedy=f"leave it out, or name one of the datasets: {shown(file)}#NAME",
                    option=name,
                )
        if config is not None:
            return cls._of_config(*config, given)
        named = file == location and remote_of(location) is None
        read = read_group_file(file, named=named)
        return cls(file, read.entries, read.defaults, given)

    @classmethod
    def _of_config(
        cls, reader: ConfigReader, file: ParsedFile, given: Mapping[str, Any]
    ) -> DatasetGroup:
        """Return the datasets of a trainer's config."""
        config = reader.read(file)
        return cls(
            file.path,
            tuple(DatasetEntry.of_trainer(file.path, one) for one in config.datasets),
            {},
            given,
            config.profile,
            reader.trainer,
            config.problems,
        )

    @classmethod
    def member_at(
        cls, location: str | os.PathLike[str], options: DatasetOptions
    ) -> DatasetSpec | None:
        """Return the dataset that ``videoprep.yaml#name`` means; None if it is another path.

        Raises:
            SpecError: the file has no such dataset, or it cannot be found.
        """
        path, _, name = os.fspath(location).rpartition(NAME_MARK)
        if not name or (not is_url(path) and os.path.lexists(location)):
            return None
        group = cls.find(path or ".")
        if group is None:
            return None
        return group.with_options(options).member(name).spec

    def with_options(self, options: Mapping[str, Any]) -> DatasetGroup:
        """Return the group with fields replaced in each dataset; None replaces nothing."""
        given = {name: value for name, value in options.items() if value is not None}
        return replace(self, options={**self.options, **given})

    @property
    def folder(self) -> Path:
        """The folder of the file, which paths in it are relative to."""
        return self.file.parent

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the datasets."""
        return tuple(entry.name for entry in self.entries)

    @property
    def whole(self) -> DatasetSpec:
        """The options for what is about all datasets together: which rules are applied, and so on.

        Raises:
            SpecError: one is wrong.
        """
        of_place = {*_OF_PLACE, "format", "caption_column", "video_column"}
        written = {name: one for name, one in self.defaults.items() if name not in of_place}
        fields = {**written, **self.options, "data_root": self.folder}
        if fields.get("profile") is None:
            fields["profile"] = self.default_profile
        return DatasetSpec._checked(fields, frozenset(self.options), self.file)

    def member(self, name: str) -> GroupedDataset:
        """Return one of the datasets.

        Raises:
            SpecError: there is none of that name, or it cannot be found.
        """
        for entry in self.entries:
            if entry.name == name:
                return self.open(entry)
        raise SpecError(
            f"there is no dataset {name!r}",
            where=shown(self.file),
            remedy=nearest(name, self.names, "its datasets are"),
        )

    def open(self, entry: DatasetEntry) -> GroupedDataset:
        """Find a dataset of the group.

        Raises:
            SpecError: it is not there, or it is wrong.
        """
        with named_in_errors(entry):
            if entry.trainer is not None:
                spec = self._of_trainer(entry, entry.trainer)
                return GroupedDataset(entry, self._with_default(spec))
            if remote_of(entry.path) is not None:
                entry.folder.mkdir(parents=True, exist_ok=True)
            elif not os.path.lexists(entry.path):
                raise SpecError(
                    f"no such file or folder: {entry.keys.path}",
                    where=entry.place("path"),
                    remedy=nowhere(entry.path, "correct the path, or remove the dataset"),
                )
            given = cast(DatasetOptions, self.options)
            spec = DatasetSpec.in_group(entry.path, entry.options, given, self.file, entry.name)
        return GroupedDataset(entry, self._with_default(spec))

    def _of_trainer(self, entry: DatasetEntry, dataset: TrainerDataset) -> DatasetSpec:
        """Find a dataset of a trainer's config, or another folder that was named for it."""
        given = cast(DatasetOptions, self.options)
        root = Path(given.get("data_root") or entry.path)
        if not os.path.isdir(root):
            near = moved_hint(entry.keys.path, self.file)
            other = f"did you mean {near}? " if near is not None else ""
            raise SpecError(
                f"no such folder: {entry.keys.path}",
                where=entry.place("path"),
                remedy=f"{other}correct the path, or name the folder on this machine with "
                f"`data_root`, for one dataset: {shown(self.file)}{NAME_MARK}{entry.name}",
            )
        return DatasetSpec.of_trainer(dataset, given, self.file)

    def _with_default(self, spec: DatasetSpec) -> DatasetSpec:
        return spec if self.default_profile is None else _with_profile(spec, self.default_profile)

    def members(self) -> tuple[GroupedDataset, ...]:
        """Find all datasets.

        Raises:
            SpecError: one is not there or wrong, or they are for models of several families.
        """
        found = tuple(map(self.open, self.entries))
        _require_one_profile(found)
        return found


Datasets = DatasetSpec | DatasetGroup
"""What a command reads: a dataset, or several that are one."""


def group_of(
    source: Datasets | str | os.PathLike[str], **options: Unpack[DatasetOptions]
) -> DatasetGroup | None:
    """Return the group of several datasets that a source is; None if it is one dataset.

    Raises:
        SpecError: the file is wrong, or an option is not for several datasets.
    """
    if isinstance(source, DatasetGroup):
        return source.with_options(options) if options else source
    return None if isinstance(source, DatasetSpec) else DatasetGroup.find(source, **options)


def open_datasets(
    source: Datasets | str | os.PathLike[str], **options: Unpack[DatasetOptions]
) -> Datasets:
    """Return the dataset at a path, or the group of several, with some fields replaced.

    Raises:
        SpecError: there is none, or an option is wrong.
    """
    group = group_of(source, **options)
    if group is not None:
        return group
    assert not isinstance(source, DatasetGroup)  # noqa: S101 (it is one of itself)
    return DatasetSpec.of(source, **options)


def specs_of(datasets: Datasets) -> tuple[DatasetSpec, ...]:
    """Return each of the datasets.

    Raises:
        SpecError: see `DatasetGroup.members`.
    """
    if isinstance(datasets, DatasetGroup):
        return tuple(one.spec for one in datasets.members())
    return (datasets,)


def with_default_profile(datasets: Datasets, profile: str) -> Datasets:
    """Return datasets of which those that name no profile have this one."""
    if isinstance(datasets, DatasetGroup):
        return replace(datasets, default_profile=profile)
    return _with_profile(datasets, profile)


def _with_profile(spec: DatasetSpec, profile: str) -> DatasetSpec:
    return spec if spec.profile is not None else spec.model_copy(update={"profile": profile})


def common_root(group: DatasetGroup, members: tuple[GroupedDataset, ...]) -> Path:
    """Return the folder that the paths in the index of a group are relative to.

    It is that of the file, so that adding a dataset renames nothing of the others; if one lies
    elsewhere, the folder that holds all of them.

    Raises:
        SpecError: some are behind URLs, and no folder there holds all of them.
    """
    folder = Path(os.path.realpath(group.folder))
    roots = [Path(os.path.realpath(one.spec.data_root)) for one in members]
    if all(is_inside(str(root), str(folder)) for root in roots):
        return folder
    root = Path(os.path.commonpath(roots))
    if remote_of(root) is None and any(map(remote_of, roots)):
        raise SpecError(
            "datasets behind different URLs, or behind a URL and on this machine, cannot be one",
            where=shown(group.file),
            remedy="put them into one folder there, or describe and encode each by itself",
        )
    return root


@contextmanager
def named_in_errors(entry: DatasetEntry) -> Iterator[None]:
    """Make errors say which dataset they are about, and where the file describes it."""
    try:
        yield
    except VideoprepError as error:
        error.message = f"dataset {entry.name!r}: {error.message}"
        error.args = (error.message, *error.args[1:])
        if error.where is None or error.where == os.fspath(entry.file):
            error.where = entry.place(error.option or "")
        raise


def _require_one_profile(members: tuple[GroupedDataset, ...]) -> None:
    profiles = {one.spec.profile for one in members}
    if len(profiles) > 1:
        names = ", ".join(f"{one.name}: {one.spec.profile or 'not set'}" for one in members)
        raise SpecError(
            f"the datasets are for models of different profiles: {names}",
            where=shown(members[0].entry.file),
            remedy="set one `profile` for all, beside 'datasets'",
        )
