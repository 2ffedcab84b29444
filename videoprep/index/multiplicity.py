"""How often each clip comes in an epoch: by its own weight, and by what its dataset is for.

Of several datasets some may be held out: clips for validation never come in an epoch of training,
and those for regularization only in the share that is asked for. Which they are says the split,
since whoever asks for a split alone gets the clips of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.index.schema import joined
from videoprep.spec.group_file import REGULARIZATION, VALIDATION

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

HELD_OUT = (VALIDATION, REGULARIZATION)
"""The splits of several datasets that are not trained on unless they are asked for."""

OF_DATASETS = ("split", "dataset", "dataset_weight")
"""The columns that matter beside ``weight`` and ``repeats``; an index need not have them."""


def multiplicity_of(table: pa.Table, regularization: float = 0.0) -> Floats:
    """Float64 ``[rows]``: how often each clip comes in an epoch.

    Of one dataset it is a clip's weight times its repeats. Of several, datasets with weights get
    their shares of what all of them come to; clips for validation get 0; and those for
    regularization together so much of what is trained on as is asked for. If there are no clips but
    those held out, they come as they are: they were asked for.

    Args:
        table: a row a clip.
        regularization: clips for regularization for each other clip of an epoch.
    """
    product: Floats = pc.multiply(table["weight"], table["repeats"]).to_numpy()
    if "dataset" not in table.column_names or not table.num_rows:
        return product
    validation, regularizing = (_is_split(table, name) for name in HELD_OUT)
    trained = ~(validation | regularizing)
    drawn = _shared_out(table, product, trained)
    if not trained.any():
        return drawn + _shared_out(table, product, regularizing) + validation * product
    if regularization:
        prior = _shared_out(table, product, regularizing)
        total = prior.sum()
        drawn += prior * (regularization * drawn.sum() / total if total else 0)
    return drawn


def is_for_regularization(table: pa.Table) -> Mask:
    """Bool ``[rows]``: which clips are those of datasets for regularization."""
    if "dataset" not in table.column_names:
        return np.zeros(table.num_rows, np.bool_)
    return _is_split(table, REGULARIZATION)


def splits_trained_on(table: pa.Table, splits: Sequence[str]) -> tuple[str, ...] | None:
    """Return the splits without those that are held out; None if nothing is, or nothing else is.

    Args:
        table: a row a clip.
        splits: those that its clips are in.
    """
    trained = tuple(name for name in splits if name not in HELD_OUT)
    held = "dataset" in table.column_names and len(trained) < len(splits)
    return trained if held and trained else None


def digest_of(table: pa.Table, keys: Iterable[str]) -> str:
    """Stands for the clips of a table, their order and their weights: 32 hexadecimal digits.

    Args:
        table: a row a clip.
        keys: the columns that name what is made of each.
    """
    digest = hashlib.sha256()
    for name in keys:
        for chunk in joined(table[name]).chunks:
            digest.update("".join(pc.fill_null(chunk, "").to_pylist()).encode())
    digest.update(multiplicity_of(table, regularization=1.0).tobytes())
    return digest.hexdigest()[:32]


def codes_of(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """Return the number of each row's text, -1 for none, and the texts by their numbers."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if not encoded.num_chunks:
        return np.zeros(0, np.int64), pa.array([], pa.string())
    whole = encoded.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    codes = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, whole.dictionary


def _is_split(table: pa.Table, name: str) -> Mask:
    mask: Mask = pc.fill_null(pc.equal(table["split"], name), False).to_numpy()
    return mask


def _shared_out(table: pa.Table, product: Floats, among: Mask) -> Floats:
    """What clips come to if the weights of their datasets count; 0 for those not among them.

    Two datasets of 10 and 30 clips, with weights 1 and 1: 40 clips are drawn, 20 of each, so that
    each clip of the first comes twice, and of the other 2/3 times.
    """
    drawn = np.where(among, product, 0.0)
    if "dataset_weight" not in table.column_names:
        return drawn
    codes, names = codes_of(table["dataset"])
    totals = np.bincount(codes + 1, weights=drawn, minlength=len(names) + 1)
    weights = np.full(len(totals), np.nan)
    weights[codes[among] + 1] = table["dataset_weight"].to_numpy()[among]
    there = totals > 0
    if not there.any() or np.isnan(weights[there]).any():
        return drawn
    factors = np.ones_like(totals)
    shares = weights[there] / weights[there].sum()
    factors[there] = shares * totals.sum() / totals[there]
    shared: Floats = drawn * factors[codes + 1]
    return shared
