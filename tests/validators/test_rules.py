"""Each rule, with one clip that breaks it and one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.index.test_placement import media, policy
from videoprep.errors import Code
from videoprep.index.placement import place
from videoprep.spec.sample import Location, Sample
from videoprep.validators.protocol import Finding, Severity, Subject
from videoprep.validators.registry import validators

RULES = {rule.code: rule for rule in validators()}
SAMPLE = Sample("videos/a.mp4", "a caption", Path("root"), Location("videos.txt", 7))


def check(code: Code, width: int, height: int, frames: int, **options) -> list[Finding]:
    info, rules = media(width, height, frames), policy(**options)
    subject = Subject(SAMPLE, info, rules, place(info, rules))
    return list(RULES[code.value].check(subject))


BUCKETS = {"reshape": "center-crop", "height_buckets": (64,), "width_buckets": (96,)}


@pytest.mark.parametrize(
    ("code", "failing", "passing", "options"),
    [
        (Code.SIZE_NOT_DIVISIBLE, (720, 480, 49), (704, 480, 49), {}),
        (Code.SIZE_NOT_DIVISIBLE, (480, 270, 49), (720, 480, 49), {"profile": "cogvideox"}),
        (Code.FRAME_COUNT, (64, 64, 390), (64, 64, 389), {}),
        (Code.TOO_SMALL, (95, 64, 9), (96, 64, 9), BUCKETS),
        (Code.TOO_SHORT, (64, 64, 9), (64, 64, 17), {"frame_buckets": (17,)}),
        (
            Code.NO_EXACT_BUCKET,
            (64, 96, 9),
            (96, 64, 9),
            {"height_buckets": (64,), "width_buckets": (96,)},
        ),
    ],
)
def test_failing_and_passing(code: Code, failing, passing, options) -> None:
    (finding,) = check(code, *failing, **options)
    assert finding.code == code.value
    assert finding.severity is Severity.ERROR
    assert finding.message
    assert finding.remedy
    assert (finding.file, finding.line, finding.video) == ("videos.txt", 7, "videos/a.mp4")
    assert check(code, *passing, **options) == []


def test_a_rate_above_the_files_own_is_a_warning() -> None:
    (finding,) = check(Code.FRAMES_REPEATED, 64, 64, 9, target_fps=16)
    assert finding.severity is Severity.WARNING
    assert "8 of 17 frames repeat the one before" in finding.message
    for rate in (None, 4, 8):
        assert check(Code.FRAMES_REPEATED, 64, 64, 9, target_fps=rate) == []


def test_a_size_names_the_nearest_and_who_accepts_it() -> None:
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, 720, 480, 49)
    assert "704×480, 736×480" in finding.remedy
    assert "--profile cogvideox accepts it" in finding.remedy
    assert finding.data["nearest"] == [[704, 480], [736, 480]]
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, 1920, 1020, 49)
    assert "--profile" not in finding.remedy


def test_with_consent_a_size_is_a_note_of_what_is_cut() -> None:
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, 720, 480, 49, reshape="center-crop")
    assert finding.severity is Severity.NOTE
    assert "16 columns and 0 rows (2.2%) will be cut" in finding.message
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, 368, 240, 49, reshape="resize")
    assert "368×240 scaled to 352×224" in finding.message


def test_with_consent_a_count_is_a_note_of_what_is_left_over() -> None:
    (finding,) = check(Code.FRAME_COUNT, 64, 64, 390, reshape="center-crop")
    assert finding.severity is Severity.NOTE
    assert "49 will be used, 341 of 390 (87.4%) will not" in finding.message


def test_rules_describe_themselves() -> None:
    for code, rule in RULES.items():
        assert code == rule.code == Code(code).value
        assert rule.name == rule.name.lower().replace(" ", "-")
        assert rule.summary.endswith(".")
