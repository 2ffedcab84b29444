"""VP102: how many frames a clip has."""

from __future__ import annotations

from tests.support.rules import check, clip, part_of, rule_test
from videoprep.validators.protocol import Severity
from videoprep.validators.rules.frame_count import FrameCount

test_frame_count = rule_test(
    FrameCount,
    breaks=[clip(64, 64, 390)],
    clean=[clip(64, 64, 389)],
)


def test_with_consent_it_is_a_note_of_what_is_left_over() -> None:
    (finding,) = check(FrameCount, clip(64, 64, 390, reshape="center-crop"))
    assert finding.severity is Severity.NOTE
    assert "49 will be used, 341 of 390 (87.4%) will not" in finding.message


FITTED = {"reshape": "center-crop", "buckets": ("16x64x64",)}


def test_of_a_range_its_own_frames_count() -> None:
    film = clip(64, 64, 318, **FITTED)
    assert not check(FrameCount, part_of(film, 100, 133))
    (finding,) = check(FrameCount, part_of(film, 100, 134))
    assert finding.message.startswith(
        "34 frames are neither 4k nor 4k+1: 16 will be used, 18 of 34"
    )


def test_a_range_is_a_part_that_was_asked_for() -> None:
    """It is planned without consent to reshape, too: what is not used of it is no error."""
    (finding,) = check(FrameCount, part_of(clip(64, 64, 320), 0, 34))
    assert finding.severity is Severity.NOTE


def test_what_is_used_is_counted_at_the_rate_that_is_asked_for() -> None:
    case = part_of(clip(64, 64, 64, target_fps=4, **FITTED), 0, 34)
    (finding,) = check(FrameCount, case)
    assert finding.message == (
        "34 frames are neither 4k nor 4k+1: at 4 fps 16 will be used, 1 of 17 (5.9%) will not"
    )
