"""VP209: samples with several captions."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import check, overview, rule_test
from videoprep.validators.overview import Overview
from videoprep.validators.rules.several_captions import SeveralCaptions


def _several(caption_file: str = "a.txt") -> Overview:
    over = overview("A cat.", "A dog.", "A bird.")
    first = replace(over.samples[0], further=("x", "y"), caption_file=caption_file)
    over.samples = [first, *over.samples[1:]]
    return over


test_several_captions = rule_test(
    SeveralCaptions, breaks=[_several()], clean=[overview("A cat.", "A dog.")]
)


def test_it_counts_them() -> None:
    (finding,) = check(SeveralCaptions, _several())
    assert "1 of 3 samples has several captions, up to 3 each" in finding.message


def test_it_says_of_which_samples_it_counts() -> None:
    """Of those without a video nobody knows whether they would be used."""
    over = _several()
    over.total = 4
    (finding,) = check(SeveralCaptions, over)
    assert "1 of 3 usable samples has several captions" in finding.message


def test_lines_are_advice_only_where_captions_have_lines() -> None:
    (of_lines,) = check(SeveralCaptions, _several("a.txt"))
    (of_cells,) = check(SeveralCaptions, _several("list.csv"))
    assert "`caption_lines='one'`" in of_lines.remedy
    assert "caption_lines" not in of_cells.remedy
