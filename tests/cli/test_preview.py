"""`videoprep preview`, as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.conftest import SHOWN

Run = Callable[..., Any]


def test_a_store(run_cli: Run, shown_store: Path, tmp_path: Path) -> None:
    done = run_cli("preview", shown_store, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:5]]
    assert [row[-1] for row in rows] == SHOWN
    assert all(float(row[0]) > 20 for row in rows)
    assert "written: preview.png" in done.stdout
    assert Image.open(tmp_path / "preview.png").width > 600


def test_for_machines_all_clips_and_the_worst(
    run_cli: Run, shown_store: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(shown_store, tmp_path / "store")
    place = next((store / "video_latents").glob("*/*.safetensors"))
    data = bytearray(place.read_bytes())
    data[-4] ^= 1
    place.write_bytes(data)
    told = run_cli(
        *("preview", store, "--worst", "--clips", "1", "-o", "worst.html", "--device", "cpu"),
        *("--output-format", "json"),
    )
    assert told.returncode == 1, told.stderr
    said = json.loads(told.stdout)
    assert len(said["measures"]) == said["measured"] == 4
    faulty = [one for one in said["measures"] if one["faults"]]
    assert [one["faults"][0]["kind"] for one in faulty] == ["damaged"]
    assert said["faulty"] == 1
    assert said["shown"] == [faulty[0]["number"]]
    assert "<html" in (tmp_path / "worst.html").read_text(encoding="utf-8")


def test_a_dataset_with_options_of_its_plan(run_cli: Run, dataset: Path, tmp_path: Path) -> None:
    (dataset / "prompt.txt").write_text("a \x1b[31mred clip\nb\nc\n")
    options = ("--reshape", "center-crop", "--height-buckets", "32", "--width-buckets", "32")
    done = run_cli("preview", dataset, *options, "-o", "crops.png")
    assert done.returncode == 0, done.stderr
    assert "the frames chosen, and the crop" in done.stdout
    assert "\x1b" not in done.stdout
    assert Image.open(tmp_path / "crops.png").height > 300


def test_wrong_use(run_cli: Run, shown_store: Path, tmp_path: Path) -> None:
    for options, message in (
        (("-o", "seen.jpg"), "cannot write a preview as .jpg"),
        (("--reshape", "pad"), "has a finished plan, which --reshape cannot change"),
        (("--without-vae", "--worst"), "no use in the worst"),
        (("--model", tmp_path / "nowhere"), "no such model folder"),
        (("--device", "tpu9"), "cannot be used"),
    ):
        done = run_cli("preview", shown_store, *options)
        assert done.returncode == 2, done.stdout
        assert message in " ".join(done.stderr.split()), done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "preview.png").exists()
