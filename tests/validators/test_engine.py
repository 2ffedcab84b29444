"""A whole dataset: every finding, counts that add up, rules chosen, rules that fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.validators import registry
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator
from videoprep.validators.registry import built_in
from videoprep.validators.selection import select as selected
from videoprep.workers import pool as workers

RULES = built_in()

UNTAGGED = ["VP117"]
"""The test videos have no colour tags."""

# Tests of the engine name the rules that they need: a new rule changes none of them.


def test_a_clean_dataset(dataset: Path) -> None:
    assert vp.validate(dataset).ok
    report = vp.validate(vp.DatasetSpec.from_path(dataset), select=["VP10", "VP20", "VP306"])
    assert report.ok
    assert (report.total, report.clean, report.findings) == (3, 3, ())
    counts = "3 of 3 samples clean; 0 errors, 0 warnings, 0 notes"
    assert str(report) == f"Report({str(dataset)!r}: ok; {counts})"


def bad_dataset(dataset: Path) -> Path:
    """Five samples: one good, four each with its own mistake."""
    write_video(dataset / "videos/odd.mp4", width=90, height=64, frames=10)
    (dataset / "videos/bad.mp4").write_bytes(b"no video")
    for name in ("b", "c"):
        (dataset / f"videos/{name}.mp4").unlink(missing_ok=True)
    (dataset.parent / "x.mp4").write_bytes(b"outside")
    videos = ["videos/a.mp4", "videos/odd.mp4", "videos/bad.mp4", "videos/none.mp4", "../x.mp4"]
    write_lists(dataset, ["one", "two", "three", "four", "nan"], videos)
    return dataset


def test_all_findings_in_one_pass(dataset: Path) -> None:
    broken = {
        "VP005": 1, "VP006": 1, "VP101": 1, "VP102": 1, "VP103": 1, "VP206": 1, "VP309": 1,
    }  # fmt: skip
    report = vp.validate(bad_dataset(dataset), select=[*broken, "VP117"], ignore=UNTAGGED)
    assert not report.ok
    assert (report.total, report.clean, report.with_findings, report.unusable) == (5, 1, 4, 0)
    assert report.by_code == broken
    document = json.loads(json.dumps(report.to_json()))
    assert document["samples"] == document["clean"] + document["with_findings"]
    assert len(document["findings"]) == 7
    lines = [finding.line or 0 for finding in report.findings]
    assert lines == sorted(lines)


def test_samples_whose_finding_is_ignored_are_still_counted(dataset: Path) -> None:
    report = vp.validate(bad_dataset(dataset), ignore=[*UNTAGGED, "VP005", "unreadable", "VP309"])
    assert (report.clean, report.with_findings, report.unusable) == (1, 2, 2)
    report = vp.validate(dataset, select=["VP101"])
    assert report.by_code == {"VP101": 1}
    assert (report.clean, report.with_findings, report.unusable) == (1, 1, 3)


def test_real_clips(real_clips: Path) -> None:
    codes = ["VP101", "VP102", "VP103", "VP113", "VP117"]
    spec = vp.DatasetSpec.from_path(real_clips, select=codes)
    report = vp.validate(spec)
    assert report.by_code == {"VP101": 8, "VP102": 1, "VP113": 1, "VP117": 7}
    assert report.clean == 0
    report = vp.validate(spec, profile="cogvideox", ignore=UNTAGGED)
    assert {(f.code, f.video) for f in report.findings} == {
        ("VP101", "videos/nasa.mp4"),
        ("VP102", "videos/nasa.mp4"),
        ("VP113", "videos/bunny.mp4"),
    }
    assert report.clean == 6
    report = vp.validate(spec, reshape="center-crop", ignore=UNTAGGED)
    assert report.ok
    assert (report.clean, report.count(Severity.NOTE)) == (8, 10)


def test_no_caption_of_the_real_clips_is_faulted(real_clips: Path) -> None:
    report = vp.validate(real_clips, select=["VP2"])
    assert [f for f in report.findings if f.severity is not Severity.NOTE] == []


def test_an_empty_dataset(tmp_path: Path) -> None:
    write_lists(tmp_path, [], [])
    (tmp_path / "videos.txt").write_text("")
    report = vp.validate(tmp_path)
    assert not report.ok
    assert report.by_code == {"VP017": 1}


def test_a_dataset_without_lists_is_a_finding(tmp_path: Path) -> None:
    report = vp.validate(tmp_path)
    assert (report.ok, report.total, report.by_code) == (False, 0, {"VP001": 1})


def test_a_path_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(vp.SpecError, match="no such file or folder"):
        vp.validate(tmp_path / "none")


def test_captions_are_escaped_in_notebooks(dataset: Path) -> None:
    video = "videos/<img src=x onerror=alert(1)>.mp4"
    write_video(dataset / video, width=90)
    write_lists(dataset, ["<script>"], [video])
    page = vp.validate(vp.DatasetSpec.from_path(dataset))._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page


def test_a_data_frame(dataset: Path) -> None:
    frame = vp.validate(bad_dataset(dataset), select=["VP1"]).to_pandas()
    assert list(frame[frame.code == "VP101"].line) == [2]
    assert list(vp.validate(dataset, select=["VP3"], profile="cogvideox").to_pandas().columns)


def test_rules_that_look_at_captions_open_no_video(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_CODE", "raise SystemExit('opened')")
    report = vp.validate(bad_dataset(dataset), select=["VP0", "VP2"])
    assert report.by_code.items() >= {"VP005": 1, "VP006": 1, "VP206": 1}.items()
    with pytest.raises(vp.VideoprepError, match="a worker process cannot be started"):
        vp.validate(dataset, select=["VP1"])


def test_the_models_own_tokenizer_counts(dataset: Path, tiny_model: Path) -> None:
    write_lists(dataset, ["word " * 400, "A short one.", "Another."])
    report = vp.validate(dataset, select=["VP203"], model=str(tiny_model))
    (finding,) = report.findings
    assert (finding.line, finding.data["limit"]) == (1, 226)
    assert finding.data["tokens"] > 226
    assert vp.validate(dataset, select=["VP203"]).findings == ()


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"select": ["VP10"]}, {"VP101", "VP102", "VP103"}),
        ({"select": ["size-not-divisible", "vp102"]}, {"VP101", "VP102"}),
        ({"select": ["VP1"], "ignore": ["VP117", "VP103"]}, {"VP101", "VP102"}),
        ({"select": ["VP206", "default"], "ignore": ["VP0", "VP1", "VP3"]}, {"VP206"}),
    ],
)
def test_rules_are_chosen(dataset: Path, options: dict[str, list[str]], codes: set[str]) -> None:
    known = {"VP005", "VP101", "VP102", "VP103", "VP117", "VP206", "VP309"}
    assert set(vp.validate(bad_dataset(dataset), **options).by_code) & known == codes


def test_rules_on_request(dataset: Path) -> None:
    black = dataset / "videos/black.mp4"
    write_video(black, lift=0, grey=0)
    write_lists(dataset, ["One.", "Two."], ["videos/a.mp4", "videos/black.mp4"])
    for name in ("b", "c"):
        (dataset / f"videos/{name}.mp4").unlink()
    assert "VP123" not in vp.validate(dataset).by_code
    found = vp.validate(dataset, select=["black", "default"]).findings
    assert [f.video for f in found if f.code == "VP123"] == ["videos/black.mp4"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"select": ["VP2O1"]}, "did you mean VP2"),
        ({"ignore": ["size-not-divisable"]}, "did you mean size-not-divisible"),
        ({"severity": {"VP999": "error"}}, "there is no rule 'VP999'"),
        ({"severity": {"VP101": "fatal"}}, "got 'fatal' for 'VP101'"),
        ({"rule_options": {"VP306": {"above": 1}}}, "its options are: share"),
        (
            {"rule_options": {"VP306": {"share": "much"}}},
            "share: expected a number from 0 to 1, got 'much'",
        ),
        ({"selct": ["VP101"]}, "did you mean `select`"),
    ],
)
def test_wrong_choices(dataset: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(vp.SpecError, match=words):
        vp.validate(dataset, **options)


def test_severities(dataset: Path) -> None:
    bad_dataset(dataset)
    report = vp.validate(dataset, select=["VP101"], severity={"VP101": "warning"})
    assert report.ok
    assert report.findings[0].severity is Severity.WARNING
    assert not vp.validate(
        dataset, select=["VP101"], severity={"size-not-divisible": "warning"}, fail_on="warning"
    ).ok
    # With consent to reshape it is a note of what is cut, whatever the severity of a breach.
    report = vp.validate(
        dataset, select=["VP101"], severity={"VP101": "warning"}, reshape="center-crop"
    )
    assert report.findings[0].severity is Severity.NOTE


def test_exactly_these_rules(dataset: Path) -> None:
    bad_dataset(dataset)
    report = vp.validate(dataset, rules=[ShortCaption()])
    assert set(report.by_code) == {"ACME001", "VP005", "VP006"}, "no video is opened for it"
    report = vp.validate(dataset, rules=[RULES["VP101"]()], severity={"VP306": "note"})
    assert "VP103" in report.by_code


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, (1, 2, 0)),
        ({"ignore": ["VP103"]}, (1, 1, 1)),
        ({"ignore": ["VP103", "VP206"]}, (1, 0, 2)),
        ({"severity": {"VP103": "note", "VP206": "note"}}, (1, 0, 2)),
        ({"ignore": ["VP013", "VP103", "VP127"]}, (1, 1, 1)),
    ],
)
def test_counts_add_up_whatever_is_ignored(
    dataset: Path, options: dict[str, object], counts: tuple[int, int, int]
) -> None:
    (dataset / "videos/b.mp4").write_bytes(b"no video")
    write_lists(dataset, ["one", "nan", "three"], ["videos/a.mp4", "videos/b.mp4", "videos/c.mp4"])
    (dataset / "videos/c.mp4").write_bytes(b"no video either")
    ignored = [*UNTAGGED, "VP309", *options.get("ignore", [])]
    report = vp.validate(dataset, **{**options, "ignore": ignored})
    assert (report.clean, report.with_findings, report.unusable) == counts
    assert list(report.passing) == [True, False, False]


def test_a_remark_on_a_line_is_about_its_sample(dataset: Path) -> None:
    write_lists(dataset, ["one\u2028two", "b", "c"])
    report = vp.validate(dataset, select=["VP0"])
    assert report.by_code == {"VP012": 1}
    assert (report.clean, report.with_findings) == (2, 1)
    table = 'video,caption\nvideos/a.mp4,"first\nsecond\u2028third"\nvideos/b.mp4,fine\n'
    (dataset / "list.csv").write_text(table)
    report = vp.validate(dataset / "list.csv", select=["VP012"], fail_on="warning")
    assert [(f.code, f.line) for f in report.findings] == [("VP012", 2)]
    assert list(report.passing) == [False, True]


def test_the_id_token_hides_no_caption(dataset: Path) -> None:
    write_lists(dataset, ["nan", "---", "A fine one."])
    report = vp.validate(dataset, select=["VP201", "VP206"], id_token="BW")
    assert report.by_code == {"VP201": 1, "VP206": 1}


def test_a_dataset_of_which_nothing_is_left_never_passes(dataset: Path) -> None:
    (dataset / "prompt.txt").write_text("one\n")
    report = vp.validate(dataset, select=["VP201"])
    assert report.findings == ()
    assert (report.total, report.unusable) == (3, 3)
    assert not report.ok
    assert report.rules_left_out > 40


def test_a_whole_group_can_be_ignored(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset, select=["all"], ignore=["VP1", "VP217"])
    selection = selected(spec, RULES)
    assert not any(code.startswith("VP1") for code in selection.rules)
    assert Need.FRAMES not in selection.needs


def test_a_severity_lowers_what_is_worse_than_the_rules_own(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset, severity={"VP117": "note", "VP101": "warning"})
    selection = selected(spec, RULES)
    worse = Finding("VP117", Severity.WARNING, "", "", "")
    milder = Finding("VP101", Severity.NOTE, "", "", "")
    assert selection.judge(worse).severity is Severity.NOTE
    assert selection.judge(milder).severity is Severity.NOTE


class ShortCaption(Validator):
    """A rule as a third party would write it."""

    code = "ACME001"
    name = "short-caption"
    severity = Severity.WARNING
    summary = "A caption has ten words at least."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = len(subject.sample.caption.split())
        if words < 10:
            yield self.finding(subject, f"{words} words", "write more", words=words)


class Failing(ShortCaption):
    code = "ACME002"
    name = "failing"

    def check(self, subject: Subject) -> Iterator[Finding]:
        raise ZeroDivisionError("of words")


class Impostor(ShortCaption):
    code = "ACME003"
    name = "impostor"

    def check(self, subject: Subject) -> Iterator[Finding]:
        yield ShortCaption().finding(subject, "not mine", "")


class Greedy(ShortCaption):
    code = "ACME004"
    name = "greedy"

    def check(self, subject: Subject) -> Iterator[Finding]:
        yield self.finding(subject, f"{subject.scan.decoded} frames", "")


class OddData(ShortCaption):
    code = "ACME005"
    name = "odd-data"

    def check(self, subject: Subject) -> Iterator[Finding]:
        yield self.finding(subject, "nan", "", share=float("nan"))


class OddSeverity(ShortCaption):
    code = "ACME006"
    name = "odd-severity"

    def check(self, subject: Subject) -> Iterator[Finding]:
        yield self.finding(subject, "bad", "", severity="error")  # type: ignore[arg-type]


class OddLine(ShortCaption):
    code = "ACME007"
    name = "odd-line"

    def check(self, subject: Subject) -> Iterator[Finding]:
        yield Finding(self.code, Severity.ERROR, "bad", "", "videos.txt", "3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (OddData, "ValueError"),
        (OddSeverity, "is no Severity"),
        (OddLine, "has a wrong type"),
        (Failing, "ACME002 (failing) raised ZeroDivisionError: of words"),
        (Impostor, "which is no finding of its own"),
        (Greedy, "has to name Need.FRAMES in its needs"),
    ],
)
def test_a_rule_that_fails_is_a_finding(dataset: Path, rule: type[Validator], words: str) -> None:
    report = vp.validate(dataset, rules=[rule(), ShortCaption()])
    assert report.by_code == {"ACME001": 3, "VP903": 3}
    assert words in next(f.message for f in report.findings if f.code == "VP903")
    assert not report.ok


@pytest.fixture
def notebook() -> Iterator[None]:
    """Forgets the rules that a test defines."""
    yield
    registry._written_here.clear()


@pytest.mark.usefixtures("notebook")
def test_a_rule_from_one_function(dataset: Path) -> None:
    @vp.validator("NB001", severity="error", needs=["caption", "header"], remedy="trim it")
    def at_most_eight_frames(subject: Subject) -> Iterator[str]:
        """Clips have eight frames at most."""
        if subject.media.frames > 8:
            yield f"{subject.media.frames} frames"

    report = vp.validate(dataset)
    assert report.by_code["NB001"] == 2
    report = vp.validate(dataset, select=["NB001"])
    assert report.findings[0].remedy == "trim it"
    assert report.name_of("NB001") == "at-most-eight-frames"

    @vp.validator("NB001", name="at-most-eight-frames")
    def again(subject: Subject) -> tuple[str, str] | None:
        """A cell that is run again replaces its rule."""
        return None if subject.sample.caption else ("empty", "fill")

    assert vp.validate(dataset, select=["NB001"]).findings == ()


@pytest.mark.usefixtures("notebook")
@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("VP101", "mine", "taken by SizeNotDivisible"),
        ("VP999", "mine", "videoprep's own"),
        ("NB001", "size-not-divisible", "taken by VP101"),
        ("nb1", "mine", "has to be like ACME001"),
    ],
)
def test_a_function_cannot_take_anothers_place(code: str, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        vp.validator(code, name=name)(lambda subject: None)


def test_two_runs_say_the_same(dataset: Path) -> None:
    bad_dataset(dataset)
    first = vp.validate(dataset).to_json()
    assert vp.validate(dataset).to_json() == first
    shutil.rmtree(dataset / ".videoprep")
    assert vp.validate(dataset).to_json() == first


def test_figures_are_of_the_parts_that_samples_are(tmp_path: Path) -> None:
    """A film of which two ranges are samples is no video of its whole length twice."""
    write_video(tmp_path / "film.mp4", frames=24)
    (tmp_path / "list.csv").write_text(
        "video,caption,start_frame,end_frame\n"
        "film.mp4,one,0,5\nfilm.mp4,two,5,14\nfilm.mp4,the rest,14,\nfilm.mp4,not there,30,40\n"
    )
    overview = vp.validate(tmp_path).overview
    assert overview is not None
    assert [*overview.figures.frames] == [5, 9, 10]
    rate = overview.figures.fps[0]
    assert [*overview.figures.seconds] == pytest.approx([5 / rate, 9 / rate, 10 / rate])
    assert len(overview.figures.widths) == 4
