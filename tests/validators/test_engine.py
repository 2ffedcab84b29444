"""A whole dataset: every finding, counts that add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import videoprep as vp
from tests.assets import write_lists, write_video
from videoprep.errors import SpecError
from videoprep.validators import registry
from videoprep.validators.protocol import Finding, Severity, Subject, Validator


def test_a_clean_dataset(dataset: Path) -> None:
    report = vp.validate(vp.DatasetSpec.from_path(dataset))
    assert report.ok
    assert (report.total, report.clean, report.findings) == (3, 3, ())


def test_all_findings_in_one_pass(dataset: Path) -> None:
    write_video(dataset / "videos/odd.mp4", width=90, height=64, frames=10)
    (dataset / "videos/bad.mp4").write_bytes(b"no video")
    videos = ["videos/a.mp4", "videos/odd.mp4", "videos/bad.mp4", "videos/none.mp4", "../x.mp4"]
    write_lists(dataset, ["one", "two", "three", "four", "five"], videos)
    (dataset.parent / "x.mp4").write_bytes(b"outside")
    report = vp.validate(vp.DatasetSpec.from_path(dataset))
    assert not report.ok
    assert (report.total, report.clean) == (5, 1)
    assert report.by_code == {"VP005": 1, "VP006": 1, "VP101": 1, "VP102": 1, "VP103": 1}
    document = json.loads(json.dumps(report.to_json()))
    assert document["samples"] == document["clean"] + document["with_findings"]
    assert len(document["findings"]) == 5


def test_real_clips(real_clips: Path) -> None:
    spec = vp.DatasetSpec.from_path(real_clips)
    report = vp.validate(spec)
    assert report.by_code == {"VP101": 8, "VP102": 1}
    assert report.clean == 0
    report = vp.validate(spec, profile="cogvideox")
    assert {(f.code, f.video) for f in report.findings} == {
        ("VP101", "videos/nasa.mp4"),
        ("VP102", "videos/nasa.mp4"),
    }
    assert report.findings[0].data["width"] == 480
    report = vp.validate(spec, reshape="center-crop")
    assert report.ok
    assert report.clean == 8
    assert report.count(Severity.NOTE) == 9


def test_an_empty_dataset(tmp_path: Path) -> None:
    write_lists(tmp_path, [], [])
    (tmp_path / "videos.txt").write_text("")
    with pytest.raises(SpecError, match="the dataset is empty"):
        vp.validate(vp.DatasetSpec.from_path(tmp_path))


def test_captions_are_escaped_in_notebooks(dataset: Path) -> None:
    video = "videos/<img src=x onerror=alert(1)>.mp4"
    write_video(dataset / video, width=90)
    write_lists(dataset, ["<script>"], [video])
    page = vp.validate(vp.DatasetSpec.from_path(dataset))._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page


class ShortCaption(Validator):
    """A rule as a third party would write it."""

    code = "ACME001"
    name = "short-caption"
    summary = "A caption has ten words at least."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = len(subject.sample.caption.split())
        if words < 10:
            yield subject.finding(
                self, Severity.WARNING, f"{words} words", "write more", words=words
            )


def test_a_third_partys_rule_is_found_and_run(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("short", f"{__name__}:ShortCaption", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    report = vp.validate(vp.DatasetSpec.from_path(dataset))
    assert report.ok
    assert report.by_code == {"ACME001": 3}
    assert report.clean == 0
