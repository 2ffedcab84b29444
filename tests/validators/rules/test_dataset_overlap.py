"""VP146: videos that several datasets share."""

from __future__ import annotations

from tests.support.rules import check, overview, rule_test
from tests.validators.rules.test_validation_leak import of_datasets
from videoprep.validators.rules.dataset_overlap import DatasetOverlap

test_dataset_overlap = rule_test(
    DatasetOverlap,
    breaks=[
        of_datasets(("train", "ab"), ("train", "bc")),
        of_datasets(("train", "ab"), ("regularization", "b")),
        of_datasets(("validation", "a"), ("validation", "a")),
    ],
    clean=[
        of_datasets(("train", "aa"), ("train", "bb")),
        of_datasets(("train", "ab"), ("validation", "b")),  # which is a leak
        of_datasets(("train", "a"), ("train", "")),
        overview("a", "a"),
    ],
)


def test_each_pair_is_told_once_with_its_number() -> None:
    over = of_datasets(("train", "abc"), ("train", "abd"), ("train", "cdd"))
    found = check(DatasetOverlap, over)
    told = {tuple(one.data["datasets"]): one.data["videos"] for one in found}
    assert told == {
        ("train 0", "train 1"): 2, ("train 0", "train 2"): 1, ("train 1", "train 2"): 1
    }  # fmt: skip
