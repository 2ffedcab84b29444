"""Every clip gets one legal place, or one reason why not."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import videoprep as vp
from videoprep.errors import Code, PlanError, SpecError
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut, Placement, frames_used, place
from videoprep.index.policy import Policy
from videoprep.media.geometry import Box, whole
from videoprep.media.orientation import UPRIGHT
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import Timestamps
from videoprep.spec.sample import NO_EXTRAS, Extras


def media(width: int, height: int, frames: int, fps: int = 8) -> MediaInfo:
    """A file of constant rate that need not exist."""
    return MediaInfo(
        fingerprint="0" * 32,
        stream=0,
        width=width,
        height=height,
        timestamps=Timestamps(np.arange(frames, dtype=np.int64), Fraction(1, fps)),
        fps=Fraction(fps),
        variable_frame_rate=False,
        orientation=UPRIGHT,
        pyav_only=False,
        sample_aspect_ratio=Fraction(1),
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec="h264",
        header_frames=frames,
        packets=frames,
        cut_off=False,
        interlaced=False,
        pixel_format="yuv420p",
        bit_depth=8,
        alpha=False,
        color_space=2,
        color_range=0,
        color_primaries=2,
        color_transfer=2,
    )


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
    with pytest.raises(PlanError, match="max-num-frames 16"):
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
        ({"num_buckets": 3}, "none are"),
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
