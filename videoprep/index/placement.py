"""Which bucket a clip goes to, which part of the picture and which frames. Pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code
from videoprep.families.profile import Profile
from videoprep.index.bucket import Bucket
from videoprep.index.clip import rate_of
from videoprep.index.policy import CROPS, Policy
from videoprep.index.windows import Window
from videoprep.media.geometry import Box, center_box, letter_box, whole
from videoprep.media.probe import MediaInfo
from videoprep.media.refusals import MAX_SIDE
from videoprep.media.timestamps import frames_available, nearest_frame, nearest_frames
from videoprep.spec.configs.contract import Footage, TrainerClip, Treatment
from videoprep.spec.extras import TimeZero
from videoprep.spec.sample import NO_EXTRAS, Extras

# Seconds by which a range may reach beyond the video: its end was rounded, or taken from a header.
_SLACK = 0.5

# Frames by which a late start may fall short of whole ones because its time was rounded.
_ROUNDED = Fraction(1, 10)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a clip goes.

    Attributes:
        bucket: frames, height and width after fitting.
        crop: the part of each upright source frame that is kept.
        fit: where that part lies in the bucket; what is around it is black.
        frame_indices: int32 ``[frames]``: the source frames, in order of presentation.
        rate: frames a second at which they are taken; None of a still image.
        speed: how many times faster than in the file things move; 1 but for
            ``all-frames-stride``.
        start: seconds from the file's first frame to the clip's first; None of a still image.
        end: seconds to where the clip ends; None of a still image.
        available: how many frames at that rate there are to take clips from.
    """

    bucket: Bucket
    crop: Box
    fit: Box
    frame_indices: NDArray[np.int32]
    rate: Fraction | None
    speed: Fraction
    start: float | None
    end: float | None
    available: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a sample is not planned, and what would bring it in."""

    code: Code
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Span:
    """The part of a video that a sample is about.

    Attributes:
        seconds: float64 ``[source frames]``: when each is shown, from the first one on.
        first: the first frame of the part.
        start: seconds from the file's first frame to where the part begins.
        available: frames in it at the planned rate.
        rate: that rate.
        as_they_are: whether frames are taken one after the other, at the file's own even rate.
    """

    seconds: NDArray[np.float64]
    first: int
    start: float
    available: int
    rate: Fraction
    as_they_are: bool


def picture_size(media: MediaInfo, policy: Policy) -> tuple[int, int]:
    """Return ``(width, height)`` by which a clip is placed, in square pixels if it may be scaled.

    Without consent to reshape the pixels stay as they are stored.
    """
    return (media.width, media.height) if policy.reshape == "none" else media.shown_size


def place(
    media: MediaInfo, policy: Policy, extras: Extras = NO_EXTRAS
) -> tuple[Placement, ...] | LeftOut:
    """Decides a sample's clips from what is in its file: bucket, crop and frames of each.

    A still image is a clip of one frame, in a bucket of its own. With `Policy.multi_bucket` there
    is a clip of a video for each bucket that fits; those in the nearest one, which are all that
    there are otherwise, come first.
    """
    if policy.treatment is not None:
        return _place_treated(media, policy, policy.treatment, extras)
    if media.is_still:
        return _place_still(media, policy.of_stills, extras)
    policy = policy.of_videos
    breach = barred(media, policy)
    if breach is None and policy.reshape == "none":
        breach = _breach(media, policy, extras)
    if breach is not None:
        return breach
    span = _span(media, policy, extras)
    if isinstance(span, LeftOut):
        return span
    sizes = _choose_sizes(media, policy, span.available)
    if isinstance(sizes, LeftOut):
        return sizes
    return tuple(
        _placement(media, policy, span, size, window)
        for size in sizes
        for counts in _lengths(policy, size, span.available)
        for window in policy.windows.cut(span.available, counts, span.rate)
    )


def share_of_weight(clips: Sequence[Placement], policy: Policy) -> float:
    """Return which part of its sample's weight each of its clips has.

    Without `Policy.multi_bucket` each has all of it. With it the clips together have as much as
    those that there would be without. For example, one clip that is in three buckets has a third of
    the weight in each.
    """
    first = clips[0]
    if not policy.multi_bucket or policy.treatment is not None:
        return 1.0
    if first.rate is None:  # a still image is one clip in each of its buckets
        return 1.0 / len(clips)
    size, available = (first.bucket.height, first.bucket.width), first.available
    # At what rate the gaps between clips are counted: that of the clips before they are sped up.
    counts, rate = _counts(policy, size, available), first.rate * first.speed
    return len(policy.windows.cut(available, counts, rate)) / len(clips)


def player_time(media: MediaInfo, placement: Placement) -> tuple[Fraction, Fraction]:
    """Return when a clip begins for a player of its file, and how long it lasts, in seconds.

    For example, the frame 24 of a file at 24 fps whose picture starts half a second after its
    sound is shown at 1.5 s.
    """
    times, indices = media.timestamps, placement.frame_indices
    if placement.rate is None:
        raise ValueError("a still image has no time")
    since_first = int(times.ticks[indices[0]] - times.ticks[0]) * times.time_base
    return media.picture_start + since_first, len(indices) / rate_of(float(placement.rate))


def barred(media: MediaInfo, policy: Policy) -> LeftOut | None:
    """Return why a clip is skipped whatever buckets there are, if it is."""
    too_large = None if policy.reshape == "none" else _shown_too_large(media)
    if too_large is not None or policy.min_pixels is None:
        return too_large
    width, height = picture_size(media, policy)
    if width * height >= policy.min_pixels:
        return None
    return LeftOut(
        Code.FEW_PIXELS,
        f"{width}×{height} is fewer than {policy.min_pixels} pixels, the minimum asked for",
        "replace the file by its original, lower `min_pixels`, or remove the sample",
    )


def available_frames(media: MediaInfo, policy: Policy, extras: Extras = NO_EXTRAS) -> int:
    """How many frames at the planned rate a sample has; 0 where its range is not in the video."""
    if media.is_still:
        return 0 if _range_of_still(extras) else 1
    span = _span(media, policy, extras)
    return 0 if isinstance(span, LeftOut) else span.available


def seconds_of_range(
    media: MediaInfo, extras: Extras, time_zero: TimeZero
) -> tuple[float, float] | LeftOut:
    """Return seconds from a video's first frame to where a sample begins, and to where it ends."""
    late = late_start(media) if time_zero == "container" else 0.0
    return _range(media.timestamps.seconds(), media.seconds, extras, late)


def frames_of_range(media: MediaInfo, extras: Extras, time_zero: TimeZero) -> range | LeftOut:
    """Return the numbers of the frames in a sample's range; there is at least one."""
    if media.is_still:
        return _range_of_still(extras) or range(1)
    found = seconds_of_range(media, extras, time_zero)
    if isinstance(found, LeftOut):
        return found
    (start, end), seconds = found, media.timestamps.seconds()
    first = nearest_frame(seconds, start)
    last = media.frames if end >= media.seconds else nearest_frame(seconds, end)
    return range(first, max(first + 1, last))


def frames_used(clips: Sequence[Placement]) -> int:
    """How many of a sample's available frames its clips cover; what two share counts once."""
    covered, reached = Fraction(0), Fraction(-1)
    for clip in sorted(clips, key=lambda clip: clip.start or 0.0):
        if clip.start is None or clip.end is None or clip.rate is None:
            return clip.available  # a still image is all of it
        start, end = Fraction(clip.start), Fraction(clip.end)
        covered += max(Fraction(0), end - max(start, reached)) * clip.rate * clip.speed
        reached = max(reached, end)
    return min(round(covered), clips[0].available)


def crop_anywhere(placement: Placement, media: MediaInfo, seed: int) -> Placement:
    """The same with its crop moved to a place that the seed, the contents and the time decide."""
    crop = placement.crop
    text = f"{seed} {media.fingerprint} {placement.frame_indices[0]} {placement.bucket}"
    digest = hashlib.sha256(text.encode()).digest()
    across = int.from_bytes(digest[:8], "big") % (media.width - crop.width + 1)
    down = int.from_bytes(digest[8:16], "big") % (media.height - crop.height + 1)
    return replace(placement, crop=replace(crop, x=across, y=down))


def footage_of(media: MediaInfo) -> Footage:
    """Return a file as trainers see it."""
    announced = media.header_frames or media.frames
    turned = media.orientation.transpose
    return Footage(media.width, media.height, media.frames, announced, media.fps, turned)


def _place_treated(
    media: MediaInfo, policy: Policy, treatment: Treatment, extras: Extras
) -> tuple[Placement, ...] | LeftOut:
    """Decide the clips that a trainer makes of a file, of frames at their true times.

    What the model does not take is left out of them.
    """
    profile = policy.profile
    forecast = treatment.forecast(footage_of(media), profile)
    if not forecast.planned:
        return LeftOut(
            Code.TOO_SHORT,
            f"{treatment.trainer} makes no clip of it: {forecast.dropped}",
            "change the config, plan with options of your own, or remove the sample",
        )
    if media.is_still:
        breach = _refused_still(policy) or _range_of_still(extras) or barred(media, policy)
        if breach is not None:
            return breach
    legal = [one for one in forecast.planned if _is_legal(one, profile)]
    if not legal:
        return _illegal(forecast.planned[0], treatment, profile)
    if media.is_still:
        return tuple(_still_placement(media, policy, (one.height, one.width)) for one in legal)
    span = barred(media, policy) or _span(media, policy, extras)
    if isinstance(span, LeftOut):
        return span
    placed = tuple(
        _placement(media, policy, span, (one.height, one.width), window)
        for one in legal
        if (window := _window_of(one, span.available)) is not None
    )
    return placed or LeftOut(
        Code.TOO_SHORT,
        f"{span.available} frames at {float(span.rate):g} fps are fewer than the "
        f"{min(one.frames for one in legal)} that {treatment.trainer} takes: it would repeat "
        "frames, or count others",
        "ask for shorter clips in the config, or remove the sample",
    )


def _window_of(clip: TrainerClip, available: int) -> Window | None:
    """The part of a video that a trainer's clip is; None if there are too few frames."""
    if clip.frames > available:
        return None
    if clip.spans:
        return Window(0, clip.frames, Fraction(available, clip.frames))
    return Window(min(clip.offset, available - clip.frames), clip.frames)


def _is_legal(clip: TrainerClip, profile: Profile) -> bool:
    return profile.accepts_size(clip.width, clip.height) and profile.accepts_frames(clip.frames)


def _illegal(clip: TrainerClip, treatment: Treatment, profile: Profile) -> LeftOut:
    size = profile.accepts_size(clip.width, clip.height)
    rule = f"{profile.frame_rule()} frames" if size else f"sides divisible by {profile.divisor}"
    return LeftOut(
        Code.FRAME_COUNT if size else Code.SIZE_NOT_DIVISIBLE,
        f"{treatment.trainer} puts it into {clip.bucket}, and the profile {profile.name!r} takes "
        f"{rule}",
        "name the `profile` of the model that is trained",
    )


def _place_still(
    media: MediaInfo, policy: Policy, extras: Extras
) -> tuple[Placement, ...] | LeftOut:
    """Decide where a still image goes: all that is asked of videos but for what takes time."""
    breach = _refused_still(policy) or _range_of_still(extras) or barred(media, policy)
    if breach is None and policy.reshape == "none":
        breach = _size_breach(media, policy)
    sizes = breach or _choose_sizes(media, policy, 1)
    if isinstance(sizes, LeftOut):
        return sizes
    return tuple(_still_placement(media, policy, size) for size in sizes)


def _still_placement(media: MediaInfo, policy: Policy, size: tuple[int, int]) -> Placement:
    height, width = size
    crop, fit = _fitting(media, policy, height, width)
    placement = Placement(
        bucket=Bucket(1, height, width),
        crop=crop,
        fit=fit,
        frame_indices=np.zeros(1, np.int32),
        rate=None,
        speed=Fraction(1),
        start=None,
        end=None,
        available=1,
    )
    if policy.reshape == "random-crop":
        placement = crop_anywhere(placement, media, policy.crop_seed)
    return placement


def _refused_still(policy: Policy) -> LeftOut | None:
    if policy.profile.stills:
        return None
    return LeftOut(
        Code.STILL_IMAGE,
        f"is a still image, and the profile {policy.profile.name!r} is for videos alone",
        "choose the `profile` of a family that trains on still images, or remove the sample",
    )


def _range_of_still(extras: Extras) -> LeftOut | None:
    """Why a time range of a still image is refused; None if there is none."""
    if extras.start is None and extras.end is None:
        return None
    return LeftOut(
        Code.RANGE_OUTSIDE,
        f"the time range {_written(extras)} is of a still image, which has no time",
        "leave start and end of a still image empty",
    )


def _written(extras: Extras) -> str:
    to = "the end" if extras.end is None else f"{extras.end:g}"
    return f"{extras.start or 0:g} to {to} ({extras.unit})"


def _size_breach(media: MediaInfo, policy: Policy) -> LeftOut | None:
    profile = policy.profile
    if profile.accepts_size(media.width, media.height):
        return None
    return LeftOut(
        Code.SIZE_NOT_DIVISIBLE,
        f"{media.width}×{media.height} is not divisible by {profile.divisor}",
        "allow fitting with `reshape='center-crop'`, or choose another `profile`",
    )


def _breach(media: MediaInfo, policy: Policy, extras: Extras) -> LeftOut | None:
    """Without consent to reshape, a clip has to keep the profile's rule as it is.

    Its length, too, unless the user has asked for parts of the video or for another rate.
    """
    profile, breach = policy.profile, _size_breach(media, policy)
    if breach is not None:
        return breach
    whole_video = extras.start is None and extras.end is None and policy.windows.mode == "head"
    if whole_video and policy.target_fps is None and not profile.accepts_frames(media.frames):
        return LeftOut(
            Code.FRAME_COUNT,
            profile.breach(media.frames),
            "allow fitting with `reshape='center-crop'`, or trim the file",
        )
    return None


def _shown_too_large(media: MediaInfo) -> LeftOut | None:
    """A file may say any ratio: one that no picture has is a mistake, and is not guessed at."""
    width, height = media.shown_size
    if max(width, height) <= MAX_SIDE:
        return None
    ratio = media.pixel_aspect
    return LeftOut(
        Code.NON_SQUARE_PIXELS,
        f"{media.width}×{media.height} with pixels of {ratio.numerator}:{ratio.denominator} would "
        f"be shown as {width}×{height}, more than {MAX_SIDE} pixels a side",
        "correct the file's sample aspect ratio, or remove the sample",
    )


def _span(media: MediaInfo, policy: Policy, extras: Extras) -> _Span | LeftOut:
    """The sample's part of the video, in frames at the planned rate."""
    rate = policy.target_fps or media.rate
    as_they_are = rate == media.rate and not media.variable_frame_rate
    times = media.timestamps
    seconds = times.seconds()
    if extras.start is None and extras.end is None:
        available = frames_available(times, media.rate, rate)
        return _Span(seconds, 0, 0.0, available, rate, as_they_are)
    duration = media.seconds
    found = seconds_of_range(media, extras, policy.time_zero)
    if isinstance(found, LeftOut):
        return found
    start, end = found
    if as_they_are:
        first = nearest_frame(seconds, start)
        last = media.frames if end >= duration else nearest_frame(seconds, end)
        return _Span(seconds, first, float(seconds[first]), max(1, last - first), rate, True)
    # Times are rounded when they are written: half a frame of the file may be missing at the end.
    slack = min(0.5, float(rate) / float(media.rate) / 2)
    available = max(1, int((end - start) * float(rate) + slack))
    return _Span(seconds, 0, start, available, rate, False)


def late_start(media: MediaInfo) -> float:
    """Return the seconds by which players show the first frame late, in whole frames.

    What is less than a frame is ignored: with a picture that starts 0.021 s late at 25 frames a
    second, the first frame at or after second 5 is number 125, as if it did not; with one that
    starts 3.021 s late it is number 50.
    """
    frames = int(media.picture_start * media.rate + _ROUNDED)
    return float(frames / media.rate)


def _range(
    seconds: NDArray[np.float64], duration: float, extras: Extras, late: float
) -> tuple[float, float] | LeftOut:
    """Seconds from the first frame to where the sample begins, and to where it ends.

    Args:
        seconds: when each frame is shown, from the first one on.
        duration: seconds to the end of the last.
        extras: what the row says.
        late: seconds to the first frame from where times in seconds count.
    """
    start, end, frames = extras.start or 0.0, extras.end, len(seconds)
    if extras.unit == "frames":
        held = f"{frames} frames"
        if start < frames and (end is None or end <= frames):
            to_end = end is None or end == frames
            until = duration if to_end else float(seconds[int(end or 0)])
            return float(seconds[int(start)]), until
    else:
        held = f"{duration:.2f} s"
        if late:
            held = f"a picture from {late:.2f} to {duration + late:.2f} s"
        start, end = max(0.0, start - late), None if end is None else end - late
        if start < duration and (end is None or 0 < end <= duration + _SLACK):
            return start, duration if end is None else min(end, duration)
    return LeftOut(
        Code.RANGE_OUTSIDE,
        f"the time range {_written(extras)} is not in the video, which has {held}",
        "correct start and end, or say with `time_unit` what they are in",
    )


def _choose_sizes(
    media: MediaInfo, policy: Policy, available: int
) -> tuple[tuple[int, int], ...] | LeftOut:
    """``(height, width)``: the nearest in aspect ratio, then in area.

    With `Policy.multi_bucket` the others that the clip fits follow, in this order.
    """
    if not policy.sizes:
        own = _own_size(media, policy)
        if own is None:
            return _too_small(media, policy, _least_own(policy))
        return (own,) if _counts(policy, own, available) else _too_short(available, policy, [own])
    if policy.reshape == "none" and (media.height, media.width) not in policy.sizes:
        return LeftOut(
            Code.NO_EXACT_BUCKET,
            f"no bucket is exactly {media.width}×{media.height}",
            "add this size to the buckets, or allow fitting with `reshape='center-crop'`",
        )
    picture = picture_size(media, policy)
    order = _order(policy.reshape, policy.allow_upscale, *picture, tuple(policy.sizes))
    if not order:
        return _too_small(media, policy, None)
    kept = _keeping(*picture, order, policy) if policy.chosen else order
    if not kept:
        return _little_kept(*picture, order, policy)
    first = next((size for size in kept if _counts(policy, size, available)), None)
    if first is None:
        return _too_short(available, policy, kept)
    if not policy.multi_bucket:
        return (first,)
    others = (size for size in order if size != first and _counts(policy, size, available))
    return (first, *(size for size in others if _shape_kept(*picture, *size) >= policy.min_kept))


def _shape_kept(of_width: int, of_height: int, height: int, width: int) -> float:
    """Which share of a picture the largest box inside it has that is of a size's aspect ratio.

    It stands for the distortion, or the part that is not black, where a picture is not cropped.
    """
    one, other = width * of_height, height * of_width
    return min(one, other) / max(one, other)


def _lengths(policy: Policy, size: tuple[int, int], available: int) -> Iterator[tuple[int, ...]]:
    """The frame counts that windows are cut by: all at once, or each by itself, the longest first.

    Of all at once the longest that fits is taken.
    """
    counts = _counts(policy, size, available)
    if policy.multi_bucket:
        yield from ((count,) for count in reversed(counts))
    else:
        yield counts


@lru_cache(maxsize=4096)
def _order(
    reshape: str, enlarge: bool, width: int, height: int, sizes: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """The sizes that a picture may be fitted to, the nearest first."""
    if reshape == "none":
        return ((height, width),)
    fits = _fits_padded if reshape == "pad" else _fits
    fitting = [(h, w) for h, w in sizes if enlarge or fits(w, h, width, height)]
    return tuple(sorted(fitting, key=lambda size: _distance(width, height, *size)))


def _keeping(
    width: int, height: int, sizes: Sequence[tuple[int, int]], policy: Policy
) -> tuple[tuple[int, int], ...]:
    """The sizes that keep enough of a picture; `auto_buckets.assign` goes by the same rule."""
    floor = policy.floor
    return tuple((h, w) for h, w in sizes if floor.allows(width, height, w, h))


def _fits(width: int, height: int, of_width: int, of_height: int) -> bool:
    return width <= of_width and height <= of_height


def _fits_padded(width: int, height: int, of_width: int, of_height: int) -> bool:
    """The picture is put whole into the bucket: one side alone decides how much it shrinks."""
    return width <= of_width or height <= of_height


def _distance(of_width: int, of_height: int, height: int, width: int) -> tuple[float, float]:
    aspect = abs(log((width * of_height) / (height * of_width)))
    area = abs(log((width * height) / (of_width * of_height)))
    # Equal ratios reached by different divisions differ in the last bits: they are one ratio.
    return round(aspect, 9), area


def _least_own(policy: Policy) -> str:
    divisor = policy.profile.divisor
    if policy.max_pixels is None:
        return f"{divisor} pixels a side"
    return f"{divisor} pixels a side once it is within `max_pixels={policy.max_pixels}`"


def _own_size(media: MediaInfo, policy: Policy) -> tuple[int, int] | None:
    """The clip's own ``(height, width)``, not above the limit, cut or padded to a legal one."""
    width, height = picture_size(media, policy)
    limit = policy.max_pixels
    if limit is not None and width * height > limit:
        if policy.reshape == "none":
            return None
        scale = sqrt(limit / (width * height))
        width, height = int(width * scale), int(height * scale)
    elif policy.reshape == "pad":
        up = policy.profile.nearest_sizes(width, height)[-1]
        if limit is None or up[0] * up[1] <= limit:
            return up[1], up[0]
    own = policy.profile.size_within(width, height)
    return None if own is None else (own[1], own[0])


def _counts(policy: Policy, size: tuple[int, int], available: int) -> tuple[int, ...]:
    """Frame counts that a clip of that size may have and that there are, ascending."""
    limit = min(available, policy.max_num_frames)
    listed = policy.sizes.get(size) or policy.frame_counts
    if listed:
        return tuple(count for count in listed if count <= limit)
    longest = policy.profile.frames_within(limit)
    return () if longest is None or longest < policy.shortest else (longest,)


def _placement(
    media: MediaInfo, policy: Policy, span: _Span, size: tuple[int, int], window: Window
) -> Placement:
    height, width = size
    rate = span.rate if window.stride == 1 else span.rate / window.stride
    start = span.start + window.offset / float(span.rate)
    if span.as_they_are and window.stride == 1:
        first = span.first + window.offset
        indices = np.arange(first, first + window.frames, dtype=np.int32)
    else:
        indices = nearest_frames(span.seconds, rate, window.frames, start)
    crop, fit = _fitting(media, policy, height, width)
    placement = Placement(
        bucket=Bucket(window.frames, height, width),
        crop=crop,
        fit=fit,
        frame_indices=indices,
        rate=rate,
        speed=window.stride,
        start=start,
        end=start + window.frames / float(rate),
        available=span.available,
    )
    if policy.reshape == "random-crop":
        return crop_anywhere(placement, media, policy.crop_seed)
    return placement


def _fitting(media: MediaInfo, policy: Policy, height: int, width: int) -> tuple[Box, Box]:
    """Which part of the picture is kept, and where it lies in the bucket."""
    picture, bucket = whole(media.width, media.height), whole(width, height)
    if policy.reshape == "pad":
        enlarge = policy.allow_upscale
        return picture, letter_box(*media.shown_size, width, height, enlarge=enlarge)
    if policy.reshape in CROPS:
        ratio = media.pixel_aspect
        return center_box(media.width, media.height, width, height, ratio), bucket
    return picture, bucket


def _too_small(media: MediaInfo, policy: Policy, than: str | None) -> LeftOut:
    """A picture may have more pixels than each bucket, and be too narrow for all of them."""
    width, height = picture_size(media, policy)
    size = f"{width}×{height}"
    return LeftOut(
        Code.TOO_SMALL,
        f"{size} fits no bucket without being enlarged"
        if than is None
        else f"{size} is smaller than {than}: it would have to be enlarged",
        "add a smaller bucket, allow enlarging with `allow_upscale`, or remove the sample",
    )


def _little_kept(
    width: int, height: int, sizes: Sequence[tuple[int, int]], policy: Policy
) -> LeftOut:
    floor = policy.floor
    share, size = max((float(floor.kept(width, height, w, h)), (h, w)) for h, w in sizes)
    return LeftOut(
        Code.LITTLE_KEPT,
        f"of {width}×{height} the best of the chosen buckets that it fits, {size[1]}×{size[0]}, "
        f"would keep {share:.0%} of what a bucket of its own would; at least {floor.least:.0%} is "
        "asked for",
        "raise `num_buckets`, lower `min_kept`, list a bucket of its size with `buckets`, or "
        "remove the sample",
    )


def _too_short(available: int, policy: Policy, sizes: Sequence[tuple[int, int]]) -> LeftOut:
    """No bucket of the sizes that a picture may be fitted to is short enough."""
    buckets = [
        Bucket(count, *size)
        for size in sizes
        for count in policy.sizes.get(size) or policy.frame_counts or (policy.shortest,)
    ]
    listed = not policy.frame_counts and not policy.chosen and any(policy.sizes.values())
    option = "buckets" if listed else "frame_buckets"
    least = min(buckets, key=lambda bucket: (bucket.frames, bucket.height * bucket.width))
    return LeftOut(
        Code.TOO_SHORT,
        f"{available} frame{'s are' if available > 1 else ' is'} fewer than the {least.frames} "
        f"of {least}, the smallest bucket that the clip fits",
        f"add a smaller bucket with `{option}`, or remove the sample",
    )
