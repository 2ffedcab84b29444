"""VP119: transparency."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.alpha import Alpha

test_alpha = rule_test(
    Alpha,
    breaks=[file(alpha=True, pixel_format="yuva420p")],
    clean=[file(), file(alpha=True, pixel_format="pal8")],
)
