"""The options of a dataset as the keyword arguments of Python functions, for editors and mypy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import TypedDict

from videoprep.spec.extras import TimeUnit, TimeZero
from videoprep.spec.readers.base import CaptionLines

Reshape = Literal["none", "center-crop", "random-crop", "resize", "pad"]
"""May clips be fitted into buckets? ``none``: no; ``center-crop``: by cutting; ``random-crop``: by
cutting elsewhere than in the middle; ``resize``: by changing their aspect ratio; ``pad``: by adding
black bars."""

ClipMode = Literal["head", "middle", "uniform", "chunk", "slide", "all-frames-stride"]
"""Which parts of a video, or of a sample's time range, become clips."""

SeverityWord = Literal["error", "warning", "note"]
FailOn = Literal["error", "warning"]

AnyPath = str | os.PathLike[str]
AnyNumbers = int | Sequence[int]
AnyBuckets = str | Sequence[str | tuple[int, int, int]]


class DatasetOptions(TypedDict, total=False):
    """The fields of `DatasetSpec`, which documents them. None stands for the default."""

    data_root: AnyPath | None
    dataset_file: AnyPath | None
    format: str | None
    caption_column: str | None
    video_column: str | None
    start_column: str | None
    end_column: str | None
    range_column: str | None
    time_unit: TimeUnit | None
    time_zero: TimeZero | None
    split_column: str | None
    weight_column: str | None
    repeats_column: str | None
    audio_column: str | None
    roles: Mapping[str, str] | None
    caption_fallback: str | None
    caption_lines: CaptionLines | None
    caption_journal: str | None
    id_token: str | None
    profile: str | None
    reshape: Reshape | None
    allow_upscale: bool | None
    crop_seed: int | None
    buckets: AnyBuckets | None
    num_buckets: int | None
    min_kept: float | None
    multi_bucket: bool | None
    min_pixels: int | None
    max_pixels: int | None
    image_max_pixels: int | None
    image_background: str | None
    reference_max_pixels: int | None
    height_buckets: AnyNumbers | None
    width_buckets: AnyNumbers | None
    frame_buckets: AnyNumbers | None
    max_num_frames: int | None
    target_fps: float | None
    clip_mode: ClipMode | None
    clips_per_video: int | None
    min_gap: float | None
    split: Mapping[str, float] | None
    allow_outside_root: bool | None
    select: Sequence[str] | None
    ignore: Sequence[str] | None
    severity: Mapping[str, SeverityWord] | None
    fail_on: FailOn | None
    rule_options: Mapping[str, Mapping[str, Any]] | None
