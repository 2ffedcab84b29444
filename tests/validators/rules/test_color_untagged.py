"""VP117: which matrix the colours are stored with."""

from __future__ import annotations

from tests.support.rules import check, file, rule_test
from videoprep.validators.protocol import Severity
from videoprep.validators.rules.color_untagged import ColorUntagged

test_color_untagged = rule_test(
    ColorUntagged,
    breaks=[file(color_space=2), file(1920, 1088, color_space=2)],
    clean=[file(color_space=1), file(color_space=6)],
)


def test_a_large_picture_is_worse() -> None:
    (small,) = check(ColorUntagged, file(color_space=2))
    (large,) = check(ColorUntagged, file(1920, 1088, color_space=2))
    assert (small.severity, large.severity) == (Severity.NOTE, Severity.WARNING)
