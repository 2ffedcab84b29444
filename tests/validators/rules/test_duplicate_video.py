"""VP013: a file of several samples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.rules import check, overview, overview_of, rule_test
from videoprep.spec.sample import Extras
from videoprep.validators.rules.duplicate_video import DuplicateVideo

test_duplicate_video = rule_test(
    DuplicateVideo,
    breaks=[overview("a", "b", "a", identities=[5, 6, 5])],
    clean=[overview("a", "b")],
)


def test_it_names_the_first() -> None:
    (finding,) = check(DuplicateVideo, overview("a", "b", "a", identities=[5, 6, 5]))
    assert finding.message == "the same file as in line 1 (1.mp4), with the same caption"


def test_parts_of_one_file_are_no_duplicates() -> None:
    over = overview("a", "b", "c", identities=[5, 5, 5])
    parts = (Extras(start=0, end=2), Extras(start=2, end=4), Extras(start=0, end=2))
    over.samples = [replace(s, extras=e) for s, e in zip(over.samples, parts, strict=True)]
    (finding,) = check(DuplicateVideo, over)
    assert finding.line == 3


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("a", "b"), ("b", "a"), ", with the same captions"),
        (("a", "b"), ("c", "b"), ", with caption 2 of 2 in common"),
        (("b", "a", "d"), ("a", "c", "b"), ", with captions 1, 3 of 3 in common"),
        (("a", "b"), ("b",), ", with the same caption"),
        (("a", "b"), ("c", "d"), ""),
    ],
)
def test_it_compares_all_captions(
    first: tuple[str, ...], second: tuple[str, ...], said: str
) -> None:
    (finding,) = check(DuplicateVideo, overview_of(first, second, identities=[5, 5]))
    assert finding.message == f"the same file as in line 1 (1.mp4){said}"
