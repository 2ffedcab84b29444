"""Every clip gets one legal place, or one reason why not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import videoprep as vp
from videoprep.errors import Code, PlanError, SpecError
from videoprep.index.auto_buckets import Shapes, assign
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut, Placement, frames_used, place
from videoprep.index.policy import Policy, options_of
from videoprep.media.geometry import Box, whole
from videoprep.media.orientation import UPRIGHT
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import Timestamps
from videoprep.spec.sample import NO_EXTRAS, Extras


def media(
    width: int, height: int, frames: int, fps: int | Fraction | None = 8, **facts: Any
) -> MediaInfo:
    """A file of constant rate that need not exist."""
    info = MediaInfo(
        fingerprint="0" * 32,
        stream=0,
        width=width,
        height=height,
        timestamps=Timestamps(np.arange(frames, dtype=np.int64), Fraction(1, fps or 1)),
        picture_start=Fraction(0),
        fps=None if fps is None else Fraction(fps),
        variable_frame_rate=False,
        orientation=UPRIGHT,
        sample_aspect_ratio=Fraction(1),
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec="h264",
        header_frames=frames,
        packets=frames,
        repeated_times=0,
        cut_off=False,
        interlaced=False,
        pixel_format="yuv420p",
        bit_depth=8,
        alpha=False,
        color_space=2,
        color_range=0,
        color_primaries=2,
        color_transfer=2,
        audio=None,
    )
    return replace(info, **facts)


def policy(**options) -> Policy:
    return Policy.of(vp.DatasetSpec(data_root=Path(), **options))


def one(found: tuple[Placement, ...] | LeftOut) -> Placement:
    """The only clip of a sample."""
    assert isinstance(found, tuple)
    (placement,) = found
    return placement


sides = st.integers(1, 4096)
multiples = st.lists(st.integers(1, 40).map(lambda n: 32 * n), min_size=1, max_size=5)
frame_counts = st.lists(st.sampled_from([1, 4, 5, 16, 17, 32, 33, 49]), max_size=4)
triples = st.lists(
    st.tuples(st.sampled_from([1, 4, 5, 16, 17, 33, 49]), st.integers(1, 30), st.integers(1, 30)),
    min_size=1,
    max_size=5,
).map(lambda found: {"buckets": tuple(f"{f}x{32 * h}x{32 * w}" for f, h, w in found)})
products = st.tuples(multiples, multiples, frame_counts).map(
    lambda found: dict(
        zip(("height_buckets", "width_buckets", "frame_buckets"), found, strict=True)
    )
)
own_sizes = st.fixed_dictionaries(
    {"frame_buckets": frame_counts, "max_pixels": st.none() | st.integers(1024, 10**6)}
)
time_ranges = st.builds(
    lambda start, length, unit: Extras(start=start, end=start + length, unit=unit),
    st.integers(0, 60),
    st.integers(1, 300),
    st.sampled_from(["seconds", "frames"]),
)


@given(
    size=st.tuples(sides, sides),
    frames=st.integers(1, 400),
    fps=st.sampled_from([1, 8, 25, 30]),
    reshape=st.sampled_from(["none", "center-crop", "random-crop", "resize", "pad"]),
    upscale=st.booleans(),
    buckets=st.one_of(triples, products, own_sizes),
    target_fps=st.one_of(st.none(), st.floats(1, 60)),
    mode=st.sampled_from(["head", "middle", "chunk", "slide", "all-frames-stride", "uniform"]),
    limit=st.integers(1, 5),
    extras=st.just(NO_EXTRAS) | time_ranges,
)
def test_every_clip_is_legal_and_lies_inside(
    size, frames, fps, reshape, upscale, buckets, target_fps, mode, limit, extras
) -> None:
    several = mode in ("uniform", "chunk", "slide")
    rules = policy(
        reshape=reshape,
        allow_upscale=upscale,
        target_fps=target_fps,
        clip_mode=mode,
        clips_per_video=limit if several else None,
        **buckets,
    )
    info = media(*size, frames, fps)
    found = place(info, rules, extras)
    if isinstance(found, LeftOut):
        assert found.reason
        assert found.remedy
        return
    assert 1 <= len(found) <= (limit if several else 1)
    assert frames_used(found) <= found[0].available
    for clip in found:
        check_clip(clip, info, rules)
    for before, after in pairwise(found):
        assert before.start < after.start
        if mode != "slide":
            assert before.end <= after.start + 1e-9


def check_clip(clip: Placement, info: MediaInfo, rules: Policy) -> None:
    """What holds for every clip."""
    bucket, crop, fit = clip.bucket, clip.crop, clip.fit
    assert rules.profile.accepts_size(bucket.width, bucket.height)
    assert rules.profile.accepts_frames(bucket.frames)
    assert bucket.frames <= rules.max_num_frames
    assert 0 <= crop.x <= crop.x + crop.width <= info.width
    assert 0 <= crop.y <= crop.y + crop.height <= info.height
    assert 0 <= fit.x <= fit.x + fit.width <= bucket.width
    assert 0 <= fit.y <= fit.y + fit.height <= bucket.height
    if not rules.allow_upscale:
        assert fit.width <= crop.width
        assert fit.height <= crop.height
    if rules.sizes:
        assert (bucket.height, bucket.width) in rules.sizes
    if rules.counts_asked:
        assert bucket.frames in rules.counts_asked
    if rules.reshape == "none":
        assert (bucket.width, bucket.height) == (info.width, info.height)
    if rules.reshape not in ("center-crop", "random-crop"):
        assert crop == whole(info.width, info.height)
    if rules.reshape != "pad":
        assert fit == whole(bucket.width, bucket.height)
    check_times(clip, info)


def check_times(clip: Placement, info: MediaInfo) -> None:
    """Frames are those nearest to their ideal times."""
    indices = clip.frame_indices
    assert len(indices) == clip.bucket.frames <= clip.available
    assert indices.min() >= 0
    assert indices.max() < info.frames
    assert (np.diff(indices) >= 0).all()
    times = info.timestamps.seconds()
    ideal = clip.start + np.arange(len(indices)) / float(clip.rate)
    inside = ideal <= times[-1]  # after the last frame there is no nearer one
    half = 0.5 / float(info.fps) + 1e-6
    assert (np.abs(times[indices] - ideal)[inside] <= half).all()


def test_frames_are_within_half_a_frame_of_their_time() -> None:
    info = media(64, 64, 300, fps=25)
    found = one(place(info, policy(target_fps=8)))
    times = found.frame_indices / 25
    ideal = np.arange(found.bucket.frames) / 8
    assert np.abs(times - ideal).max() <= 0.5 / 25 + 1e-9


def test_a_time_range_in_seconds_and_in_frames() -> None:
    info = media(64, 64, 250, fps=25)
    rules = policy(frame_buckets=(17, 49), reshape="center-crop")
    in_seconds = one(place(info, rules, Extras(start=4.0, end=6.0)))
    in_frames = one(place(info, rules, Extras(start=100, end=150, unit="frames")))
    for found in (in_seconds, in_frames):
        assert found.frame_indices.tolist() == list(range(100, 149))
        assert found.available == 50
        assert (found.start, round(found.end, 3)) == (4.0, 5.96)
    slower = one(place(info, policy(target_fps=8, max_num_frames=16), Extras(start=4.0, end=6.0)))
    assert slower.frame_indices.tolist() == [ceil(99.5 + 3.125 * n) for n in range(16)], (
        "the earlier of two"
    )


@pytest.mark.parametrize(
    "extras",
    [
        Extras(start=10.0),
        Extras(start=9.0, end=10.6),
        Extras(start=250, unit="frames"),
        Extras(start=0, end=251, unit="frames"),
    ],
)
def test_a_time_range_outside_the_video(extras: Extras) -> None:
    found = place(media(64, 64, 250, fps=25), policy(), extras)
    assert isinstance(found, LeftOut)
    assert found.code is Code.RANGE_OUTSIDE
    assert "time range" in found.reason


def test_an_end_that_was_rounded_is_the_videos_end() -> None:
    found = one(place(media(64, 64, 250, fps=25), policy(), Extras(start=8.0, end=10.4)))
    assert found.available == 50


def test_random_crops_are_the_same_every_time_and_not_all_in_the_middle() -> None:
    rules = policy(reshape="random-crop", buckets=("9x64x64",))
    crops = set()
    for number in range(20):
        info = media(200, 100, 9).with_fingerprint(f"{number:032x}")
        found = one(place(info, rules))
        again = one(place(info, rules))
        assert again.crop == found.crop
        assert (found.crop.width, found.crop.height) == (100, 100)
        crops.add(found.crop.x)
    assert len(crops) > 10
    other = one(place(info, policy(reshape="random-crop", buckets=("9x64x64",), crop_seed=1)))
    assert other.crop != found.crop


def test_padding_keeps_the_whole_picture() -> None:
    found = one(place(media(200, 100, 9), policy(reshape="pad", buckets=("9x64x64",))))
    assert found.crop == whole(200, 100)
    assert found.fit == Box(0, 16, 64, 32)
    own = one(place(media(100, 90, 9), policy(reshape="pad")))
    assert (own.bucket.height, own.bucket.width) == (96, 128)
    assert own.fit.width < 128, "the picture keeps its shape"


def test_enlarging_needs_consent() -> None:
    small = media(48, 48, 9)
    left_out = place(small, policy(reshape="center-crop", buckets=("9x64x64",)))
    assert isinstance(left_out, LeftOut)
    assert left_out.code is Code.TOO_SMALL
    rules = policy(reshape="center-crop", buckets=("9x64x64",), allow_upscale=True)
    assert one(place(small, rules)).bucket == Bucket(9, 64, 64)


def test_listed_buckets_each_have_their_own_lengths() -> None:
    rules = policy(reshape="center-crop", buckets=("49x64x64", "17x64x96", "33x64x64"))
    assert one(place(media(64, 64, 40), rules)).bucket == Bucket(33, 64, 64)
    assert one(place(media(96, 64, 400), rules)).bucket == Bucket(17, 64, 96)
    assert one(place(media(96, 96, 20), rules)).bucket == Bucket(17, 64, 96), "too short for 64×64"


@pytest.mark.parametrize(
    ("size", "frames", "options", "expected"),
    [
        ((704, 480), 49, {}, Bucket(49, 480, 704)),
        ((720, 480), 49, {}, Code.SIZE_NOT_DIVISIBLE),
        ((720, 480), 49, {"profile": "cogvideox"}, Bucket(49, 480, 720)),
        ((720, 480), 49, {"reshape": "center-crop"}, Bucket(49, 480, 704)),
        ((64, 64), 50, {}, Code.FRAME_COUNT),
        ((64, 64), 50, {"reshape": "center-crop"}, Bucket(49, 64, 64)),
        ((64, 64), 390, {"max_num_frames": 1000, "reshape": "resize"}, Bucket(389, 64, 64)),
        ((64, 64), 132, {}, Bucket(49, 64, 64)),
        ((31, 64), 9, {"reshape": "center-crop"}, Code.TOO_SMALL),
        ((64, 64), 9, {"frame_buckets": (17, 33)}, Code.TOO_SHORT),
        ((64, 64), 40, {"frame_buckets": (17, 33, 49)}, Bucket(33, 64, 64)),
        (
            (96, 96),
            9,
            {"height_buckets": (64,), "width_buckets": (96,)},
            Code.NO_EXACT_BUCKET,
        ),
    ],
)
def test_examples(size, frames: int, options, expected) -> None:
    found = place(media(*size, frames), policy(**options))
    if isinstance(expected, Code):
        assert isinstance(found, LeftOut)
        assert found.code is expected
    else:
        assert one(found).bucket == expected


def test_the_nearest_shape_wins_then_the_nearest_area() -> None:
    rules = policy(
        reshape="center-crop", height_buckets=(256, 480, 512), width_buckets=(256, 480, 512, 768)
    )
    for size, expected in {
        (1024, 1024): (512, 512),
        (500, 500): (480, 480),
        (1920, 1280): (512, 768),
        (300, 1000): (512, 256),
    }.items():
        found = one(place(media(*size, 9), rules))
        assert (found.bucket.height, found.bucket.width) == expected


def test_illegal_buckets_are_all_named() -> None:
    with pytest.raises(PlanError) as raised:
        policy(height_buckets=(64, 100), width_buckets=(90,), frame_buckets=(17, 18))
    text = str(raised.value)
    assert "height 100 (not divisible by 32; nearest: 96, 128)" in text
    assert "width 90 (not divisible by 32; nearest: 64, 96)" in text
    assert "frames 18 (not 4k or 4k+1; nearest: 17, 20)" in text
    assert "height 64" not in text


def test_heights_need_widths() -> None:
    with pytest.raises(PlanError, match="only together"):
        policy(height_buckets=(64,))


def test_frame_buckets_above_the_limit() -> None:
    with pytest.raises(PlanError, match="max_num_frames=16"):
        policy(frame_buckets=(17, 33), max_num_frames=16)


def test_an_unknown_profile() -> None:
    with pytest.raises(SpecError, match="no profile 'wam'"):
        policy(profile="wam")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": ("49x480x704",), "height_buckets": (64,), "width_buckets": (64,)}, "both say"),
        ({"buckets": ("49x64x64",), "frame_buckets": (17,)}, "how long clips are"),
        ({"buckets": "auto", "reshape": "none"}, "forbids fitting"),
        ({"num_buckets": 3}, "needs `buckets=.auto.`"),
        ({"max_pixels": 10_000, "buckets": ("49x64x64",)}, "leave it out|limits sizes"),
        ({"clip_mode": "head", "clips_per_video": 2}, "one clip a sample"),
        ({"clip_mode": "middle", "min_gap": 1.0}, "one clip a sample"),
        ({"clip_mode": "uniform"}, "how many clips"),
        ({"buckets": ("50x100x64",)}, r"50×100×64 \(height not divisible by 32.*frames not"),
    ],
)
def test_wishes_that_contradict_each_other(options, message: str) -> None:
    with pytest.raises(PlanError, match=message) as raised:
        policy(**options)
    assert raised.value.remedy


def test_auto_buckets_are_consent_to_fit() -> None:
    assert policy(buckets="auto").reshape == "center-crop"
    assert policy(buckets="auto", reshape="pad").reshape == "pad"
    assert policy().reshape == "none"


def test_the_longest_frame_bucket_is_the_limit() -> None:
    assert policy(frame_buckets=(17, 81)).max_num_frames == 81
    assert policy().max_num_frames == 49
    assert policy(max_num_frames=30).max_num_frames == 30


def _frames_of(start: float | None, end: float | None, late: str, **options) -> range | None:
    """Which frames of a video of 100, at 25 a second, whose picture starts late, are taken."""
    info = media(96, 64, 100, 25, picture_start=Fraction(late))
    rules = policy(reshape="center-crop", max_num_frames=200, **options)
    unit = options.get("time_unit", "seconds")
    found = place(info, rules, Extras(start, end, unit))
    if isinstance(found, LeftOut):
        assert found.code is Code.RANGE_OUTSIDE
        return None
    indices = one(found).frame_indices
    return range(indices[0], indices[-1] + 1)


@pytest.mark.parametrize(
    ("start", "end", "late", "taken"),
    [
        (1, 2, "0", range(25, 50)),
        (1, 2, "0.021", range(25, 50)),  # less than a frame
        (4, 5, "3", range(25, 50)),
        (4, 5, "3.021", range(25, 50)),
        (4, 5, "2.997", range(25, 50)),  # 75 frames, but for rounding
        (1, 4, "3", range(25)),  # the picture that there is
        (None, 4, "3", range(25)),
        (6, None, "3", range(75, 100)),
        (1, 3, "3", None),
        (7, None, "3", None),
        (6, 8, "3", None),
    ],
)
def test_times_count_from_where_the_file_begins(
    start: float | None, end: float | None, late: str, taken: range | None
) -> None:
    assert _frames_of(start, end, late) == taken


def test_times_may_count_from_the_first_frame() -> None:
    assert _frames_of(1, 2, "3", time_zero="first-frame") == range(25, 50)
    assert _frames_of(25, 50, "3", time_unit="frames") == range(25, 50)


def test_a_range_outside_says_when_there_is_a_picture() -> None:
    info = media(96, 64, 100, 25, picture_start=Fraction(3))
    found = place(info, policy(reshape="center-crop"), Extras(1, 2))
    assert isinstance(found, LeftOut)
    assert "1 to 2 (seconds) is not in the video, which has a picture from 3.00 to 7.00 s" in (
        found.reason
    )


def test_the_plan_of_an_ordinary_dataset_does_not_speak_of_zero() -> None:
    assert "time_zero" not in policy().to_json()
    saved = policy(time_zero="first-frame").to_json()
    assert options_of(saved)["time_zero"] == "first-frame"


@pytest.mark.parametrize(
    "asked",
    [
        {"reshape": "center-crop"},
        {"reshape": "center-crop", "buckets": "auto", "min_kept": 0.25, "min_pixels": 9000},
        {"reshape": "center-crop", "buckets": "auto", "min_kept": 0.0},
    ],
)
def test_a_saved_policy_gives_its_options_again(asked) -> None:
    made = policy(**asked)
    saved = (made.with_buckets([Bucket(9, 64, 64)]) if made.auto else made).to_json()
    assert options_of(saved) == {"profile": "default", **asked}
    new = {"min_pixels", "min_kept"}
    assert saved.keys() & new == asked.keys() & new, "older indexes have none of them"


def test_clips_of_few_pixels_are_left_out() -> None:
    rules = policy(reshape="center-crop", min_pixels=64 * 96)
    assert one(place(media(96, 64, 9), rules)).bucket == Bucket(9, 64, 96)
    found = place(media(95, 64, 9), rules)
    assert isinstance(found, LeftOut)
    assert found.code is Code.FEW_PIXELS
    assert "95×64" in found.reason
    # Seen as players show it, it has enough.
    shown = media(72, 64, 9, sample_aspect_ratio=Fraction(4, 3))
    assert isinstance(place(shown, rules), tuple)


def test_a_clip_too_short_is_told_the_shortest_bucket_that_was_chosen() -> None:
    sizes = [Bucket(17, 64, 64), Bucket(33, 64, 64), Bucket(5, 256, 256)]
    chosen = policy(buckets="auto").with_buckets(sizes)
    found = place(media(90, 90, 9), chosen)
    assert isinstance(found, LeftOut)
    assert found.reason == (
        "9 frames are fewer than the 17 of 17×64×64, the smallest bucket that the clip fits"
    )


def test_places_follow_the_rule_that_buckets_were_chosen_by() -> None:
    sizes = [Bucket(9, 224, 320), Bucket(9, 480, 832), Bucket(9, 96, 96)]
    chosen = policy(buckets="auto").with_buckets(sizes)
    listed = [(854, 480), (640, 480), (320, 240), (420, 240), (100, 100), (1920, 1080), (240, 426)]
    shapes = Shapes.of(*zip(*((*size, 9) for size in listed), strict=True))
    numbers = assign(shapes, sizes, floor=chosen.floor).tolist()
    sides = zip(shapes.widths.tolist(), shapes.heights.tolist(), numbers, strict=True)
    for width, height, number in sides:
        found = place(media(width, height, 9), chosen)
        if number < 0:
            assert isinstance(found, LeftOut)
            assert found.code is Code.LITTLE_KEPT
        else:
            assert one(found).bucket == sizes[number]
    assert -1 in numbers
