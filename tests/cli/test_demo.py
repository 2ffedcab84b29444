"""The demo: the main job from nothing to a LoRA, offline."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import videoprep as vp
from tools.demo_model.reconstruction import decode
from videoprep.media.clip import load_clip, normalize
from videoprep.previewing.reconstruct import psnr

Run = Callable[..., object]


def test_demo_and_its_rerun(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--steps", "2")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "videoprep-demo"
    for path in (
        "dataset/videos/00011.mp4",
        "latents/catalogue.parquet",
        "preview.png",
        "report.html",
    ):
        assert (made / path).exists()
    assert (made / "lora/pytorch_lora_weights.safetensors").exists()
    assert "12 clips = 12 complete + 0 failed · 0 of 12 samples skipped" in done.stdout
    assert "videoprep encode" in done.stdout
    assert "videoprep-demo/preview.png" in done.stdout
    assert "videoprep-demo/report.html" in done.stdout
    again = run_cli("demo", "--steps", "1")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout
    _require_pictures(made)


def _require_pictures(made: Path) -> None:
    """The latents decode to what the videos show: a clip of each bucket is looked at."""
    values = []
    clips = list(vp.BucketIndex.load(made / "index.parquet").clips())
    data = vp.LatentDataset(made / "latents")
    assert len(data) == len(clips) == 12
    for number in (0, 3, 7, 11):
        item, clip = data[number], clips[number]
        assert item["metadata"]["video"] == clip.video
        pixels = normalize(load_clip(clip.pixels)).permute(1, 0, 2, 3)[None]
        decoded = decode(made / "model", item["video_latents"].float()[None])
        values.append(psnr(pixels, decoded))
    assert statistics.median(values) >= 22


def test_demo_on_a_dataset_of_ones_own(run_cli: Run, tmp_path: Path, real_clips: Path) -> None:
    done = run_cli("demo", "--data", real_clips, "--steps", "2", "-o", "made")
    assert done.returncode == 0, done.stderr
    assert "VP101 size-not-divisible error" in done.stdout
    assert "8 clips = 8 complete + 0 failed · 0 of 8 samples skipped" in done.stdout
    assert (tmp_path / "made/of-real-clips/lora/pytorch_lora_weights.safetensors").exists()


def test_demo_without_a_dataset(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--data", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "no such file or folder" in done.stderr
    assert "Traceback" not in done.stderr
