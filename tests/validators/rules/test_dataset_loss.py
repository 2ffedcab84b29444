"""VP309: how much of the dataset is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.assets import write_video
from tests.support.rules import check, overview, rule_test
from videoprep.index.bucket import Bucket
from videoprep.validators.engine import validate
from videoprep.validators.overview import Overview
from videoprep.validators.rules.dataset_loss import DatasetLoss


def _planned(count: int) -> Overview:
    over = overview(*"abcdefghij")
    over.buckets, over.left_out = Counter({Bucket(9, 64, 96): count}), Counter({"VP302": 1})
    over.planned = count
    return over


test_dataset_loss = rule_test(DatasetLoss, breaks=[_planned(8)], clean=[_planned(10)])


def test_it_says_why() -> None:
    (finding,) = check(DatasetLoss, _planned(8))
    assert finding.message == "2 of 10 samples (20%) are skipped: VP302 1×, others 1×"
    assert "allow fitting" in finding.remedy
    assert check(DatasetLoss, _planned(8), share=0.2) == []


def test_what_helps_is_about_the_most_frequent_reason() -> None:
    over = _planned(5)
    over.unusable = Counter({"VP201": 3, "VP005": 1})
    (finding,) = check(DatasetLoss, over)
    assert "VP201 3×, VP005 1×, VP302 1×" in finding.message
    assert "`videoprep caption`" in finding.remedy
    assert "bucket" not in finding.remedy


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("VP022", "add the files"),
        ("VP005", "check the paths"),
        ("VP316", "mend what the findings of VP316 name"),
        ("VP103", "mend what the findings of VP103 name"),
        ("VP302", "add smaller buckets"),
    ],
)
def test_buckets_help_only_if_clips_do_not_fit(code: str, words: str) -> None:
    over = overview(*"abcdefghij")
    over.planned, over.left_out = 8, Counter({code: 2})
    (finding,) = check(DatasetLoss, over)
    assert words in finding.remedy
    assert ("bucket" in finding.remedy) == (code == "VP302")


def test_a_file_that_cannot_be_opened_is_a_reason(tmp_path: Path) -> None:
    for name in "abc":
        write_video(tmp_path / f"{name}.mp4")
        (tmp_path / f"{name}.txt").write_text(name)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    report = validate(tmp_path, profile="default", reshape="center-crop")
    (told,) = (one.message for one in report.findings if one.code == "VP309")
    assert told == "1 of 3 samples (33%) are skipped: VP103 1×"
