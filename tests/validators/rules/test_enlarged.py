"""VP307: a picture that is made larger."""

from __future__ import annotations

from tests.support.rules import BUCKETS, clip, rule_test
from videoprep.validators.rules.enlarged import Enlarged

test_enlarged = rule_test(
    Enlarged,
    breaks=[clip(48, 64, 9, **BUCKETS, allow_upscale=True)],
    clean=[clip(96, 64, 9, **BUCKETS, allow_upscale=True)],
)
