"""What changed between two indices of a dataset, and what has to be encoded again."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.families.caption_places import FURTHER_KEYS
from videoprep.families.component import ComponentSpec
from videoprep.index.schema import FurtherColumns, joined, media_column, media_columns, plain
from videoprep.spec.roles import Role

_ASPECTS: Mapping[str, tuple[str, ...]] = {
    "contents": ("fingerprint",),
    "frames": ("stream", "frame_indices"),
    "picture": (
        "crop_x", "crop_y", "crop_width", "crop_height",
        "fit_x", "fit_y", "fit_width", "fit_height", "height", "width",
    ),
    "caption": ("caption",),
    "split": ("split",),
    "weight": ("weight", "repeats"),
    "skipped": ("left_out_code",),
}  # fmt: skip
"""What may change about a clip, by the columns that show it. Beside these, a role may: what a clip
has of it is another file, or another part of it."""


@dataclass(frozen=True, slots=True)
class ClipChange:
    """A clip that is not as it was.

    Attributes:
        video: the file, as the dataset names it.
        file: the list that names it; the video itself if none does.
        line: where; in the old list where it was removed.
        clip: which of the sample's clips; None where the sample is skipped.
        what: ``added``, ``removed``, or what of it changed.
    """

    video: str
    file: str
    line: int | None
    clip: int | None
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexDiff:
    """What changed since an older index.

    Attributes:
        unchanged: clips, and skipped samples, that are as they were.
        counts: how many were added, removed, or changed in which way.
        to_encode: artifacts that the old index did not need, by component.
        changes: every one of them, those of the new index in its order first.
    """

    unchanged: int
    counts: Mapping[str, int]
    to_encode: Mapping[str, int]
    changes: tuple[ClipChange, ...]

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {
            "unchanged": self.unchanged,
            "counts": dict(self.counts),
            "to_encode": dict(self.to_encode),
            "changes": [
                {
                    **{name: getattr(c, name) for name in ("video", "file", "line", "clip")},
                    "what": list(c.what),
                }
                for c in self.changes
            ],
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(what)}</td><td>{count}</td></tr>"
            for what, count in {"unchanged": self.unchanged, **self.counts}.items()
        )
        return f"<p><b>IndexDiff</b></p><table>{rows}</table>"


def compare(new: pa.Table, old: pa.Table, components: Iterable[ComponentSpec] = ()) -> IndexDiff:
    """Compare two tables with the columns of an index. Clips are matched by sample and number.

    Args:
        new: a row a clip or sample that is skipped.
        old: likewise.
        components: those whose artifacts are counted.
    """
    further = FurtherColumns.named(new.column_names) | FurtherColumns.named(old.column_names)
    new, old = further.of(new), further.of(old)
    aspects: dict[str, tuple[str, ...]] = {**_ASPECTS}
    aspects |= {str(role): _of_media(role) for role in further.roles}
    if FURTHER_KEYS in further.optional:
        aspects["caption"] = (*aspects["caption"], FURTHER_KEYS)
    aspects |= _of_datasets(further)
    new_names, old_names = _names(new), _names(old)
    places = pc.index_in(new_names, value_set=old_names)
    kept = pc.is_valid(places).to_numpy(zero_copy_only=False)
    before = old.take(places.drop_null())
    after = new.filter(pa.array(kept))
    changed = {aspect: _differ(after, before, columns) for aspect, columns in aspects.items()}
    any_changed = np.logical_or.reduce(list(changed.values()))
    removed = old.filter(pc.invert(pc.is_in(old_names, value_set=new_names)))
    changes = (
        *_changed(after, changed, any_changed),
        *_listed(new.filter(pa.array(~kept)), "added"),
        *_listed(removed, "removed"),
    )
    return IndexDiff(
        unchanged=int((~any_changed).sum()),
        counts=Counter(what for change in changes for what in change.what),
        to_encode={
            spec.name: _missing(spec.source.all_keys(new), spec.source.all_keys(old))
            for spec in components
        },
        changes=changes,
    )


def no_longer_planned(new: pa.Table, old: pa.Table) -> pa.Table:
    """Return the clips of an older table that a newer one does not plan, be it that it skips them.

    A clip is known by its sample and its number: it stays the same with another caption or file.

    Args:
        new: a row a planned clip or sample that is skipped.
        old: likewise, or without the column that says what is skipped.
    """
    before, now = _planned(old), _planned(new)
    return before.filter(pc.invert(pc.is_in(_names(before), value_set=_names(now))))


def _planned(table: pa.Table) -> pa.Table:
    if "left_out_code" not in table.column_names:
        return table
    return table.filter(pc.is_null(table["left_out_code"]))


def _of_datasets(further: FurtherColumns) -> dict[str, tuple[str, ...]]:
    """What may change about a clip if there are several datasets."""
    changes: dict[str, tuple[str, ...]] = {}
    if "dataset" in further.optional:
        changes["dataset"] = ("dataset",)
    if "dataset_weight" in further.optional:
        changes["weight"] = (*_ASPECTS["weight"], "dataset_weight")
    return changes


def _of_media(role: Role) -> tuple[str, ...]:
    """The columns that show whether a clip has something else of a role: not where it lies."""
    return tuple(
        media_column(role, column.name) for column in media_columns(role) if column.name != "path"
    )


def _names(table: pa.Table) -> pa.Array:
    """``sample clip``; a sample that is skipped takes the place of its first clip."""
    number = pc.cast(pc.fill_null(table["clip"], 0), pa.string())
    joined = pc.binary_join_element_wise(table["sample"], number, " ")
    return pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], pa.string())


def _differ(new: pa.Table, old: pa.Table, columns: tuple[str, ...]) -> NDArray[np.bool_]:
    different = np.zeros(new.num_rows, np.bool_)
    for name in columns:
        one, other = joined(plain(new[name])), joined(plain(old[name]))
        unequal = pc.fill_null(pc.not_equal(one, other), False)
        null = pc.not_equal(pc.is_null(one), pc.is_null(other))
        different |= pc.or_(unequal, null).to_numpy()
    return different


def _changed(
    table: pa.Table, changed: Mapping[str, NDArray[np.bool_]], any_changed: NDArray[np.bool_]
) -> Iterator[ClipChange]:
    numbers = np.flatnonzero(any_changed)
    rows = table.select(["video", "file", "line", "clip"]).take(pa.array(numbers)).to_pylist()
    for number, row in zip(numbers.tolist(), rows, strict=True):
        yield ClipChange(**row, what=tuple(name for name, mask in changed.items() if mask[number]))


def _listed(table: pa.Table, what: str) -> Iterator[ClipChange]:
    for row in table.select(["video", "file", "line", "clip"]).to_pylist():
        yield ClipChange(**row, what=(what,))


def _missing(new: pa.ChunkedArray, old: pa.ChunkedArray) -> int:
    """Distinct values that are not in the old column."""
    distinct = pc.drop_null(pc.unique(new))
    return int(pc.sum(pc.invert(pc.is_in(distinct, value_set=pc.unique(old)))).as_py() or 0)
