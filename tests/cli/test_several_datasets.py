"""Several datasets in one ``videoprep.yaml``, by the command line: from init to training."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.several_datasets import write_dataset, write_file
from videoprep.store.dataset import LatentDataset

Run = Callable[..., subprocess.CompletedProcess[str]]

FILE = """
profile: cogvideox
reshape: center-crop
datasets:
  - path: people
    id_token: SKS
    weight: 3
  - path: places
    weight: 1
  - path: holdout
    role: validation
  - path: prior
    role: regularization
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four datasets: two for training, one for validation, one for regularization."""
    root = tmp_path / "data"
    for at, (name, count) in enumerate(
        {"people": 3, "places": 2, "holdout": 2, "prior": 4}.items()
    ):
        write_dataset(root / name, count, grey=30 + 50 * at)
    write_file(root, FILE)
    return root


def done(run: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that ended well."""
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def told(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command printed as JSON."""
    values: dict[str, Any] = json.loads(done(run))
    return values


def words(text: str) -> list[str]:
    """The lines without the borders of tables."""
    return [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]


def test_from_validating_to_training(
    run_cli: Run, folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    checked = told(run_cli("validate", folder, "--output-format", "json"))
    assert (checked["samples"], checked["clean"]) == (11, 11)
    counts = {one["name"]: one["samples"] for one in checked["datasets"]}
    assert counts == {"people": 3, "places": 2, "holdout": 2, "prior": 4}

    plan = told(run_cli("index", folder, "-o", "plan.parquet", "--output-format", "json"))
    assert {one["name"]: (one["role"], one["clips"]) for one in plan["datasets"]} == {
        "people": ("train", 3), "places": ("train", 2),
        "holdout": ("validation", 2), "prior": ("regularization", 4),
    }  # fmt: skip
    assert {one["name"]: one["share"] for one in plan["datasets"]} == {
        "people": 0.75, "places": 0.25, "holdout": 0.0, "prior": 0.0
    }  # fmt: skip
    assert plan["splits"] == {"regularization": 4, "train": 5, "validation": 2}

    encoded = run_cli("encode", "plan.parquet", "-o", "store", "--model", tiny_model)
    assert "11 clips = 11 complete + 0 failed" in done(encoded)
    assert told(run_cli("status", "store", folder, "--output-format", "json"))["datasets"] == [
        {"name": name, "clips": clips, "done": clips, "failed": 0, "to_do": 0}
        for name, clips in counts.items()
    ]
    assert "people 3 3 0 0" in words(done(run_cli("status", "store")))
    done(run_cli("verify", "store"))
    done(run_cli("preview", "store", "-o", "preview.png", "--clips", 2))
    page = run_cli("report", folder, "--store", "store", "-o", "report.html")
    done(page)
    text = (tmp_path / "report.html").read_text()
    assert '<table id="datasets">' in text
    assert "<bdi>prior</bdi></td><td>regularization</td>" in text

    exported = done(run_cli("export", "store", "--to", "finetrainers", "-o", "exported"))
    assert "5 clips for finetrainers" in exported
    assert "6 clips are for validation or regularization, and not exported" in exported
    held = run_cli("export", "store", "--to", "finetrainers", "-o", "held", "--split", "validation")
    assert "2 clips for finetrainers" in done(held)

    train = ("train", "store", "--model", tiny_model, "--steps", 2, "--rank", 2)
    result = told(run_cli(*train, "-o", "run", "--output-format", "json"))
    assert (result["clips"], result["split"]) == (5, "train")
    assert result["validation_loss"] is not None
    both = run_cli(*train, "-o", "both", "--regularization", 1, "--output-format", "json")
    assert (told(both)["clips"], told(both)["split"]) == (9, "train")
    data = LatentDataset(tmp_path / "store")
    assert Counter(data.row(n)["dataset"] for n in range(len(data))) == counts


def test_what_is_left_is_told_by_dataset(
    run_cli: Run, folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    done(run_cli("encode", f"{folder}#people", "-o", "store", "--model", tiny_model))
    (folder / "places" / "bad.mp4").write_bytes(b"no video")
    (folder / "places" / "bad.txt").write_text("words")
    run = run_cli("status", "store", folder)
    assert run.returncode == 1
    lines = words(run.stdout)
    for line in ("people 3 3 0 0", "places 2 0 0 2", "prior 4 0 0 4"):
        assert line in lines
    assert any(line.startswith("skipped places/bad.mp4 (bad.txt:1): VP103") for line in lines)
    assert run.stdout.rstrip().splitlines()[-1].startswith(f"next: videoprep encode {folder} -o ")
    run = run_cli("index", folder)
    assert run.returncode == 1
    assert "places train 1 3 1 2 1 25%" in words(run.stdout)


def test_the_plan_in_words(run_cli: Run, folder: Path) -> None:
    shutil.copy(folder / "people" / "00.mp4", folder / "places" / "copy.mp4")
    (folder / "places" / "copy.txt").write_text("a copy")
    lines = words(done(run_cli("index", folder)))
    for line in (
        "dataset people",
        "profile cogvideox · reshape center-crop · each clip's own size",
        "people train 3 3 0 3 4 75%",
        "holdout validation 2 0 2 0 0%",
        "note 1 video of the dataset 'places' is also in 'people', such as people/00.mp4 and "
        "places/copy.mp4 (VP146)",
        "12 samples = 12 planned + 0 skipped; 12 clips",
    ):
        assert line in lines
    assert lines.count("profile cogvideox · reshape center-crop · each clip's own size") == 1


def test_a_leak_stops_the_plan_and_is_named(run_cli: Run, folder: Path) -> None:
    shutil.copy(folder / "people" / "00.mp4", folder / "holdout" / "copy.mp4")
    (folder / "holdout" / "copy.txt").write_text("a copy")
    run = run_cli("index", folder)
    assert run.returncode == 2
    assert "holdout/copy.mp4 of 'holdout' is people/00.mp4 of 'people'" in run.stderr
    run = run_cli("validate", folder)
    assert run.returncode == 1
    assert "VP145 validation-leak error · 1 time" in run.stdout
    assert "people: people/00.mp4 (00.txt:1): is also in the dataset 'holdout'" in run.stdout


@pytest.mark.parametrize("command", ["caption", "refine", "review"])
def test_commands_for_one_dataset_say_how_to_name_it(
    run_cli: Run, folder: Path, command: str
) -> None:
    run = run_cli(command, folder)
    assert run.returncode == 2
    assert "describes several datasets, and one is wanted here" in run.stderr
    assert f"name one of them: {folder}/videoprep.yaml#people or …#places" in run.stderr


def test_what_is_for_one_dataset_is_refused_for_several(run_cli: Run, folder: Path) -> None:
    run = run_cli("validate", folder, "--write-clean", "clean.csv")
    assert run.returncode == 2
    assert f"name one of them, such as {folder}#people" in run.stderr
    run = run_cli("index", folder, "--data-root", folder)
    assert run.returncode == 2
    assert "--data-root is of one dataset, and this file describes several" in run.stderr


def test_one_dataset_by_its_name(run_cli: Run, folder: Path) -> None:
    lines = words(done(run_cli("index", f"{folder}#people", "-o", "people.parquet")))
    assert "3 samples = 3 planned + 0 skipped; 3 clips" in lines
    done(run_cli("validate", f"{folder}#people", "--write-clean", "clean.csv"))
    assert len((folder.parent / "clean.csv").read_text().splitlines()) == 4
    run = run_cli("validate", f"{folder}#peple")
    assert run.returncode == 2
    assert "did you mean 'people'?" in run.stderr


def test_the_page_on_findings_has_pictures_of_each_dataset(run_cli: Run, folder: Path) -> None:
    for name in ("people", "places"):
        (folder / name / "00.txt").write_text("")
    run = run_cli("validate", folder, "--output-format", "html", "-o", "page.html")
    assert run.returncode == 1
    text = (folder.parent / "page.html").read_text()
    assert text.count("people/00.mp4") >= 1
    assert text.count("places/00.mp4") >= 1
    assert text.count("data:image/") >= 2
