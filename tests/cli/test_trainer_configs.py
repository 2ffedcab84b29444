"""Dataset configs of other trainers, by the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import videoprep as vp
from tests.support.assets import write_video
from videoprep.index.forecasts import SampleForecast, forecasts_of
from videoprep.spec.dataset_group import DatasetGroup

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """[general]
resolution = [96, 64]
caption_extension = ".txt"
batch_size = 2
[[datasets]]
video_directory = "clips"
target_frames = [17]
sourc_fps = 16.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config of two videos, of which one is too short."""
    for name, frames in (("long", 33), ("short", 9)):
        write_video(tmp_path / f"clips/{name}.mp4", frames=frames, fps=32)
        (tmp_path / f"clips/{name}.txt").write_text(f"a {name} clip")
    (tmp_path / "musubi.toml").write_text(CONFIG)
    return tmp_path


def test_validate_tells_what_the_trainer_would_do(run_cli: Run, folder: Path) -> None:
    done = run_cli(
        "validate", "musubi.toml", "--profile", "wan", "--output-format", "json", cwd=folder
    )
    assert done.returncode == 1
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["code"], []).append(one)
    key = next(one for one in found["VP025"] if "sourc_fps" in one["message"])
    assert (Path(key["file"]).name, key["line"]) == ("musubi.toml", 8)
    assert (key["severity"], key["remedy"]) == ("warning", "did you mean 'source_fps'?")
    assert [one["video"] for one in found["VP317"]] == ["clips/short.mp4"]
    assert [one["data"]["speed"] for one in found["VP318"]] == [0.5]
    (clips,) = found["VP319"]
    assert (
        clips["message"]
        == "musubi-tuner makes of 33 frames: 17×64×96 of frames 0–16; planned alike"
    )


def test_index_prints_the_trainers_counts_beside_its_own(run_cli: Run, folder: Path) -> None:
    done = run_cli("index", "musubi.toml", "--profile", "wan", "-o", "i.parquet", cwd=folder)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "what musubi-tuner would do" in text
    assert "musubi-tuner drops 1: 9 frames are there, fewer than the 17 asked for" in text
    assert "musubi.toml:8: 'sourc_fps' is no key of musubi-tuner" in text
    assert "batch_size" not in text
    assert "buckets of musubi-tuner" in text
    done = run_cli(
        "index", "musubi.toml", "--profile", "wan", "-o", "i.parquet", "--output-format", "json",
        cwd=folder,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["trainer"] == "musubi-tuner"
    (counts,) = told["forecasts"]
    assert (counts["files"], counts["clips"], counts["planned"]) == (2, 1, 1)
    warnings = [one["line"] for one in told["config_notes"] if one["severity"] == "warning"]
    assert warnings == [8]


def test_a_wrong_value_ends_it_with_the_line(run_cli: Run, folder: Path) -> None:
    (folder / "musubi.toml").write_text(CONFIG.replace("[17]", '"17"'))
    done = run_cli("validate", "musubi.toml", cwd=folder)
    assert done.returncode == 2
    assert "musubi.toml:7" in done.stderr
    assert "expected a list of whole numbers above 0" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "name", ["musubi-tuner.toml", "diffusion-pipe.toml", "multidatabackend.json", "ai-toolkit.yaml"]
)
def test_what_is_exported_for_a_trainer_is_read_back(tmp_path: Path, name: str) -> None:
    for number in range(2):
        write_video(tmp_path / f"data/{number}.mp4", width=128, height=64, frames=17, fps=16)
        (tmp_path / f"data/{number}.txt").write_text(f"clip {number}")
    index = vp.BucketIndex.build(tmp_path / "data", profile="wan", reshape="center-crop")
    index.save(tmp_path / "index.parquet")
    vp.export_media(tmp_path / "index.parquet", output=tmp_path / "media")
    group = DatasetGroup.from_path(tmp_path / "media" / name, profile="wan")
    found = [one for dataset in group.members() for _, one in forecasts_of(dataset)]
    assert len(found) == 2
    for one in found:
        assert isinstance(one, SampleForecast)
        assert [clip.bucket for clip in one.forecast.clips] == [str(index.buckets[0])], name
        assert one.has_same_frames
    unknown = [note.message for note in group.config_notes if "is no key" in note.message]
    assert unknown == []


def test_a_videoprep_file_is_none_of_a_trainer(tmp_path: Path) -> None:
    write_video(tmp_path / "clips/a.mp4")
    (tmp_path / "clips/a.txt").write_text("a")
    (tmp_path / "videoprep.yaml").write_text(yaml.safe_dump({"datasets": [{"path": "clips"}]}))
    group = DatasetGroup.from_path(tmp_path / "videoprep.yaml")
    assert group.trainer is None
