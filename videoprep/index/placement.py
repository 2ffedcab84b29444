"""Which bucket a clip goes to, which part of the picture and which frames. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import log

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code
from videoprep.index.bucket import Bucket
from videoprep.index.policy import Policy
from videoprep.media.geometry import Box, center_box, whole
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import frames_available, nearest_frames


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a clip goes.

    Attributes:
        bucket: frames, height and width after fitting.
        crop: the part of each upright source frame that is kept.
        frame_indices: int32 ``[frames]``: the source frames, in order of presentation.
        rate: frames a second at which they are taken.
        available: how many frames at that rate the source holds.
    """

    bucket: Bucket
    crop: Box
    frame_indices: NDArray[np.int32]
    rate: Fraction
    available: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a sample is not planned, and what would bring it in."""

    code: Code
    reason: str
    remedy: str


def place(media: MediaInfo, policy: Policy) -> Placement | LeftOut:
    """Decides a clip's bucket, crop and frames from what is in its file."""
    breach = _breach(media, policy) if policy.reshape == "none" else None
    if breach is not None:
        return breach
    size = _choose_size(media, policy)
    if isinstance(size, LeftOut):
        return size
    rate = policy.target_fps or media.fps
    available = frames_available(media.timestamps, media.fps, rate)
    count = _choose_count(available, policy)
    if isinstance(count, LeftOut):
        return count
    height, width = size
    crop = whole(media.width, media.height)
    if policy.reshape == "center-crop":
        crop = center_box(media.width, media.height, width, height)
    return Placement(
        bucket=Bucket(count, height, width),
        crop=crop,
        frame_indices=_choose_frames(media, rate, count),
        rate=rate,
        available=available,
    )


def _breach(media: MediaInfo, policy: Policy) -> LeftOut | None:
    """Without consent to reshape, a clip has to keep the profile's rule as it is."""
    profile = policy.profile
    if not profile.accepts_size(media.width, media.height):
        return LeftOut(
            Code.SIZE_NOT_DIVISIBLE,
            f"{media.width}×{media.height} is not divisible by {profile.divisor}",
            "allow fitting with --reshape center-crop, or choose another --profile",
        )
    if policy.target_fps is None and not profile.accepts_frames(media.frames):
        return LeftOut(
            Code.FRAME_COUNT,
            f"{media.frames} frames are neither {profile.frame_rule().replace(' or ', ' nor ')}",
            "allow fitting with --reshape center-crop, or trim the file",
        )
    return None


def _choose_size(media: MediaInfo, policy: Policy) -> tuple[int, int] | LeftOut:
    """``(height, width)``: nearest in aspect ratio, then in area, never enlarging."""
    if not policy.sizes:
        own = policy.profile.size_within(media.width, media.height)
        return (own[1], own[0]) if own else _too_small(media, f"{policy.profile.divisor} pixels")
    if policy.reshape == "none":
        if (media.height, media.width) in policy.sizes:
            return media.height, media.width
        return LeftOut(
            Code.NO_EXACT_BUCKET,
            f"no bucket is exactly {media.width}×{media.height}",
            "add this size to the buckets, or allow fitting with --reshape center-crop",
        )
    fitting = [(h, w) for h, w in policy.sizes if h <= media.height and w <= media.width]
    if not fitting:
        return _too_small(media, "the smallest bucket")
    return min(fitting, key=lambda size: _distance(media, *size))


def _distance(media: MediaInfo, height: int, width: int) -> tuple[float, float]:
    aspect = abs(log((width * media.height) / (height * media.width)))
    area = abs(log((width * height) / (media.width * media.height)))
    # Equal ratios reached by different divisions differ in the last bits: they are one ratio.
    return round(aspect, 9), area


def _choose_count(available: int, policy: Policy) -> int | LeftOut:
    """The longest legal count that fits."""
    limit = min(available, policy.max_num_frames)
    if policy.frame_counts:
        fitting = [n for n in policy.frame_counts if n <= limit]
        count = max(fitting, default=None)
    else:
        count = policy.profile.frames_within(limit)
    if count is None:
        shortest = min(policy.frame_counts, default=1)
        return LeftOut(
            Code.TOO_SHORT,
            f"{available} frames are fewer than the smallest frame bucket, {shortest}",
            "add a smaller bucket with --frame-buckets, or remove the sample",
        )
    return count


def _choose_frames(media: MediaInfo, rate: Fraction, count: int) -> NDArray[np.int32]:
    if rate == media.fps and not media.variable_frame_rate:
        return np.arange(count, dtype=np.int32)
    return nearest_frames(media.timestamps, rate, count)


def _too_small(media: MediaInfo, than: str) -> LeftOut:
    return LeftOut(
        Code.TOO_SMALL,
        f"{media.width}×{media.height} is smaller than {than} and would have to be enlarged",
        "add a smaller bucket with --height-buckets and --width-buckets, or remove the sample",
    )
