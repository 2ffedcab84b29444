"""VP132: frames without a time of their own."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.duplicate_timestamp import DuplicateTimestamp

test_duplicate_timestamp = rule_test(
    DuplicateTimestamp,
    breaks=[file(repeated_times=2)],
    clean=[file()],
)
