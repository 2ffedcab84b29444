"""VP304: a rate above the file's own."""

from __future__ import annotations

from tests.support.rules import check, clip, rule_test
from videoprep.validators.rules.frames_repeated import FramesRepeated

test_frames_repeated = rule_test(
    FramesRepeated,
    breaks=[clip(64, 64, 9, target_fps=16)],
    clean=[*(clip(64, 64, 9, target_fps=rate) for rate in (None, 4, 8))],
)


def test_it_counts_them() -> None:
    (finding,) = check(FramesRepeated, clip(64, 64, 9, target_fps=16))
    assert "8 of 17 frames repeat the one before" in finding.message
