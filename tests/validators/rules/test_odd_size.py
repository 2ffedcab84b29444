"""VP114: sides with an odd number of pixels."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.odd_size import OddSize

test_odd_size = rule_test(
    OddSize,
    breaks=[file(95, 64), file(96, 63)],
    clean=[file()],
)
