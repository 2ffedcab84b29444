"""VP145: videos of a dataset for validation that are trained on."""

from __future__ import annotations

from tests.index.test_placement import media
from tests.support.rules import check, overview, rule_test, sample
from videoprep.spec.group_file import DatasetRole
from videoprep.validators.overview import Overview, OverviewPart
from videoprep.validators.rules.validation_leak import ValidationLeak


def of_datasets(*datasets: tuple[DatasetRole, str]) -> Overview:
    """An overview of datasets: what each is for, and a letter for the contents of each video."""
    letters = [letter for _, contents in datasets for letter in contents]
    over = overview(*letters)
    parts = tuple(
        OverviewPart(f"{role} {number}", role, len(contents))
        for number, (role, contents) in enumerate(datasets)
    )
    made = Overview(over.list_file, over.total, over.samples, over.identities, parts=parts)
    for letter in letters:
        made.add(sample(), media(96, 64, 9, fingerprint=letter * 32), None)
    return made


test_validation_leak = rule_test(
    ValidationLeak,
    breaks=[
        of_datasets(("train", "ab"), ("validation", "cb")),
        of_datasets(("validation", "a"), ("regularization", "da")),
    ],
    clean=[
        of_datasets(("train", "ab"), ("validation", "cd")),
        of_datasets(("train", "ab"), ("train", "ab")),
        of_datasets(("validation", "a"), ("validation", "a")),
        of_datasets(("train", "ab"), ("validation", "")),
        overview("a", "a"),
    ],
)


def test_each_video_is_told_with_both_places() -> None:
    found = check(ValidationLeak, of_datasets(("train", "abc"), ("validation", "cb")))
    assert [(one.video, one.data["other"]) for one in found] == [
        ("2.mp4", "5.mp4"), ("3.mp4", "4.mp4")
    ]  # fmt: skip
    assert {one.data["dataset"] for one in found} == {"validation 1"}
