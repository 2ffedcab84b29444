"""Every clip gets one legal place, or one reason why not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import videoprep as vp
from videoprep.errors import Code, PlanError, SpecError
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut, Placement, place
from videoprep.index.policy import Policy
from videoprep.media.geometry import whole
from videoprep.media.orientation import UPRIGHT
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import Timestamps


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


sides = st.integers(1, 4096)
multiples = st.lists(st.integers(1, 40).map(lambda n: 32 * n), min_size=1, max_size=5)
frame_counts = st.lists(st.sampled_from([1, 4, 5, 16, 17, 32, 33, 49]), max_size=4)


@given(
    sides,
    sides,
    st.integers(1, 400),
    st.sampled_from(["none", "center-crop", "resize"]),
    st.one_of(st.none(), st.tuples(multiples, multiples)),
    frame_counts,
    st.one_of(st.none(), st.floats(1, 60)),
)
def test_a_place_is_legal_and_lies_inside(
    width, height, frames, reshape, sizes, counts, target_fps
) -> None:
    heights, widths = sizes or ((), ())
    rules = policy(
        reshape=reshape,
        height_buckets=heights,
        width_buckets=widths,
        frame_buckets=counts,
        target_fps=target_fps,
    )
    info = media(width, height, frames)
    found = place(info, rules)
    if isinstance(found, LeftOut):
        assert found.reason
        assert found.remedy
        return
    bucket, crop = found.bucket, found.crop
    assert rules.profile.accepts_size(bucket.width, bucket.height)
    assert rules.profile.accepts_frames(bucket.frames)
    assert bucket.frames <= 49
    assert bucket.width <= width
    assert bucket.height <= height
    assert 0 <= crop.x <= crop.x + crop.width <= width
    assert 0 <= crop.y <= crop.y + crop.height <= height
    assert len(found.frame_indices) == bucket.frames <= found.available
    assert found.frame_indices.max() < frames
    if heights:
        assert bucket.height in heights
        assert bucket.width in widths
    if reshape == "none":
        assert (bucket.width, bucket.height) == (width, height)
    if reshape != "center-crop":
        assert crop == whole(width, height)


def test_frames_are_within_half_a_frame_of_their_time() -> None:
    info = media(64, 64, 300, fps=25)
    found = place(info, policy(target_fps=8))
    assert isinstance(found, Placement)
    times = found.frame_indices / 25
    ideal = np.arange(found.bucket.frames) / 8
    assert np.abs(times - ideal).max() <= 0.5 / 25 + 1e-9


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
        assert isinstance(found, Placement)
        assert found.bucket == expected


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
        found = place(media(*size, 9), rules)
        assert isinstance(found, Placement)
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
