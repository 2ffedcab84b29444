"""What each of several datasets in an index comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from videoprep.index.multiplicity import Mask, codes_of, multiplicity_of
from videoprep.index.table import BucketIndex
from videoprep.spec.spec_file import DATASETS

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What one of several datasets comes to."""

    name: str
    role: str
    """What it is for."""
    weight: float | None
    """Its share relative to the others; None if it has none."""
    samples: int
    """``planned`` and those skipped."""
    planned: int
    """Samples that have clips."""
    clips: int
    draws: float
    """How many of its clips come in an epoch, on average."""
    share: float
    """Of an epoch."""

    @property
    def left_out(self) -> int:
        """Samples that are skipped."""
        return self.samples - self.planned

    def to_json(self) -> dict[str, Any]:
        """Return plain values for machines."""
        return asdict(self)


def summarize_datasets(index: BucketIndex, among: Mask) -> tuple[DatasetSummary, ...]:
    """Return what each dataset of an index comes to; nothing if there are not several.

    Args:
        index: the plan.
        among: bool ``[clips]``: those that an epoch is counted of.
    """
    if "dataset" not in index.table.column_names:
        return ()
    return tuple(_summaries(index, among))


def _summaries(index: BucketIndex, among: Mask) -> Iterator[DatasetSummary]:
    codes, there = codes_of(index.table["dataset"])
    names: list[str] = there.to_pylist()
    planned = pc.is_null(index.table["left_out_code"]).to_numpy()
    clips = codes[planned]
    samples, _ = codes_of(index.table["sample"].filter(pa.array(planned)))
    pairs = np.unique(samples * len(names) + clips) % max(1, len(names))
    counts = [np.bincount(c, minlength=len(names)) for c in (clips, pairs, codes[~planned])]
    draws = np.bincount(clips, draws_among(index, among), minlength=len(names))
    described = {one["name"]: one for one in index.policy.get(DATASETS, ())}
    for at, name in enumerate(names):
        number, with_clips, left_out = (int(count[at]) for count in counts)
        if not number + left_out:
            continue  # a part of the index has none of it
        yield DatasetSummary(
            name=name,
            role=described.get(name, {}).get("role", "train"),
            weight=described.get(name, {}).get("weight"),
            samples=with_clips + left_out,
            planned=with_clips,
            clips=number,
            draws=round(float(draws[at]), _DIGITS),
            share=round(float(draws[at] / draws.sum()) if draws.any() else 0.0, _DIGITS),
        )


def draws_among(index: BucketIndex, among: Mask) -> Any:
    """Return how often each clip comes in an epoch of some of them; float64 ``[clips]``."""
    draws = np.zeros(len(among))
    rows = index._planned_rows(index._draw_columns).filter(pa.array(among))
    draws[among] = multiplicity_of(rows)
    return draws
