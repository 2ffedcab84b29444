"""What is taken of a reference: its own frames, in a size of its own. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut
from videoprep.index.policy import Policy
from videoprep.media.geometry import Box, center_box
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import frames_available, nearest_frames


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """What is taken of a reference."""

    bucket: Bucket
    crop: Box
    """The part of each frame that is kept: all of it but for what makes its size legal."""
    frame_indices: NDArray[np.int32]
    """Int32 ``[frames]``."""


def plan_reference(media: MediaInfo, policy: Policy) -> ReferencePlan | LeftOut:
    """Choose the size of a reference, and its frames from the first one on.

    It keeps its aspect ratio, is not enlarged, and is made smaller only if it has more than
    `reference_max_pixels`: 1920×1080 within 921,600 pixels is 1280×720, cut to 1280×704 where sides
    have to be divisible by 32.
    """
    width, height = media.shown_size
    scale = min(1.0, sqrt(policy.reference_max_pixels / (width * height)))
    size = policy.profile.size_within(int(width * scale), int(height * scale))
    if size is None:
        return LeftOut(
            Code.TOO_SMALL,
            f"{width}×{height} has a side below the {policy.profile.divisor} pixels that it needs "
            f"within `reference_max_pixels={policy.reference_max_pixels}`",
            "replace it by a larger one, or leave the cell empty",
        )
    crop = center_box(media.width, media.height, *size, media.pixel_aspect)
    indices = _frames(media, policy)
    return ReferencePlan(Bucket(len(indices), size[1], size[0]), crop, indices)


def _frames(media: MediaInfo, policy: Policy) -> NDArray[np.int32]:
    """The first frames at the planned rate, as many as a clip may have."""
    if media.frames == 1:  # a still image has no rate
        return np.zeros(1, np.int32)
    rate = policy.target_fps or media.fps
    available = frames_available(media.timestamps, media.fps, rate)
    count = policy.profile.frames_within(min(available, policy.max_num_frames)) or 1
    return nearest_frames(media.timestamps.seconds(), rate, count)
