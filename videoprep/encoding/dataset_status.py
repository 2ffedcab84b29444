"""How far each of several datasets is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.families.component import Component
from videoprep.index.multiplicity import codes_of
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts, is_among


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """The clips of one of several datasets: ``done`` + ``failed`` + ``to_do``."""

    name: str
    clips: int
    done: int
    """Those of which everything is stored."""
    failed: int
    """Those of which something could not be made."""
    to_do: int
    """The others: something of them is to be made."""


def dataset_statuses(
    index: BucketIndex, made: Mapping[Component, Artifacts]
) -> tuple[DatasetStatus, ...]:
    """Return how far each dataset of an index is; nothing if there are not several.

    Args:
        index: the plan.
        made: what is there of each component.
    """
    if "dataset" not in index.table.column_names:
        return ()
    table = index.table.filter(pc.is_null(index.table["left_out_code"]))
    failed, waiting = (np.zeros(table.num_rows, np.bool_) for _ in range(2))
    for artifacts in made.values():
        keys = artifacts.source.keys(table)
        lacking = _mask(keys.is_valid()) & ~_mask(is_among(keys, artifacts.stored["key"]))
        refused = lacking & _mask(is_among(keys, artifacts.failed["key"]))
        failed |= refused
        waiting |= lacking & ~refused
    codes, names = codes_of(table["dataset"])
    masks = (np.ones(len(codes), np.bool_), ~(failed | waiting), failed, waiting & ~failed)
    counts = [np.bincount(codes[mask], minlength=len(names)).tolist() for mask in masks]
    return tuple(
        DatasetStatus(name, *numbers)
        for name, *numbers in zip(names.to_pylist(), *counts, strict=True)
    )


def _mask(column: pa.ChunkedArray | pa.Array | Any) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.asarray(column).astype(np.bool_)
    return mask
