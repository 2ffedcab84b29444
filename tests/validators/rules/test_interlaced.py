"""VP115: frames of two moments."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.interlaced import Interlaced

test_interlaced = rule_test(
    Interlaced,
    breaks=[file(interlaced=True)],
    clean=[file()],
)
