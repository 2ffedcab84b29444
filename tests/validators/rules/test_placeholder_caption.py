"""VP206: words that stand for a caption that is missing."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.placeholder_caption import PlaceholderCaption

test_placeholder_caption = rule_test(
    PlaceholderCaption,
    breaks=["nan", "NaN", "None", '"null"', "N/A", "TODO."],
    clean=["nana sings", "none of them", "A caption", "nan bread"],
)
