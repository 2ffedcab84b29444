"""VP207: markup and addresses."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.markup import Markup

test_markup = rule_test(
    Markup,
    breaks=["<b>A cat</b>", "cats &amp; dogs", "**A cat** runs", "see https://x.org", "{{who}}"],
    clean=["5 < 6 > 4", "AT&T; tower", "a*b*c", "a {cat}", "<3", "I <3 you > me"],
)
