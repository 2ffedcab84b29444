"""`open_index`: the one place that decides whether something is a dataset, an index or a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from typing_extensions import Unpack

from videoprep.errors import PlanError, SpecError, StoreError
from videoprep.fs import is_url
from videoprep.fs.mirror import shown
from videoprep.fs.staging import bring
from videoprep.index.builder import OnProgress
from videoprep.index.policy import options_of
from videoprep.index.table import BucketIndex, OnMissing
from videoprep.spec.columns import as_fields
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup, Datasets, open_datasets, with_default_profile
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.readers import table_readers
from videoprep.store.layout import CATALOGUE, Store

Source = BucketIndex | Datasets | str | os.PathLike[str]
"""A dataset or several, an index or a store: the object, its path or its URL."""

SourceKind = Literal["dataset", "index", "store"]


def kind_of(source: Source) -> SourceKind:
    """Return what a source is, by its contents and not by its name.

    A folder with a ``store.json`` is a store, and so is one that has only the catalogue of a store
    left, so that the error is about the store. A Parquet file is an index if it says so of itself,
    and else a table of videos. Everything else is a dataset, which need not exist.
    """
    if isinstance(source, BucketIndex):
        return "index"
    if isinstance(source, DatasetSpec | DatasetGroup):
        return "dataset"
    path = dataset_path(source)
    if path.suffix.lower() == ".parquet" and is_url(shown(path)):
        bring(path.parent, [path.name])
    if BucketIndex.is_index(path):
        return "index"
    if path.suffix.lower() == ".parquet" and not path.is_dir():
        return "dataset"
    store = Store.open(shown(path))
    is_store = store.exists() or store.files.size(CATALOGUE) is not None
    return "store" if is_store else "dataset"


def open_index(
    source: Source,
    *,
    on_missing: OnMissing | None = None,
    on_progress: OnProgress | None = None,
    check_videos: bool = True,
    default_profile: str | None = None,
    **options: Unpack[DatasetOptions],
) -> BucketIndex:
    """Return the plan of a source: the finished one of an index or a store, or a dataset's new one.

    Args:
        source: a dataset, an index or a store.
        on_missing: what to do with videos that are missing, or that changed since they were
            planned; None: leave them out of a new plan, and refuse a finished one.
        on_progress: called with how many samples of a dataset are planned, and how many there are.
        check_videos: whether to check that the videos of a finished plan have not changed.
        default_profile: the profile for a dataset that names none.
        options: fields of `DatasetSpec` to replace. An index or a store takes ``data_root`` alone:
            the folder or URL that its videos were moved to.

    Raises:
        PlanError: options are given for a finished plan, or the plan does not hold.
        SpecError: the dataset cannot be read.
        StoreError: the store has no plan yet, or is damaged.
    """
    kind = kind_of(source)
    if kind == "dataset":
        assert not isinstance(source, BucketIndex)  # noqa: S101
        spec = open_dataset(source, **options)
        if default_profile is not None:
            spec = with_default_profile(spec, default_profile)
        how: dict[str, Any] = {} if on_missing is None else {"on_missing": on_missing}
        return BucketIndex.build(spec, on_progress=on_progress, **how)
    refuse_options(source, options)
    index = _finished(source, kind).moved(options.get("data_root"))
    if not check_videos:
        return index
    return index.check_sources() if on_missing is None else index.check_sources(on_missing)


def open_dataset(
    source: Datasets | str | os.PathLike[str], **options: Unpack[DatasetOptions]
) -> Datasets:
    """Return a dataset, or several that are one, with some fields replaced.

    Raises:
        SpecError: there is no dataset, or an option is wrong.
    """
    if isinstance(source, DatasetSpec) and not options:
        return source
    return open_datasets(source, **options)


def dataset_behind(source: str | os.PathLike[str]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the dataset that the plan of an index or a store was made of, and its options.

    None if the source is a dataset itself, or the plan cannot be read.

    Args:
        source: path or URL.
    """
    kind = kind_of(source)
    try:
        if kind == "index":
            path = dataset_path(source)
            return _made_of(BucketIndex.root_named_in(path), BucketIndex.policy_of(path))
        if kind == "store":
            store = Store.open(shown(dataset_path(source)))
            root = store.read_accepted(BucketIndex.root_named_in)
            policy = store.read_accepted(BucketIndex.policy_of)
            return None if root is None or policy is None else _made_of(root, policy)
    except (PlanError, StoreError, OSError):
        return None
    return None


def _made_of(root: str, policy: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What a plan was made of: the dataset's folder, or the file that has several; and options."""
    file = policy.get("file")
    if file is not None:
        return str(file), {}
    options = options_of(policy)
    options.pop("treatment", None)  # which only its config says
    return root, {**_reading_options(root, policy), **options}


def _reading_options(root: str, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The options that name a plan's list and its columns, if the folder does not say them."""
    reading = policy.get("reading")
    if reading is None or is_url(root):
        return {}
    used = as_fields(reading.get("columns", {}))
    if any(reading.get("format") == one.name for one in table_readers().values()):
        used["dataset_file"] = reading["files"][0]
    if not used:
        return {}
    try:
        found = DatasetSpec.from_path(root)
    except SpecError:
        return used
    there = {name: getattr(found, name) for name in used}
    if found.dataset_file is not None:
        there["dataset_file"] = os.path.relpath(found.list_file, found.data_root)
    return {name: value for name, value in used.items() if there[name] != value}


def refuse_options(source: Source, options: Mapping[str, Any]) -> None:
    """Check that no option of a dataset is given for a plan that is finished, but ``data_root``.

    Raises:
        PlanError: some are; it names them.
    """
    given = [name for name, value in options.items() if value is not None and name != "data_root"]
    if not given:
        return
    names = ", ".join(f"`{name}`" for name in given)
    raise PlanError(
        f"has a finished plan, which {names} cannot change",
        where=name_of(source),
        remedy="leave this out, or give the dataset itself to plan it again",
        option=given[0],
    )


def name_of(source: Source) -> str:
    """Return what to call a source in messages."""
    if isinstance(source, BucketIndex):
        return "the index"
    if isinstance(source, DatasetGroup):
        return shown(source.file)
    return shown(source.folder if isinstance(source, DatasetSpec) else dataset_path(source))


def _finished(source: Source, kind: SourceKind) -> BucketIndex:
    if isinstance(source, BucketIndex):
        return source
    assert not isinstance(source, DatasetSpec | DatasetGroup)  # noqa: S101
    if kind == "index":
        return BucketIndex.load(source)
    return Store.open(shown(Path(dataset_path(source)))).load_index()
