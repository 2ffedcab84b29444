"""VP120: a rate far above the target."""

from __future__ import annotations

from tests.support.rules import check, clip, rule_test
from videoprep.validators.rules.rate_far_from_target import RateFarFromTarget

test_rate_far_from_target = rule_test(
    RateFarFromTarget,
    breaks=[clip(64, 64, 90, target_fps=1)],
    clean=[clip(64, 64, 90, target_fps=2), clip(64, 64, 90)],
)


def test_it_says_how_far() -> None:
    (finding,) = check(RateFarFromTarget, clip(64, 64, 90, target_fps=1))
    assert finding.message == "8 frames a second, 8.0 times the target"
    assert check(RateFarFromTarget, clip(64, 64, 90, target_fps=1), factor=9) == []
