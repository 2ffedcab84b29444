"""The demo: the main job from nothing to a LoRA, offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., object]


def test_demo_and_its_rerun(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--steps", "4")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "videoprep-demo"
    for path in ("dataset/videos/00011.mp4", "index.parquet", "latents/catalogue.parquet"):
        assert (made / path).exists()
    assert (made / "lora/pytorch_lora_weights.safetensors").exists()
    assert "12 clips = 12 complete + 0 set aside · 0 of 12 samples left out" in done.stdout
    assert "videoprep encode" in done.stdout
    again = run_cli("demo", "--steps", "4")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout


def test_demo_on_a_dataset_of_ones_own(run_cli: Run, tmp_path: Path, real_clips: Path) -> None:
    done = run_cli("demo", "--data", real_clips, "--steps", "2", "-o", "made")
    assert done.returncode == 0, done.stderr
    assert "VP101 size-not-divisible error" in done.stdout
    assert "8 clips = 8 complete + 0 set aside · 0 of 8 samples left out" in done.stdout
    assert (tmp_path / "made/of-real-clips/lora/pytorch_lora_weights.safetensors").exists()


def test_demo_without_a_dataset(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--data", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "no such file or folder" in done.stderr
    assert "Traceback" not in done.stderr
