"""`videoprep init` as a user meets it. What it finds is tested with `scaffold`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.assets import write_video

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    made.mkdir()
    for name in ("one", "two"):
        write_video(made / f"{name}.mp4", height=48)
        (made / f"{name}.txt").write_text(f"caption {name}")
    return made


def test_it_says_what_it_found_and_sets_nothing_unasked(run_cli: Run, folder: Path) -> None:
    done = run_cli("init", folder)
    assert done.returncode == 0, done.stderr
    assert "found videos with their captions in text files beside them" in done.stdout
    assert "Videos looked at: 2. Sizes: 96×48 (2). Frames: 9." in done.stdout
    assert "proposed profile: cogvideox · 2 of 2 videos looked at are 96×48" in done.stdout
    assert done.stdout.endswith(f"next: videoprep validate '{folder}'\n")
    fields = yaml.safe_load((folder / "videoprep.yaml").read_text())
    assert set(fields) == {"dataset_file", "caption_column", "video_column"}
    assert run_cli("validate", folder).returncode == 1


def test_what_is_accepted_is_set(run_cli: Run, folder: Path) -> None:
    assert run_cli("init", "--accept", cwd=folder).returncode == 0
    done = run_cli("validate", cwd=folder)
    assert done.returncode == 0
    assert "2 samples = " in done.stdout
    assert "profile cogvideox, reshape none" in done.stdout


def test_a_file_is_replaced_only_when_asked(run_cli: Run, folder: Path) -> None:
    mine = folder / "videoprep.yaml"
    mine.write_text("profile: wan\n")
    done = run_cli("init", folder)
    assert done.returncode == 2
    assert "replace it with --overwrite" in done.stderr
    assert mine.read_text() == "profile: wan\n"
    done = run_cli("init", folder, "--dry-run")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["video_column"] == "video"
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == sorted(
        [".mp4", ".txt", ".mp4", ".txt", ".yaml"]
    )
    assert run_cli("init", folder, "--overwrite").returncode == 0
    assert "profile: wan" not in mine.read_text()
