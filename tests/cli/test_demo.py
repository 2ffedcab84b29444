"""The demo: the main job from nothing to a LoRA, and from films to a store, offline."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

import videoprep as vp
from tools.demo_model.reconstruction import decode
from videoprep.demo.footage import FILMS, DemoFilm, write_film
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


def test_demo_from_footage_and_its_commands_again(run_cli: Run, tmp_path: Path) -> None:
    """What it prints with a dollar sign does the same: then nothing, for all is done."""
    done = run_cli("demo", "--from-footage")
    assert done.returncode == 0, done.stdout + done.stderr
    made = tmp_path / "videoprep-demo/from-footage"
    for path in ("clips/samples.csv", "cuts.html", "latents/catalogue.parquet", "preview.png"):
        assert (made / path).exists()
    assert "2 films, 26.7 s · 4 cuts, 1 dissolve, 2 fades" in done.stdout
    assert "8 samples = 8 captioned + 0 failed + 0 asked before + 0 skipped" in done.stdout
    assert "8 clips = 8 complete + 0 failed · 0 of 8 samples skipped" in done.stdout
    assert "videoprep review videoprep-demo/from-footage/clips" in done.stdout
    _require_captions(made)
    again = {}
    for line in [line for line in done.stdout.splitlines() if line.startswith("$ ")]:
        words = shlex.split(line.partition("videoprep ")[2])
        again[words[0]] = run_cli(*words)
        assert again[words[0]].returncode == 0, f"{line}\n{again[words[0]].stderr}"
    assert [*again] == ["split", "caption", "validate", "index", "encode", "status", "preview"]
    assert "8 samples = 0 captioned + 0 failed + 8 asked before" in again["caption"].stdout
    assert "nothing to do" in again["encode"].stdout


def _require_captions(made: Path) -> None:
    """Most clips are called what they show, in the store as in the journal."""
    shown = {take.scene(film.width, film.height).caption for film in FILMS for take in film.takes}
    data = vp.LatentDataset(made / "latents")
    captions = [data[number]["caption"] for number in range(len(data))]
    assert len(shown & set(captions)) >= 5
    samples = vp.DatasetSpec.from_path(made / "clips").samples()
    assert sorted(captions) == sorted(sample.caption for sample in samples)


def test_demo_from_footage_of_ones_own(run_cli: Run, tmp_path: Path) -> None:
    film = DemoFilm("mine.mp4", 160, 90, FILMS[0].takes[:2])
    write_film(tmp_path / "films" / film.name, film)
    before = (tmp_path / "films/mine.mp4").read_bytes()
    done = run_cli("demo", "--from-footage", "--data", "films", "-o", "made")
    assert done.returncode in (0, 1), done.stderr
    assert "what it says of your films is wrong" in done.stdout
    assert "2 samples = 2 captioned" in done.stdout
    assert (tmp_path / "made/from-films/latents/catalogue.parquet").exists()
    assert (tmp_path / "films/mine.mp4").read_bytes() == before
    assert [path.name for path in (tmp_path / "films").iterdir() if path.suffix] == ["mine.mp4"]


@pytest.mark.parametrize("name", ["nowhere", "empty", "short.mp4"])
def test_demo_without_usable_footage(run_cli: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    write_film(tmp_path / "short.mp4", DemoFilm("short", 160, 90, FILMS[0].takes[3:4]))
    done = run_cli("demo", "--from-footage", "--data", name)
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_flag_is_named(run_cli: Run) -> None:
    done = run_cli("demo", "--from-fotage")
    assert done.returncode == 2
    assert "--from-footage" in done.stderr
