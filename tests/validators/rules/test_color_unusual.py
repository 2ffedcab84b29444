"""VP118: colours unlike those of most videos."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.color_unusual import ColorUnusual

test_color_unusual = rule_test(
    ColorUnusual,
    breaks=[file(color_space=9), file(color_primaries=9)],
    clean=[
        file(),
        file(color_space=1, color_primaries=1),
        file(color_space=0, pixel_format="gbrp"),
    ],
)
