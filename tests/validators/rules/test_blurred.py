"""VP125: a picture without edges."""

from __future__ import annotations

from tests.support.rules import rule_test, scanned
from videoprep.validators.rules.blurred import Blurred

test_blurred = rule_test(
    Blurred,
    breaks=[scanned(sharpness=50)],
    clean=[scanned(), scanned(sharpness=50, contrast=4)],
)
