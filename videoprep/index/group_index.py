"""The index of several datasets: each is planned by its own options, and all are joined."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from videoprep.errors import PlanError
from videoprep.fs.mirror import shown
from videoprep.index.as_they_are import Marks, no_marks
from videoprep.index.multiplicity import codes_of
from videoprep.index.schema import SCHEMA
from videoprep.index.splits import conflicts
from videoprep.index.table import BucketIndex, ListedDataset, joined_tables, moved_to
from videoprep.spec.dataset_group import DatasetGroup, GroupedDataset, common_root
from videoprep.spec.group_file import REGULARIZATION, VALIDATION
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.index.builder import OnProgress
    from videoprep.index.table import OnMissing

Ints = NDArray[np.int64]

TRAIN = "train"
"""The split of clips that are in no other one, if there are any splits."""

_SHOWN = 5


def build_group(
    group: DatasetGroup,
    *,
    on_missing: OnMissing = "skip",
    on_progress: OnProgress | None = None,
) -> BucketIndex:
    """Plan each dataset of a group, and return all as one index.

    Args:
        group: the datasets.
        on_missing: see `BucketIndex.build`.
        on_progress: see `BucketIndex.build`.

    Raises:
        SpecError, ListError, PlanError: see `BucketIndex.build`; the error names the dataset. Or a
            video for validation is in a dataset that is trained on.
    """
    members = group.members()
    root = common_root(group, members)
    listed = [_listed(one, on_missing) for one in members]  # before any video is opened
    told = _Progress(on_progress, sum(len(one.listing.samples) for one in listed))
    indices = [_planned(*pair, told) for pair in zip(members, listed, strict=True)]
    table = joined_tables([moved_to(index, root) for index in indices])
    datasets = np.repeat(
        np.arange(len(members)), [index.table.num_rows for index in indices]
    ).astype(np.int64)
    table = _with_datasets(table, datasets, members)
    table = _with_own_names(table, datasets, members)
    table = _with_splits(table, datasets, members)
    marks = _joined_marks(indices, root)
    return BucketIndex(table, root, _policy(group, members, indices), _marks=marks)


@dataclass(slots=True)
class _Progress:
    """Adds up how far the datasets are."""

    tell: OnProgress | None
    total: int
    before: int = 0

    def __call__(self, done: int, total: int) -> None:
        if self.tell is not None:
            self.tell(self.before + done, self.total)


def _listed(one: GroupedDataset, on_missing: OnMissing) -> ListedDataset:
    with one.blamed():
        return ListedDataset.of(one.spec, on_missing)


def _planned(one: GroupedDataset, listed: ListedDataset, told: _Progress) -> BucketIndex:
    with one.blamed():
        index = BucketIndex.of_listed(listed, told)
    told.before += len(listed.listing.samples)
    return index


def _with_datasets(table: pa.Table, datasets: Ints, members: Sequence[GroupedDataset]) -> pa.Table:
    """The rows with what their dataset says of them: its name, weight and repeats."""
    names = pa.array([one.name for one in members], pa.string())
    column = pa.DictionaryArray.from_arrays(pa.array(datasets, pa.int32()), names)
    table = table.append_column("dataset", column)
    weights = pa.array([one.entry.keys.weight for one in members], pa.float64())
    if weights.null_count < len(weights):
        table = table.append_column("dataset_weight", weights.take(pa.array(datasets)))
    repeats = np.array([one.entry.keys.repeats or 1 for one in members], np.int64)
    if (repeats > 1).any():
        product = table["repeats"].to_numpy() * repeats[datasets]
        if product.max(initial=0) >= 2**31:
            raise PlanError(
                "a sample would be repeated more than 2,147,483,647 times",
                remedy="lower `repeats` of its dataset, or those in its list",
            )
        table = _replaced(table, "repeats", pa.array(product, pa.int32()))
    return table


def _with_own_names(table: pa.Table, datasets: Ints, members: Sequence[GroupedDataset]) -> pa.Table:
    """The rows with names of samples that no two datasets share.

    A name stands for a path. Where an earlier dataset has the same path, the later one's name ends
    in ``@`` and eight digits for the dataset.
    """
    samples, known = codes_of(table["sample"])
    first = np.zeros(len(known), np.int64)
    first[samples[::-1]] = datasets[::-1]  # of rows with one name the first comes last
    shared = first[samples] != datasets
    if not shared.any():
        return table
    endings = [f"@{xxhash.xxh3_64_intdigest(one.name.encode()) >> 32:08x}" for one in members]
    ending = pa.array(endings).take(pa.array(datasets))
    own = pc.binary_join_element_wise(table["sample"], ending, "")
    return _replaced(table, "sample", pc.if_else(pa.array(shared), own, table["sample"]))


def _with_splits(table: pa.Table, datasets: Ints, members: Sequence[GroupedDataset]) -> pa.Table:
    """The rows with their splits: what a dataset is for is one, and a video's copies share theirs.

    Raises:
        PlanError: a video for validation is also trained on, or a video is in several splits.
    """
    roles = np.array([one.entry.role for one in members])[datasets]
    written, there = codes_of(table["split"])
    names = there.to_pylist()
    planned = pc.is_null(table["left_out_code"]).to_numpy()
    if not names and (roles == TRAIN).all():
        return table
    found = _Splits(table, datasets, members, planned)
    validates, regularizes = roles == VALIDATION, roles == REGULARIZATION
    found.require_no_leak(validates)
    trained = planned & ~validates & ~regularizes
    splits = found.shared(trained, written, names)
    texts = np.array([*names, TRAIN, VALIDATION, REGULARIZATION], object)
    splits[trained & (splits < 0)] = len(names)
    splits[planned & validates] = len(names) + 1
    splits[planned & regularizes] = len(names) + 2
    left_out = ~planned
    splits[left_out] = written[left_out]
    values = pa.array(splits, pa.int32(), mask=splits < 0)
    column = pa.DictionaryArray.from_arrays(values, pa.array(texts.tolist(), pa.string()))
    return _replaced(table, "split", column.cast(pa.string()).dictionary_encode())


@dataclass(slots=True)
class _Splits:
    """Videos by their contents, wherever they lie."""

    table: pa.Table
    datasets: Ints
    members: Sequence[GroupedDataset]
    planned: NDArray[np.bool_]
    _contents: Ints = field(init=False)
    _count: int = field(init=False)

    def __post_init__(self) -> None:
        self._contents, known = codes_of(self.table["fingerprint"])
        self._count = len(known)

    def require_no_leak(self, validates: NDArray[np.bool_]) -> None:
        """Check that no video for validation is in a dataset that is trained on."""
        held = np.full(self._count, -1, np.int64)
        rows = np.flatnonzero(self.planned & validates)[::-1]
        held[self._contents[rows]] = rows
        others = np.flatnonzero(self.planned & ~validates)
        leaks = others[held[self._contents[others]] >= 0]
        if not len(leaks):
            return
        leaks = leaks[np.unique(self._contents[leaks], return_index=True)[1]]
        named = [self._pair(row, int(held[self._contents[row]])) for row in leaks[:_SHOWN].tolist()]
        more = f"; and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise PlanError(
            f"{counted(len(leaks), 'video')} for validation would be trained on, too: "
            f"{'; '.join(named)}{more}",
            where=shown(self.members[0].entry.file),
            remedy="remove each from one of the two datasets; `videoprep validate` names them all",
        )

    def shared(self, rows: NDArray[np.bool_], written: Ints, names: Sequence[str]) -> Ints:
        """The split of each row, -1 for none: that of any copy of its video."""
        splits = np.full(len(written), -1, np.int64)
        said = np.flatnonzero(rows & (written >= 0))
        of_content = np.full(self._count, -1, np.int64)
        of_content[self._contents[said[::-1]]] = said[::-1]
        first = of_content[self._contents[said]]
        differ = said[written[first] != written[said]]
        if len(differ):
            raise conflicts(
                [self._conflict(int(of_content[self._contents[row]]), row, written, names)
                 for row in differ.tolist()[: _SHOWN]],
                len(differ),
            )  # fmt: skip
        chosen = np.flatnonzero(rows)
        known = of_content[self._contents[chosen]]
        splits[chosen] = np.where(known >= 0, written[known], -1)
        return splits

    def _conflict(self, first: int, row: int, written: Ints, names: Sequence[str]) -> str:
        one, other = (f"{self._name(at)} in {names[written[at]]}" for at in (first, row))
        return f"{one}, {other}"

    def _pair(self, row: int, held: int) -> str:
        return f"{self._name(held)} is {self._name(row)}"

    def _name(self, row: int) -> str:
        video = self.table["video"][row].as_py()
        return f"{video} of {self.members[self.datasets[row]].name!r}"


def _replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, pa.field(name, SCHEMA.field(name).type), column)


def _joined_marks(indices: Sequence[BucketIndex], root: Path) -> Marks:
    """What was seen of the videos, by their names in the joined index."""
    marks = no_marks()
    for index in indices:
        prefix = index.data_root.relative_to(root).as_posix()
        for code in marks:
            marks[code].update(_prefixed(index._marks[code], prefix))
    return marks


def _prefixed(names: set[str], prefix: str) -> Iterator[str]:
    return (name if prefix == "." or os.path.isabs(name) else f"{prefix}/{name}" for name in names)


def _policy(
    group: DatasetGroup, members: Sequence[GroupedDataset], indices: Sequence[BucketIndex]
) -> dict[str, Any]:
    """How each dataset was planned, and beside it what is the same for all."""
    policies = [dict(index.policy) for index in indices]
    first, *others = policies
    same = {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }
    same.pop("reading", None)
    return {
        **same,
        "file": shown(os.path.abspath(group.file)),
        "datasets": [_described(one) for one in members],
        "of": policies,
    }


def _described(one: GroupedDataset) -> dict[str, Any]:
    keys = one.entry.keys.model_dump(exclude_none=True)
    return {**keys, "name": one.name}


def part_of(index: BucketIndex, name: str) -> BucketIndex:
    """Return one dataset of an index of several, planned as it was."""
    own = index.filter(dataset=name)
    names = [one["name"] for one in index.policy.get("datasets", ())]
    if name not in names:
        return own
    policy: Mapping[str, Any] = index.policy["of"][names.index(name)]
    outside = bool(index.policy.get("allow_outside_root"))
    return BucketIndex(
        own.table, index.data_root, {**policy, "allow_outside_root": outside}, _marks=index._marks
    )
