"""VP301 to VP303, VP310, VP313, VP314: a clip that has no bucket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import videoprep as vp
from tests.index.test_placement import media, policy
from tests.support.assets import write_lists, write_video
from tests.support.rules import BUCKETS, check, clip, rule_test, sample
from videoprep.index.bucket import Bucket
from videoprep.index.placement import place
from videoprep.index.policy import Policy
from videoprep.media.probe import MediaInfo
from videoprep.spec.sample import Extras
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.no_bucket import (
    FewPixels,
    LittleKept,
    NoExactBucket,
    RangeOutside,
    TooShort,
    TooSmall,
)

EXACT: dict[str, Any] = {"height_buckets": (64,), "width_buckets": (96,)}


def _placed(info: MediaInfo, rules: Policy, extras: Extras | None = None) -> Subject:
    chosen = sample() if extras is None else replace(sample(), extras=extras)
    return Subject(chosen, rules, _media=info, _plan=place(info, rules, chosen.extras))


def _range(end: float) -> Subject:
    """A time range of a video that has 10 s."""
    return _placed(media(64, 64, 80, fps=8), policy(), Extras(start=8.0, end=end))


def _kept(**options: Any) -> Subject:
    """A clip that the only chosen bucket keeps 18 % of."""
    chosen = policy(buckets="auto", num_buckets=1, **options)
    return _placed(media(854, 480, 9), chosen.with_buckets([Bucket(9, 224, 320)]))


test_too_small = rule_test(
    TooSmall, breaks=[clip(95, 64, 9, **BUCKETS)], clean=[clip(96, 64, 9, **BUCKETS)]
)
test_too_short = rule_test(
    TooShort,
    breaks=[clip(64, 64, 9, frame_buckets=(17,))],
    clean=[clip(64, 64, 17, frame_buckets=(17,))],
)
test_no_exact_bucket = rule_test(
    NoExactBucket, breaks=[clip(64, 96, 9, **EXACT)], clean=[clip(96, 64, 9, **EXACT)]
)
test_range_outside = rule_test(RangeOutside, breaks=[_range(12.0)], clean=[_range(10.4)])
test_few_pixels = rule_test(
    FewPixels,
    breaks=[clip(95, 64, 9, **BUCKETS, min_pixels=6144)],
    clean=[clip(96, 64, 9, **BUCKETS, min_pixels=6144)],
)
test_little_kept = rule_test(LittleKept, breaks=[_kept()], clean=[_kept(min_kept=0.1)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({**BUCKETS, "frame_buckets": (17, 33)}, "9 frames are fewer than the 17 of 17×64×96,"),
        ({"reshape": "center-crop", "frame_buckets": (33,)}, "the 33 of 33×64×96,"),
        (
            {"reshape": "center-crop", "buckets": ("5x640x640", "33x64x96", "17x32x64")},
            "the 17 of 17×32×64, the smallest bucket that the clip fits",
        ),
    ],
)
def test_a_short_clip_is_told_the_smallest_bucket(options: dict[str, Any], words: str) -> None:
    (finding,) = check(TooShort, clip(96, 64, 9, **options))
    assert words in finding.message
    option = "buckets" if "buckets" in options else "frame_buckets"
    assert f"add a smaller bucket with `{option}`" in finding.remedy


def test_a_short_clip_is_told_the_smallest_bucket_that_was_chosen() -> None:
    chosen = policy(reshape="center-crop", frame_buckets=(17, 33)).with_buckets(
        [Bucket(33, 64, 96), Bucket(49, 32, 64)]
    )
    (finding,) = check(TooShort, _placed(media(96, 64, 9), chosen))
    assert "9 frames are fewer than the 33 of 33×64×96," in finding.message


def test_a_range_outside_is_told_with_the_length() -> None:
    (finding,) = check(RangeOutside, _range(12.0))
    words = "the time range 8 to 12 (seconds) is not in the video, which has 10.00 s"
    assert words in finding.message


def test_little_kept_says_how_little() -> None:
    (finding,) = check(LittleKept, _kept())
    assert "of 854×480" in finding.message
    assert "320×224, would keep 18%" in finding.message


def test_a_picture_that_fits_no_bucket_is_not_called_smaller(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=32, height=256)
    write_lists(tmp_path, ["a"], ["a.mp4"])
    report = vp.validate(tmp_path, reshape="center-crop", buckets=("1x64x64",))
    [finding] = [f for f in report.findings if f.code == "VP301"]
    assert finding.message == "32×256 fits no bucket without being enlarged"
