"""`videoprep validate`: its forms of output, its exit codes, fixes, and `videoprep rules`."""

from __future__ import annotations

import csv
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.validators.test_engine import bad_dataset
from videoprep.cli.app import app
from videoprep.cli.spelling import all_flags
from videoprep.cli.validate import spelled_report

Run = Callable[..., object]


def test_json_is_the_report(run_cli: Run, dataset: Path) -> None:
    done = run_cli("validate", bad_dataset(dataset), "--output-format", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    report = spelled_report(vp.validate(dataset), all_flags(app))
    assert document == json.loads(json.dumps(report.to_json()))
    assert document["samples"] == 5
    finding = next(f for f in document["findings"] if f["code"] == "VP101")
    assert finding["data"]["nearest"] == [[64, 64], [96, 64]]
    assert finding["line"] == 2


def test_json_lines_end_with_the_counts(run_cli: Run, dataset: Path) -> None:
    done = run_cli("validate", bad_dataset(dataset), "--output-format", "jsonl")
    *findings, summary = map(json.loads, done.stdout.splitlines())
    assert {line["type"] for line in findings} == {"finding"}
    assert (summary["type"], summary["samples"], summary["clean"]) == ("summary", 5, 1)
    assert len(findings) == summary["errors"] + summary["warnings"] + summary["notes"]


def test_github_marks_lines_of_files(run_cli: Run, dataset: Path) -> None:
    odd = "videos/100%,a:b\x1b.mp4"
    write_video(dataset / odd, width=90)
    write_lists(dataset, ["one"] * 15, [odd] * 15)
    done = run_cli("validate", ".", "--output-format", "github", "--select=VP101", cwd=dataset)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "::error file=videos.txt,line=1,title=VP101 size-not-divisible::videos/100%25,a:b\\x1b.mp4"
    )
    assert sum(line.startswith("::error") for line in lines) == 10
    assert lines[10:] == ["and 5 more of severity error", "15 samples = 0 clean + 15 with findings"]
    assert "\x1b" not in done.stdout


def test_sarif_names_rules_places_and_levels(run_cli: Run, dataset: Path) -> None:
    done = run_cli("validate", bad_dataset(dataset), "--output-format", "sarif")
    document = json.loads(done.stdout)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] in ("videos.txt", "prompt.txt")
        assert place["artifactLocation"]["uriBaseId"] == "DATA"
        assert place.get("region", {"startLine": 1})["startLine"] >= 1
    assert run["originalUriBaseIds"]["DATA"]["uri"] == f"file://{dataset}/"


@pytest.mark.parametrize("form", ["rich", "json", "jsonl", "github", "sarif", "html"])
def test_every_form_can_be_written_to_a_file(run_cli: Run, dataset: Path, form: str) -> None:
    done = run_cli("validate", bad_dataset(dataset), "--output-format", form, "-o", "report")
    assert done.returncode == 1
    assert "5 samples = 1 clean + 4 with findings" in done.stdout
    text = (dataset.parent / "report").read_text()
    assert "VP101" in text
    assert (
        "90×64 is not divisible by 32" in text.encode().decode("unicode_escape") or "90×64" in text
    )


def test_many_findings_of_a_rule_are_examples_and_a_count(run_cli: Run, dataset: Path) -> None:
    write_lists(dataset, ["one."] * 300, ["videos/none.mp4"] * 300)
    done = run_cli("validate", dataset, "--select", "VP005")
    assert "VP005 missing-video error · 300 times" in done.stdout
    assert "and 290 more like these" in done.stdout
    assert done.stdout.count("→") == 1
    assert len(done.stdout.splitlines()) < 20


def test_the_exit_code_follows_fail_on(run_cli: Run, dataset: Path) -> None:
    write_lists(dataset, ["One.", "Ein Hund läuft langsam am Strand entlang.", "Three."])
    assert run_cli("validate", dataset).returncode == 0
    done = run_cli("validate", dataset)
    assert done.stdout.splitlines()[-2].startswith("passes, with warnings · 3 samples = 2 clean")
    assert run_cli("validate", dataset, "--fail-on", "warning").returncode == 1
    assert run_cli("validate", dataset, "--severity", "VP202=error").returncode == 1
    assert run_cli("validate", dataset, "--fail-on=warning", "--ignore=VP2,VP1").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "VP1O1"], "there is no rule 'VP1O1'"),
        (["--ignore", "size-divisible"], "did you mean size-not-divisible"),
        (["--severity", "VP101"], "is not of the form RULE=LEVEL"),
        (["--severity", "VP101=fatal"], "got 'fatal' for 'VP101'"),
        (["--rule-option", "VP306=3"], "is not of the form RULE.NAME=VALUE"),
        (["--rule-option", "VP306.shore=3"], "its options are: share"),
        (["--fail-on", "note"], "note"),
        (["--output-format", "xml"], "xml"),
        (["--write-clean", "list.txt"], "name a .csv or .tsv file"),
        (["--output", "."], "is a folder"),
        (["--select", "VP101", "--ignore", "VP"], "no rule is left"),
        (["--time-limit", "inf"], "no limits"),
        (["--model", "nowhere"], "no such model folder"),
    ],
)
def test_wrong_use(run_cli: Run, dataset: Path, arguments: list[str], words: str) -> None:
    done = run_cli("validate", dataset, *arguments)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rules_option_on_the_command_line(run_cli: Run, dataset: Path) -> None:
    arguments = ["--select", "small-bucket", "--rule-option", "VP305.batch-size=3"]
    done = run_cli("validate", dataset, *arguments)
    assert "the bucket 5×96×64 has 1 clips, fewer than a batch of 3" in done.stdout
    assert "the bucket 9×64×96 has 2 clips" in done.stdout


def test_the_spec_holds_the_same_keys(run_cli: Run, dataset: Path) -> None:
    bad_dataset(dataset)
    (dataset / "videoprep.yaml").write_text(
        "reshape: center-crop\nselect: [VP10, VP11, VP005]\nignore: [VP117, unreadable]\n"
        "severity: {VP005: warning}\nfail-on: warning\n"
    )
    done = run_cli("validate", dataset, "--output-format", "json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["by_code"] == {"VP005": 1, "VP101": 1, "VP102": 1}
    assert (report["reshape"], report["fail_on"], report["errors"]) == ("center-crop", "warning", 0)
    assert run_cli("validate", dataset, "--fail-on", "error").returncode == 0
    assert run_cli("validate", dataset / "videoprep.yaml", "--fail-on=error").returncode == 0


def test_a_fix_writes_a_spec_and_a_list_that_pass(run_cli: Run, dataset: Path) -> None:
    bad_dataset(dataset)
    before = {p: p.read_bytes() for p in dataset.rglob("*") if p.is_file()}
    done = run_cli("validate", dataset, "--diff", "--id-token", "sks")
    assert done.returncode == 1
    assert "+reshape: center-crop" in done.stderr
    assert '-videos.txt:3: videos/bad.mp4, "three"  (VP103)' in done.stderr
    assert not (dataset / "videoprep.yaml").exists()
    done = run_cli("validate", dataset, "--fix", "--id-token", "sks")
    assert "reshape: none → center-crop, for 2 findings of VP101, VP102" in done.stderr
    assert "skipped: 3 of 5 samples" in done.stderr
    assert {p: p.read_bytes() for p in before} == before, "videos and captions stay as they are"
    with (dataset / "videoprep.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [["video", "caption"], ["videos/a.mp4", "one"], ["videos/odd.mp4", "two"]]
    done = run_cli("validate", dataset)
    assert done.returncode == 0, done.stdout
    assert "2 samples = 1 clean + 1 with findings" in done.stdout, "much of one is cut"
    assert [s.caption for s in vp.DatasetSpec.from_path(dataset).samples()] == [
        "sks one",
        "sks two",
    ]
    assert run_cli("index", dataset).returncode == 0
    assert "nothing to fix" in run_cli("validate", dataset, "--fix").stderr


def test_a_fix_of_a_table_keeps_its_columns_and_the_old_spec(run_cli: Run, dataset: Path) -> None:
    rows = 'clip,text,score\nvideos/a.mp4,"one, two",7\nvideos/gone.mp4,three,8\n'
    (dataset / "list.csv").write_text(rows)
    spec = "# mine\ndataset_file: list.csv\nvideo_column: clip\ncaption_column: text\n"
    (dataset / "videoprep.yaml").write_text(spec)
    done = run_cli("validate", dataset, "--fix")
    assert done.returncode == 1
    assert (dataset / "videoprep.csv").read_text() == rows.rsplit("videos/gone", 1)[0]
    assert (dataset / "videoprep.yaml.bak").read_text() == spec
    assert (dataset / "list.csv").read_text() == rows
    assert run_cli("validate", dataset).returncode == 0


def test_a_fix_is_shown_before_it_is_written(run_cli: Run, dataset: Path) -> None:
    """With --diff nothing is written; without, comments and numbers stay as they were written."""
    bad_dataset(dataset)
    spec = "# mine\ntarget_fps: 8  # as the model\nprofile: default\n\n# the end\n"
    (dataset / "videoprep.yaml").write_text(spec)
    before = {p: p.read_bytes() for p in dataset.iterdir() if p.is_file()}
    done = run_cli("validate", dataset, "--fix", "--diff")
    assert done.returncode == 1
    assert {p: p.read_bytes() for p in dataset.iterdir() if p.is_file()} == before
    assert "+reshape: center-crop" in done.stderr
    assert "target_fps" not in "".join(
        line for line in done.stderr.splitlines() if line.startswith(("-", "+"))
    )
    assert "nothing was written; --fix keeps the old videoprep.yaml as videoprep.yaml.bak" in (
        done.stderr
    )
    assert f"next: videoprep validate {dataset} --fix\n" in done.stdout
    done = run_cli("validate", dataset, "--fix")
    assert f"the old file is {dataset / 'videoprep.yaml.bak'}" in done.stderr
    assert f"next: videoprep validate {dataset}\n" in done.stdout
    assert (dataset / "videoprep.yaml.bak").read_text() == spec
    written = (dataset / "videoprep.yaml").read_text()
    assert written.startswith(spec)
    assert "reshape: center-crop" in written.removeprefix(spec)
    assert vp.DatasetSpec.from_path(dataset).reshape == "center-crop"


def test_what_cannot_be_fixed_is_said(run_cli: Run, dataset: Path) -> None:
    (dataset / "prompt.txt").write_text("only one line\n")
    done = run_cli("validate", dataset, "--fix")
    assert done.returncode == 1
    assert "no sample would be left" in done.stderr
    done = run_cli("validate", dataset, "--ignore", "VP002", "--write-clean", "clean.csv")
    assert (done.returncode, "no sample passes" in done.stderr) == (1, True)
    assert not (dataset.parent / "clean.csv").exists()
    write_lists(dataset, ["one.", "two.", "three."], ["videos/a.mp4", "videos/b.mp4", "none.mp4"])
    dataset.chmod(dataset.stat().st_mode & ~stat.S_IWUSR & ~stat.S_IWGRP & ~stat.S_IWOTH)
    try:
        done = run_cli("validate", dataset, "--fix", XDG_CACHE_HOME=str(dataset.parent))
        assert done.returncode == 2
        assert "the data root is read-only" in done.stderr
    finally:
        dataset.chmod(0o755)


def test_the_samples_that_pass_can_be_written_alone(run_cli: Run, dataset: Path) -> None:
    bad_dataset(dataset)
    target = dataset.parent / "clean.csv"
    done = run_cli("validate", dataset, "--write-clean", target)
    assert done.returncode == 1
    assert "1 of 5 samples pass" in done.stderr
    assert f"--data-root {dataset}" in done.stderr
    assert target.read_text() == "video,caption\nvideos/a.mp4,one\n"
    assert run_cli("validate", target, "--data-root", dataset).returncode == 0


def test_what_cannot_be_opened_never_passes(run_cli: Run, dataset: Path) -> None:
    (dataset / "videos/b.mp4").write_bytes(b"no video")
    for how in (["--ignore", "VP103"], ["--severity", "VP103=note"]):
        done = run_cli("validate", dataset, *how, "--write-clean", "clean.csv")
        assert done.returncode == 0
        assert "2 clean + 0 with findings + 1 unusable" in done.stdout
        assert "b.mp4" not in (dataset.parent / "clean.csv").read_text()


@pytest.mark.parametrize("name", ["prompt.txt", "videos.txt", "videos/a.mp4", "link.csv"])
def test_the_datasets_own_files_are_not_replaced(run_cli: Run, dataset: Path, name: str) -> None:
    (dataset / "link.csv").symlink_to("videos.txt")
    before = (dataset / name).read_bytes()
    option = "--write-clean" if name.endswith(".csv") else "--output"
    done = run_cli("validate", dataset, option, dataset / name)
    assert done.returncode == 2
    assert "is part of the dataset" in done.stderr
    assert (dataset / name).read_bytes() == before


def test_a_list_that_is_written_can_be_read(run_cli: Run, dataset: Path) -> None:
    captions = ["A cat\rsleeps", 'He said ""no"", twice', "two\nlines", " = 1 + 1"]
    rows = [f'videos/a.mp4,"{caption}"\n' for caption in captions]
    (dataset / "list.csv").write_text("".join(["video,caption\n", *rows]), newline="")
    before = [s.caption for s in vp.DatasetSpec.from_path(dataset / "list.csv").samples()]
    done = run_cli("validate", dataset / "list.csv", "--write-clean", dataset / "clean.csv")
    assert done.returncode == 0, done.stdout
    assert [s.caption for s in vp.DatasetSpec.from_path(dataset / "clean.csv").samples()] == before


def test_a_fix_is_refused_where_it_would_not_be_found(run_cli: Run, dataset: Path) -> None:
    write_lists(dataset, ["one", "two", "three"], ["a.mp4", "b.mp4", "none.mp4"])
    (dataset / "videoprep.yaml").write_text("data_root: videos\n")
    done = run_cli("validate", dataset, "--fix")
    assert done.returncode == 2
    assert "described elsewhere" in done.stderr
    assert not (dataset / "videos/videoprep.yaml").exists()


def test_rules_are_listed_and_explained(run_cli: Run) -> None:
    done = run_cli("rules")
    assert done.returncode == 0
    for code in ("VP001", "VP101", "VP202", "VP309", "VP903"):
        assert code in done.stdout
    for name in ("VP101", "size-not-divisible", "vp101"):
        text = run_cli("rules", name).stdout
        assert "720 = 22.5 × 32" in text
        assert re.search(r"Why\s", text)
    for name in ("VP404", "out-of-memory"):  # no rule, but a code that users meet
        assert "--retry-failed" in run_cli("rules", name).stdout
    (reason,) = json.loads(run_cli("rules", "VP401", "--output-format", "json").stdout)
    assert (reason["code"], reason["name"]) == ("VP401", "decode-failed")
    done = run_cli("rules", "VP1O1")
    assert (done.returncode, "there is no rule" in done.stderr) == (2, True)
    rules = json.loads(run_cli("rules", "--output-format", "json").stdout)
    assert {"code", "name", "summary", "why", "remedy", "severity"} <= set(rules[0])


def test_validate_imports_no_torch(run_cli: Run, dataset: Path, tiny_model: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, videoprep as vp\n"
        f"report = vp.validate({str(dataset)!r}, select=['all'], model={str(tiny_model)!r})\n"
        "assert report.total == 3\n"
        "print(sorted({'torch', 'transformers', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
