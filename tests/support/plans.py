"""Indices made by hand: rows with known numbers, without any video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.index.schema import SCHEMA
from videoprep.index.table import BucketIndex

POLICY = {
    "profile": "default",
    "reshape": "center-crop",
    "allow_upscale": False,
    "sizes": [],
    "frame_counts": [],
    "max_pixels": None,
    "max_num_frames": 49,
    "target_fps": None,
    "clip_mode": "head",
    "clips_per_video": None,
    "min_gap": None,
}


def clip(sample: str, frames: int, height: int, width: int, **values: Any) -> dict[str, Any]:
    """A planned clip: by default of a file of that very size and length, at 8 fps."""
    number = values.get("clip", 0)
    row = {
        "sample": sample,
        "clip": number,
        "video": f"{sample}.mp4",
        "file": "videos.txt",
        "weight": 1.0,
        "repeats": 1,
        "source_width": width,
        "source_height": height,
        "source_fps": 8.0,
        "available_frames": frames,
        "start": 0.0,
        "fps": 8.0,
        "speed": 1.0,
        "crop_width": values.get("source_width", width),
        "crop_height": values.get("source_height", height),
        "fit_width": width,
        "fit_height": height,
        "frames": frames,
        "height": height,
        "width": width,
        "video_key": f"video {sample} {number}",
        "image_key": f"image {sample} {number}",
        "prompt_key": f"prompt {sample}",
    }
    return {**row, **values}


def left_out(sample: str, code: str, **values: Any) -> dict[str, Any]:
    """A sample that is skipped."""
    return {
        "sample": sample,
        "video": f"{sample}.mp4",
        "file": "videos.txt",
        "line": 1,
        "left_out_code": code,
        "left_out_reason": "why",
        **values,
    }


def index_of(*rows: dict[str, Any], **policy: Any) -> BucketIndex:
    """An index of such rows."""
    columns = [
        pa.array([row.get(name) for row in rows], getattr(kind, "value_type", kind))
        for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
    ]
    encoded = [
        column.dictionary_encode() if pa.types.is_dictionary(kind) else column
        for column, kind in zip(columns, SCHEMA.types, strict=True)
    ]
    table = pa.Table.from_arrays(encoded, schema=SCHEMA)
    return BucketIndex(table, Path("/nowhere"), {**POLICY, **policy})


def write_version_2(index: Path, output: Path) -> None:
    """The same index as versions of videoprep before sound wrote it."""
    table = pq.read_table(index)
    metadata = {
        key: value.replace(b'"version": 3', b'"version": 2')
        for key, value in table.schema.metadata.items()
    }
    older = table.drop_columns(["audio_key"]).replace_schema_metadata(metadata)
    pq.write_table(older, output, compression="zstd", row_group_size=65_536)
