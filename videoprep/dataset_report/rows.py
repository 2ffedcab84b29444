"""What is known of each row of a plan, as arrays: where it ended, and what it loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.dataset_report.facts import STATES, State
from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import CAPTION, Component
from videoprep.index.shown import stretches
from videoprep.index.summary import cover, sample_numbers
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts

Floats = NDArray[np.float64]

_ENCODED, _SET_ASIDE, _TO_DO, _LEFT_OUT, _PLANNED = range(len(STATES))
_NUMBERS = (
    "source_width", "source_height", "source_fps", "source_frames", "available_frames", "start",
    "end", "fps", "speed", "crop_x", "crop_y", "crop_width", "crop_height", "fit_width",
    "fit_height", "frames", "height", "width",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ReportRows:
    """The rows of a plan: one a clip, and one a sample that is skipped.

    Attributes:
        index: the plan.
        state: int8 ``[rows]``: where each ended, a place in `STATES`.
        samples: int64 ``[rows]``: the number of each row's sample, ascending.
        columns: numbers of each row; NaN where they are not known.
        cut: share of the picture that is cut off; NaN for what is skipped.
        padded: share of the bucket that is black.
        scale: factor by which a side becomes shorter or longer.
        passed: share of the sample's frames that are in none of its clips.
        shortened: bool: whether the caption was cut to the text encoder's limit.
        reasons: of rows that failed or were skipped: code and reason.
    """

    index: BucketIndex
    state: NDArray[np.int8]
    samples: NDArray[np.int64]
    columns: Mapping[str, Floats]
    cut: Floats
    padded: Floats
    scale: Floats
    passed: Floats
    shortened: NDArray[np.bool_]
    reasons: Mapping[int, tuple[str, str]]

    @property
    def is_planned(self) -> NDArray[np.bool_]:
        """Which rows are clips."""
        planned: NDArray[np.bool_] = self.state != _LEFT_OUT
        return planned

    def clips_by_state(self) -> dict[State, int]:
        """How many clips ended where."""
        return _counted(self.state[self.is_planned])

    def samples_by_state(self) -> dict[State, int]:
        """How many samples ended where: each in one place, that of its clip that is worst off."""
        if not len(self.state):
            return {}
        # What failed is worse than what is still to be made.
        rank = np.array([0, 2, 1, 3, 0], np.int8)[self.state]
        first = np.flatnonzero(np.diff(self.samples, prepend=-1))
        worst = np.maximum.reduceat(rank, first)
        best = _PLANNED if (self.state == _PLANNED).any() else _ENCODED
        return _counted(np.array([best, _TO_DO, _SET_ASIDE, _LEFT_OUT], np.int8)[worst])


def rows_of(index: BucketIndex, made: Mapping[Component, Artifacts] | None) -> ReportRows:
    """What is known of each row.

    Args:
        index: the plan.
        made: what a store holds; None: there is none.
    """
    table = index.table
    columns = {name: _numbers(table[name]) for name in _NUMBERS}
    left_out = table["left_out_code"].is_valid().to_numpy()
    samples = sample_numbers(table["sample"])
    state, failed = _states(table, left_out, made)

    across, down = stretches(columns, index.policy)

    def area(name: str) -> Floats:
        product: Floats = columns[f"{name}width"] * columns[f"{name}height"]
        return product

    return ReportRows(
        index=index,
        state=state,
        samples=samples,
        columns=columns,
        cut=1 - area("crop_") / area("source_"),
        padded=1 - area("fit_") / area(""),
        scale=np.sqrt(area("fit_") / (area("crop_") * across * down)),
        passed=_passed(samples, columns, ~left_out),
        shortened=_shortened(table, made),
        reasons={**_left_out(table, left_out), **failed},
    )


def _numbers(column: pa.ChunkedArray) -> Floats:
    floats: Floats = column.cast(pa.float64()).to_numpy()
    return floats


def _counted(states: NDArray[np.int8]) -> dict[State, int]:
    counts = np.bincount(states, minlength=len(STATES)).tolist()
    return {state: count for state, count in zip(STATES, counts, strict=True) if count}


def _states(
    table: pa.Table, left_out: NDArray[np.bool_], made: Mapping[Component, Artifacts] | None
) -> tuple[NDArray[np.int8], dict[int, tuple[str, str]]]:
    """Where each row ended, and why those failed that did."""
    if made is None:
        return np.where(left_out, _LEFT_OUT, _PLANNED).astype(np.int8), {}
    lacking, failed = (np.zeros(len(left_out), np.bool_) for _ in range(2))
    why: dict[int, tuple[str, str]] = {}
    for component, artifacts in made.items():
        keys, places = artifacts.source.all_keys(table), CaptionPlaces.of(table)
        needed = keys.is_valid().to_numpy()  # a clip without sound needs none, for example
        left = np.flatnonzero(needed & ~_in(keys, artifacts.stored["key"]))
        lacking[places.rows(left)] = True
        here = np.flatnonzero(needed & _in(keys, artifacts.failed["key"]))
        rows = places.rows(here)
        failed[rows] = True
        known = {row["key"]: row for row in artifacts.failed.to_pylist()}
        for row, key in zip(rows.tolist(), keys.take(pa.array(here)).to_pylist(), strict=True):
            why.setdefault(row, (known[key]["code"], f"{component}: {known[key]['reason']}"))
    state = np.where(lacking, _TO_DO, _ENCODED)
    state[failed] = _SET_ASIDE
    state[left_out] = _LEFT_OUT
    return state.astype(np.int8), why


def _in(keys: pa.ChunkedArray, among: pa.ChunkedArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_in(keys, value_set=among.combine_chunks()).to_numpy()
    return found


def _left_out(table: pa.Table, left_out: NDArray[np.bool_]) -> dict[int, tuple[str, str]]:
    rows = np.flatnonzero(left_out)
    taken = table.select(["left_out_code", "left_out_reason"]).take(pa.array(rows))
    pairs = zip(*(column.to_pylist() for column in taken.columns), strict=True)
    return dict(zip(rows.tolist(), pairs, strict=True))


def _passed(
    samples: NDArray[np.int64], columns: Mapping[str, Floats], planned: NDArray[np.bool_]
) -> Floats:
    """Of each clip's sample: the share of frames that are in none of its clips."""
    shares = np.full(len(samples), np.nan)
    own = np.cumsum(np.diff(samples[planned], prepend=-1) > 0) - 1
    if not len(own):
        return shares
    names = ("start", "speed", "frames", "fps")
    parts: dict[str, NDArray[Any]] = {name: columns[name][planned] for name in names}
    covered = np.bincount(own, weights=cover(own, parts).passed)[own]
    shares[planned] = np.clip(1 - covered / columns["available_frames"][planned], 0, 1)
    return shares


def _shortened(table: pa.Table, made: Mapping[Component, Artifacts] | None) -> NDArray[np.bool_]:
    """Rows whose caption some text encoder did not take whole."""
    found = np.zeros(table.num_rows, np.bool_)
    for artifacts in made.values() if made is not None else ():
        if artifacts.source == CAPTION:
            cut = pc.is_in(CAPTION.all_keys(table), value_set=artifacts.truncated).to_numpy()
            found[CaptionPlaces.of(table).rows(np.flatnonzero(cut))] = True
    return found
