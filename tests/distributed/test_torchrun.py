"""Several ranks under a real torchrun: the same bytes as one process alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.encoding.test_encode import contents
from tests.support.assets import write_video

Torchrun = Callable[..., subprocess.CompletedProcess[str]]


def test_two_ranks_give_the_bytes_of_one(
    cold_torchrun: Torchrun,
    torchrun: Torchrun,
    demo_dataset: Path,
    demo_store: Path,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    command = ["encode", demo_dataset, "-o", store, "--model", tiny_model, "--image-latents"]
    done = cold_torchrun(2, *command, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["samples"], result["complete"], result["encoded"]) == (12, 12, 36)
    assert contents(store) == contents(demo_store)
    again = torchrun(2, *command)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("nothing to do") == 1
    assert contents(store) == contents(demo_store)


def test_left_out_samples_are_said_once_and_fail_the_run(
    torchrun: Torchrun, dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_video(dataset / "videos/b.mp4", width=90)
    done = torchrun(2, "encode", dataset, "-o", tmp_path / "store", "--model", tiny_model)
    assert done.returncode == 1
    assert done.stdout.count("2 clips = 2 complete + 0 failed · 1 of 3 samples skipped") == 1


def test_an_error_on_the_first_rank_ends_all(
    torchrun: Torchrun, dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.rmtree(model / "vae")
    done = torchrun(2, "encode", dataset, "-o", tmp_path / "store", "--model", model)
    assert done.returncode != 0
    assert "lacks vae/config.json" in done.stderr
    assert not (tmp_path / "store").exists()
