"""The columns of an index. Documented in ``docs/plan.md``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

VERSION = 3
"""Version 2 had no ``audio_key``: whether its videos have sound is not known."""

FILE_SCHEMA = pa.schema(
    [
        ("sample", pa.string()),
        ("clip", pa.int32()),
        ("video", pa.string()),
        ("caption", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("split", pa.string()),
        ("weight", pa.float64()),
        ("repeats", pa.int32()),
        ("fingerprint", pa.string()),
        ("stream", pa.int16()),
        ("pyav_only", pa.bool_()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("source_frames", pa.int32()),
        ("source_fps", pa.float64()),
        ("available_frames", pa.int32()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("fps", pa.float64()),
        ("speed", pa.float64()),
        ("frame_indices", pa.string()),
        ("frame_ticks", pa.string()),
        ("time_base", pa.string()),
        ("crop_x", pa.int32()),
        ("crop_y", pa.int32()),
        ("crop_width", pa.int32()),
        ("crop_height", pa.int32()),
        ("fit_x", pa.int32()),
        ("fit_y", pa.int32()),
        ("fit_width", pa.int32()),
        ("fit_height", pa.int32()),
        ("frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("video_key", pa.string()),
        ("image_key", pa.string()),
        ("prompt_key", pa.string()),
        ("audio_key", pa.string()),
        ("left_out_code", pa.string()),
        ("left_out_reason", pa.string()),
    ]
)
"""One row a clip, and one a sample that is skipped: with a code and a reason, without a bucket."""

REPEATED = (
    "file", "split", "frame_indices", "frame_ticks", "time_base", "left_out_code",
    "left_out_reason",
)  # fmt: skip
"""Text that many rows share: held once each in memory."""

SCHEMA = pa.schema(
    [
        pa.field(f.name, pa.dictionary(pa.int32(), pa.string())) if f.name in REPEATED else f
        for f in FILE_SCHEMA
    ]
)
"""The same columns as they are held in memory."""

OF_SAMPLE = (
    "sample", "clip", "video", "caption", "file", "line", "split", "weight", "repeats",
    "fingerprint", "video_key", "image_key", "prompt_key", "audio_key",
)  # fmt: skip
"""Columns that are each row's own; the others are the same for clips that are alike."""


def multiplicity_of(table: pa.Table) -> NDArray[np.float64]:
    """Float64 ``[rows]``: how often each clip comes in an epoch: its weight times its repeats."""
    product: NDArray[np.float64] = pc.multiply(table["weight"], table["repeats"]).to_numpy()
    return product


def digest_of(table: pa.Table, keys: Iterable[str]) -> str:
    """Stands for the clips of a table, their order and their weights: 32 hexadecimal digits.

    Args:
        table: a row a clip.
        keys: the columns that name what is made of each.
    """
    digest = hashlib.sha256()
    for name in keys:
        for chunk in table[name].chunks:
            digest.update("".join(pc.fill_null(chunk, "").to_pylist()).encode())
    digest.update(multiplicity_of(table).tobytes())
    return digest.hexdigest()[:32]


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose text is held once each, written out."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
