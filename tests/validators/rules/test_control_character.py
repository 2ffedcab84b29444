"""VP205: characters that steer or hide text."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.control_character import ControlCharacter

test_control_character = rule_test(
    ControlCharacter,
    breaks=["a \x1b[31mred car", "a \u202egnp.exe", "a\ufffdb", "a \ue000"],
    clean=["naïve café", "👩\u200d🚀 in space", "tab\there", "क्\u200dष"],
)
