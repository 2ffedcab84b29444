"""Several datasets are validated as one: counts, names, and what they share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.several_datasets import write_dataset, write_file, write_group
from videoprep.errors import SpecError
from videoprep.validators.engine import validate
from videoprep.validators.formats.github import as_github
from videoprep.validators.formats.json_lines import as_json
from videoprep.validators.formats.sarif import as_sarif
from videoprep.validators.protocol import Finding
from videoprep.validators.report import Report


def check(folder: Path, text: str | None = None, **options: Any) -> Report:
    """Validate the datasets of a folder."""
    if text is not None:
        write_file(folder, text)
    return validate(folder, **options)


def of_code(report: Report, code: str) -> list[Finding]:
    """The findings with a code."""
    return [finding for finding in report.findings if finding.code == code]


TWO = "reshape: center-crop\ndatasets:\n  - people\n  - path: places\n    name: sites\n"


def test_counts_add_up_and_are_those_of_each_alone(tmp_path: Path) -> None:
    write_group(tmp_path)
    report = check(tmp_path, TWO)
    assert report.ok
    assert (report.total, report.clean) == (5, 5)
    assert [(one.name, one.samples, one.clean) for one in report.datasets] == [
        ("people", 3, 3), ("sites", 2, 2)
    ]  # fmt: skip
    alone = validate(f"{tmp_path}#sites")
    assert (alone.total, alone.clean) == (2, 2)


def test_findings_name_the_dataset(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "places" / "01.txt").write_text("")
    report = check(tmp_path, TWO)
    (finding,) = of_code(report, "VP201")
    assert (finding.dataset, finding.video, finding.number) == ("sites", "places/01.mp4", 5)
    assert [one.errors for one in report.datasets] == [0, 1]
    assert (report.total, report.clean, report.with_findings) == (5, 4, 1)
    assert "sites: places/01.mp4" in "".join(as_github(report))
    assert "sites: places/01.mp4" in "".join(as_sarif(report))
    told = json.loads("".join(as_json(report)))
    assert [one["dataset"] for one in told["findings"] if one["code"] == "VP201"] == ["sites"]
    assert [one["name"] for one in told["datasets"]] == ["people", "sites"]


def test_a_dataset_without_samples_is_a_finding_and_the_others_go_on(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("prompt.txt", "videos.txt"):
        (tmp_path / "empty" / name).write_text("")
    report = check(tmp_path, TWO + "  - empty\n")
    (finding,) = of_code(report, "VP017")
    assert finding.dataset == "empty"
    assert not report.ok
    assert (report.total, report.clean) == (5, 5)


def test_a_dataset_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_group(tmp_path)
    with pytest.raises(SpecError, match="dataset 'plases': no such file or folder"):
        check(tmp_path, TWO + "  - plases\n")


def test_options_of_a_dataset_are_its_own(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "places" / "00.txt").write_text("")
    (tmp_path / "people" / "00.txt").write_text("")
    report = check(tmp_path, TWO + "    ignore: [VP201]\n")
    assert [finding.dataset for finding in of_code(report, "VP201")] == ["people"]
    with pytest.raises(SpecError, match="'fail_on' is of all datasets together"):
        check(tmp_path, TWO + "    fail_on: warning\n")


def test_videos_that_two_datasets_share_are_told_with_both_names(tmp_path: Path) -> None:
    write_group(tmp_path)
    shutil.copy(tmp_path / "people" / "01.mp4", tmp_path / "places" / "copy.mp4")
    (tmp_path / "places" / "copy.txt").write_text("others")
    report = check(tmp_path, TWO)
    (finding,) = of_code(report, "VP146")
    assert finding.message == (
        "1 video of the dataset 'sites' is also in 'people', such as people/01.mp4 and "
        "places/copy.mp4"
    )
    assert finding.data == {"datasets": ["people", "sites"], "videos": 1}
    assert report.ok  # a warning
    (same,) = of_code(report, "VP127")
    assert (same.dataset, same.video) == ("sites", "places/copy.mp4")
    assert "people/01.mp4" in same.message


def test_two_datasets_on_one_folder_are_told_apart(tmp_path: Path) -> None:
    """Line 2 of which list? The dataset's name says it; within one dataset it goes without."""
    write_group(tmp_path)
    text = "video,caption\n00.mp4,one\n00.mp4,two\n"
    (tmp_path / "people" / "list.csv").write_text(text)
    entry = "    path: people\n    dataset_file: list.csv\n"
    report = check(tmp_path, f"datasets:\n  - name: mix\n{entry}  - name: again\n{entry}")
    told = [(one.dataset, one.message, one.remedy) for one in of_code(report, "VP013")]
    assert [(dataset, message) for dataset, message, _ in told] == [
        ("mix", "the same file as in line 2"),
        ("again", "the same file as in line 2 of the dataset 'mix', with the same caption"),
        ("again", "the same file as in line 2 of the dataset 'mix'"),
    ]
    assert "delete one of the lines" in told[0][2]
    assert "from one of the datasets" in told[1][2]
    assert [one.message for one in of_code(report, "VP204")] == [
        "the same caption as in line 2 of the dataset 'mix'; 2 samples have it",
        "the same caption as in line 3 of the dataset 'mix'; 2 samples have it",
    ]


def test_a_video_for_validation_that_is_trained_on_is_an_error(tmp_path: Path) -> None:
    write_group(tmp_path)
    shutil.copy(tmp_path / "people" / "01.mp4", tmp_path / "places" / "copy.mp4")
    (tmp_path / "places" / "copy.txt").write_text("others")
    report = check(tmp_path, TWO + "    role: validation\n")
    (finding,) = of_code(report, "VP145")
    assert (finding.dataset, finding.video) == ("people", "people/01.mp4")
    assert "'sites', which is for validation, as places/copy.mp4" in finding.message
    assert not of_code(report, "VP146")
    assert not report.ok
    assert [one.errors for one in report.datasets] == [1, 0]
    assert not report.passing[1]
    assert report.passing[0]


def test_a_dataset_in_another_one_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path / "all", 1, grey=40)
    write_dataset(tmp_path / "all" / "closeups", 2, grey=90)
    report = check(tmp_path, "reshape: center-crop\ndatasets:\n  - all\n  - all/closeups\n")
    (finding,) = of_code(report, "VP146")
    assert finding.message.startswith("2 videos of the dataset 'all/closeups' are also in 'all'")
    text = "reshape: center-crop\ndatasets:\n  - all\n  - {path: all/closeups, role: validation}\n"
    assert len(of_code(check(tmp_path, text), "VP145")) == 2


def test_other_parts_of_a_film_are_no_overlap_but_leak(tmp_path: Path) -> None:
    write_dataset(tmp_path / "films", 1, grey=40, frames=40)
    for name, start, end in (("a", 0, 2), ("b", 3, 5)):
        rows = f"video,caption,start,end\n00.mp4,words,{start},{end}\n"
        (tmp_path / "films" / f"{name}.csv").write_text(rows)
    text = "reshape: center-crop\ndatasets:\n  - films/a.csv\n  - path: films/b.csv\n"
    assert not of_code(check(tmp_path, text), "VP146")
    assert len(of_code(check(tmp_path, text + "    role: validation\n"), "VP145")) == 1


def test_progress_adds_up(tmp_path: Path) -> None:
    write_group(tmp_path)
    told: list[tuple[int, int]] = []
    check(tmp_path, TWO, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)
    assert [done for done, _ in told] == [1, 2, 3, 4, 5]


def test_a_role_that_is_misspelt_is_proposed(tmp_path: Path) -> None:
    write_group(tmp_path)
    with pytest.raises(SpecError) as raised:
        check(tmp_path, "datasets:\n  - path: people\n    role: regularisation\n")
    assert raised.value.remedy == "did you mean 'regularization'?"
    with pytest.raises(SpecError) as raised:
        check(tmp_path, "datasets:\n  - path: people\n    role: other\n")
    assert raised.value.remedy == "correct the file"
