"""VP312: a picture that loses many of its pixels."""

from __future__ import annotations

from typing import Any

from tests.support.rules import clip, rule_test
from videoprep.validators.rules.shrunk import Shrunk

_TWO: dict[str, Any] = {"reshape": "center-crop", "buckets": ("9x160x256", "9x448x640")}

test_shrunk = rule_test(
    Shrunk, breaks=[clip(704, 416, 9, **_TWO)], clean=[clip(704, 480, 9, **_TWO)]
)
