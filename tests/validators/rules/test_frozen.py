"""VP124: a picture that does not move."""

from __future__ import annotations

from tests.support.rules import rule_test, scanned
from videoprep.validators.rules.frozen import Frozen

test_frozen = rule_test(
    Frozen,
    breaks=[scanned(change=0), scanned(change=[0] * 6 + [40] * 4)],
    clean=[scanned(), scanned(change=[0] * 5 + [40] * 5), scanned(1, change=0)],
)
