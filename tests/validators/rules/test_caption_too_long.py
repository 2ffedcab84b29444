"""VP203: more tokens than the model takes."""

from __future__ import annotations

from tests.index.test_placement import policy
from tests.support.rules import check, rule_test, sample
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.caption_too_long import CaptionTooLong


def _counted(tokens: int | None) -> Subject:
    return Subject(sample(), policy(), tokens, 226)


test_caption_too_long = rule_test(
    CaptionTooLong,
    breaks=[_counted(227)],
    clean=[_counted(226), _counted(None)],
)


def test_it_says_what_is_cut() -> None:
    (finding,) = check(CaptionTooLong, _counted(227))
    assert finding.message == "227 tokens, the model takes 226: the last 1 are cut"
