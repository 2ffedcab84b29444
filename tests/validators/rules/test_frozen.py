"""VP124: a picture that does not move."""

from __future__ import annotations

from tests.support.rules import part_of, rule_test, scanned
from videoprep.validators.rules.frozen import Frozen

test_frozen = rule_test(
    Frozen,
    breaks=[
        scanned(change=0),
        scanned(change=[0] * 6 + [40] * 4),
        part_of(scanned(20, change=[40] * 12 + [0] * 8), 10, 20),
    ],
    clean=[
        part_of(scanned(20, change=[0] * 12 + [40] * 8), 12, 20),
        scanned(),
        scanned(change=[0] * 5 + [40] * 5),
        scanned(1, change=0),
    ],
)
