"""Interlaced and HDR videos are encoded as they are, and this is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import videoprep as vp
from tests.conftest import need
from tests.support.assets import write_lists, write_video

Run = Callable[..., subprocess.CompletedProcess[str]]

_FIELDS = ("-c:v", "libx264", "-flags", "+ilme+ildct", "-x264opts", "tff=1")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One plain clip, one that is listed twice and interlaced, one PQ, one interlaced and HLG."""
    root = tmp_path / "my videos"
    for number, name in enumerate(("plain", "fields", "pq", "both")):
        write_video(root / f"{name}.mp4", lift=20 * number)
    _convert(root / "fields.mp4", *_FIELDS)
    _convert(root / "pq.mp4", "-c", "copy", "-bsf:v", "h264_metadata=transfer_characteristics=16")
    _convert(root / "both.mp4", *_FIELDS, "-color_trc", "arib-std-b67")
    # Interlaced as well, but skipped: it has too few frames.
    write_video(root / "short.mp4", frames=2)
    _convert(root / "short.mp4", *_FIELDS)
    names = ("plain", "fields", "fields", "pq", "both", "short")
    write_lists(root, [f"caption {n}" for n in range(6)], [f"{name}.mp4" for name in names])
    return root


def _convert(video: Path, *how: str) -> None:
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    made = video.with_suffix(".new.mp4")
    subprocess.run(["ffmpeg", "-v", "error", "-i", video, *how, made], check=True)
    made.replace(video)


_SAID = "2 videos are interlaced (VP115) and 2 videos are HDR (VP116), and are encoded as they are"
_OPTIONS = ("--reshape", "center-crop", "--buckets", "9x64x96")


def test_index_and_encode_say_it(
    run_cli: Run, mixed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    done = run_cli("index", mixed.name, *_OPTIONS)
    command = f"videoprep validate '{mixed.name}' {' '.join(_OPTIONS[:2])} --buckets 9x64x96"
    assert f"note {_SAID}: see `{command}`" in done.stdout.splitlines(), done.stdout + done.stderr
    encode = ("-o", "store", "--model", tiny_model, "--device", "cpu")
    done = run_cli("encode", "index.parquet", *encode)
    lines = [line for line in done.stdout.splitlines() if line.startswith(f"note {_SAID}: see ")]
    assert len(lines) == 1, done.stdout + done.stderr
    assert f"videoprep validate '{mixed}'" in lines[0]
    done = run_cli("encode", "index.parquet", *encode, "--output-format", "json")
    assert json.loads(done.stdout)["as_they_are"] == {"VP115": 2, "VP116": 2}


def test_only_planned_videos_count_and_none_says_nothing(
    run_cli: Run, mixed: Path, tmp_path: Path
) -> None:
    index = vp.BucketIndex.build(mixed, reshape="center-crop", buckets=("9x64x96",))
    assert len(index.left_out) == 1
    assert index.as_they_are == {"VP115": 2, "VP116": 2}
    is_hdr = np.array([name == "pq.mp4" for name in index.table["video"].to_pylist()])
    assert index.filter(is_hdr).as_they_are == {"VP116": 1}
    index.save(tmp_path / "saved.parquet")
    loaded = vp.BucketIndex.load(tmp_path / "saved.parquet")
    assert loaded.as_they_are == {}
    assert loaded.check_sources().as_they_are == index.as_they_are
    write_lists(mixed, ["a plain one"], ["plain.mp4"])
    done = run_cli("index", mixed, *_OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "written: index.parquet" in done.stdout
    assert "as they are" not in done.stdout
    assert "as it is" not in done.stdout
