"""What is in several buckets is called by one name, and counted right, by every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from tests.support.assets import write_video
from tests.support.masks import write_still
from videoprep.spec.caption_journal import FOLDER, Decision
from videoprep.spec.dataset import DatasetSpec

Run = Callable[..., CompletedProcess[str]]

OPTIONS = (
    *("--reshape", "center-crop", "--frame-buckets", "1,9,17", "--height-buckets", "64"),
    *("--width-buckets", "64,96", "--multi-bucket", "--caption-journal", FOLDER),
)
ENCODE = ("encode", "data", *OPTIONS, "-o", "store", "--model", "model", "--image-latents")


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path) -> Path:
    """Two videos, one with two captions, in four buckets each, and a still image in two."""
    (tmp_path / "model").symlink_to(tiny_model)
    data = tmp_path / "data"
    data.mkdir()
    write_video(data / "a.mp4", frames=17, lift=40)
    write_video(data / "b.mp4", frames=17, lift=50)
    write_still(data / "c.png", np.full((64, 96, 3), 90, np.uint8))
    rows = [("a.mp4", ["One.", "Two."]), ("b.mp4", "Three."), ("c.png", "Four.")]
    lines = [json.dumps({"video": video, "caption": caption}) for video, caption in rows]
    (data / "list.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_every_command_calls_and_counts_them_so(place: Path, run_cli: Run) -> None:
    def told(*line: str) -> str:
        done = run_cli(*line, cwd=place)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "3 clips in 10 bucket assignments" in told("index", "data", *OPTIONS)
    encoded = told(*ENCODE)
    assert "10 bucket assignments = 10 complete + 0 failed" in encoded
    assert "2 bucket assignments of still images: not made of them: image_latents" in encoded
    status = told("status", "store")
    assert "store, 10 bucket assignments of index.parquet: all is done" in status
    assert "image_latents: 2 bucket assignments without, as planned" in status
    shown = told("preview", "store", "--without-vae", "--clips", "3")
    assert "3 of 10 bucket assignments: the frames chosen" in shown
    stills = "2 bucket assignments of still images"
    apart = told("export", "store", "--to", "webdataset", "-o", "tar")
    assert "10 bucket assignments for webdataset" in apart
    assert "4 of 10 bucket assignments have several captions, and all are written" in apart
    assert "/1x64" not in apart, "the command shows the largest group, no still image"
    configured = told("export", "store", "--to", "hf-datasets", "-o", "parquet")
    assert "9x64x64" in configured.rpartition("train with:")[2]
    factory = told("export", "store", "--to", "cogvideox-factory", "-o", "factory")
    assert f"note: {stills} not exported" in factory
    media = told("export", "store", "--to", "media", "-o", "media")
    assert "10 bucket assignments as media" in media
    assert "note: bucket assignments without sound: 8" in media

    spec = DatasetSpec.from_path(place / "data", caption_journal=FOLDER)
    spec.journal.append("review", [Decision(spec.caption_states()[1].clip, "drop")])
    left = told("status", "store", "data", *OPTIONS)
    gone = [line for line in left.splitlines() if line.startswith("gone ")]
    named = "gone b.mp4 (list.jsonl:2"
    assert gone == [f"{named})"] + [f"{named}, clip {number})" for number in (1, 2, 3)]
    assert "dropped b.mp4" in left
    assert "store, 6 bucket assignments of data: all is done" in left
