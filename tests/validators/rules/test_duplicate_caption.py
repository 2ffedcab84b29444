"""VP204: a caption of several samples."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import check, overview, overview_of, rule_test
from videoprep.spec.sample import CaptionOrigin
from videoprep.validators.overview import Overview, OverviewPart
from videoprep.validators.protocol import Severity
from videoprep.validators.rules.duplicate_caption import DuplicateCaption

test_duplicate_caption = rule_test(
    DuplicateCaption,
    breaks=[
        overview("A cat.", "A dog.", "a  CAT.", "A cat."),
        overview_of(("A dog.", "A cat."), ("A cow.", "A cat.")),
    ],
    clean=[
        overview("A cat.", "A dog."),
        overview_of(("A dog.", "A cat.", "a cat."), ("A cow.",)),
    ],
)


def test_it_names_the_first() -> None:
    found = check(DuplicateCaption, overview("A cat.", "A dog.", "a  CAT.", "A cat."))
    assert [finding.line for finding in found] == [3, 4]
    assert found[0].message == "the same caption as in line 1; 3 samples have it"
    assert {finding.severity for finding in found} == {Severity.NOTE}


def written(*runs: str, identities: list[int] | None = None) -> Overview:
    """A dataset of samples with one caption, each from a run of its model: ``model/run``."""
    made = overview(*["A cat."] * len(runs), identities=identities)
    made.samples = [
        replace(sample, origin=CaptionOrigin("caption", model, run, "journal.jsonl", line))
        for line, (sample, (model, run)) in enumerate(
            zip(made.samples, (run.split("/") for run in runs), strict=True), start=1
        )
    ]
    return made


def test_one_answer_for_all_names_the_model_and_its_run() -> None:
    found = check(DuplicateCaption, written("qwen/1a2b", "qwen/1a2b", "qwen/1a2b"))
    assert [finding.severity for finding in found] == [Severity.WARNING] * 2
    assert found[0].message == (
        "the same caption as in line 1; 3 samples have it; qwen in run 1a2b wrote it for 3 clips"
    )
    assert (found[0].file, found[0].line) == ("journal.jsonl", 2)


def test_what_several_runs_or_people_wrote_is_a_note() -> None:
    for case in (
        written("qwen/1a2b", "qwen/1a2b", "qwen/ffff"),
        written("qwen/1a2b", "qwen/1a2b", "llava/1a2b"),
        written("/", "/", "/"),
    ):
        found = check(DuplicateCaption, case)
        assert [finding.severity for finding in found] == [Severity.NOTE] * 2
        assert found[0].message == "the same caption as in line 1; 3 samples have it"


def test_one_clip_in_several_samples_has_one_caption() -> None:
    case = written("qwen/1a2b", "qwen/1a2b", "qwen/1a2b", identities=[5, 5, 5])
    assert [f.severity for f in check(DuplicateCaption, case)] == [Severity.NOTE] * 2
    case = written("qwen/1a2b", "qwen/1a2b")
    assert [f.severity for f in check(DuplicateCaption, case)] == [Severity.NOTE]
    assert [f.severity for f in check(DuplicateCaption, case, clips=2)] == [Severity.WARNING]


def test_a_strangers_model_name_is_escaped() -> None:
    case = written(*["\x1b[31mqwen\n/1a2b"] * 2)
    assert r"; \x1b[31mqwen\n in run 1a2b wrote" in check(DuplicateCaption, case)[0].message


def test_of_several_captions_each_counts_and_is_named() -> None:
    case = overview_of(("A dog.", "A cat."), ("A cow.", "A hen.", "a CAT."), ("A cat.",))
    found = check(DuplicateCaption, case)
    assert [(one.line, one.message) for one in found] == [
        (2, "caption 3 of 3: the same caption as in line 1 (caption 2); 3 samples have it"),
        (3, "the same caption as in line 1 (caption 2); 3 samples have it"),
    ]
    assert found[0].data["caption"] == 3
    assert "caption" not in found[1].data


def test_captions_after_the_first_are_compared_among_datasets() -> None:
    ours, theirs = overview_of(("A dog.", "A cat."), ("A cow.",)), overview_of(("A hen.", "A cat."))
    parts = [OverviewPart("ours", "train", 2), OverviewPart("theirs", "train", 1)]
    whole = Overview.joined("all", [ours, theirs], parts, [*ours.samples, *theirs.samples])
    (group,) = whole.same_captions()
    assert [tuple(place) for place in group] == [(0, 1), (2, 1)]


def test_a_model_wrote_the_first_caption_alone() -> None:
    case = written(*["qwen/1a2b"] * 3)
    case.samples = [
        replace(one, caption=str(n), further=("A cat.",)) for n, one in enumerate(case.samples)
    ]
    again = Overview("videos.txt", 3, case.samples, case.identities)
    for one in case.samples:
        again.add(one, None, None)
    assert [one.severity for one in check(DuplicateCaption, again)] == [Severity.NOTE] * 2
