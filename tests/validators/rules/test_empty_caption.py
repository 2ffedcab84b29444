"""VP201: a caption that says nothing."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.empty_caption import EmptyCaption

test_empty_caption = rule_test(
    EmptyCaption,
    breaks=["\u200b\u200b", "...", "—", "\x07"],
    clean=["7", "🐈", "猫", "a"],
)
