"""VP309: how much of the dataset is lost."""

from __future__ import annotations

from collections import Counter

from tests.support.rules import check, overview, rule_test
from videoprep.index.bucket import Bucket
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
