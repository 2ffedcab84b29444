"""VP204: a caption of several samples."""

from __future__ import annotations

from tests.support.rules import check, overview, rule_test
from videoprep.validators.rules.duplicate_caption import DuplicateCaption

test_duplicate_caption = rule_test(
    DuplicateCaption,
    breaks=[overview("A cat.", "A dog.", "a  CAT.", "A cat.")],
    clean=[overview("A cat.", "A dog.")],
)


def test_it_names_the_first() -> None:
    found = check(DuplicateCaption, overview("A cat.", "A dog.", "a  CAT.", "A cat."))
    assert [finding.line for finding in found] == [3, 4]
    assert "the same caption as in line 1; 3 samples have it" in found[0].message
