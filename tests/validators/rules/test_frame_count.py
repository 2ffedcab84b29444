"""VP102: how many frames a clip has."""

from __future__ import annotations

from tests.support.rules import check, clip, rule_test
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
