"""The model that is part of the package: small, whole, and its latents decode to pictures."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import REPOSITORY
from tools.demo_model.muon import orthogonalized
from tools.demo_model.natural_scenes import render_clip
from tools.demo_model.reconstruction import reconstruct
from tools.demo_model.train_vae import main, train
from videoprep.demo.tiny_model import trained_captioner, trained_model
from videoprep.families.model_folder import open_model
from videoprep.families.registry import family_of
from videoprep.previewing.reconstruct import psnr

CPU = torch.device("cpu")
MODEL = trained_model()


def _pixels(seed: int, frames: int = 17) -> torch.Tensor:
    clip = render_clip(np.random.default_rng(seed), frames, 64, 96)
    return torch.from_numpy(clip).permute(3, 0, 1, 2)[None] * 2 - 1


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) <= 4_000_000


def test_the_wheel_holds_it_and_not_what_trained_it(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for name in ("videoprep", "tools"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(next((tmp_path / "built").glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert len(files) == 11
    assert {f"videoprep/demo/model/{path.relative_to(MODEL)}" for path in files} <= names
    captioner = [path.name for path in trained_captioner().iterdir()]
    assert {f"videoprep/demo/captioner/{name}" for name in captioner} <= names
    assert not [name for name in names if name.startswith("tools/")]


def test_it_loads_as_any_model() -> None:
    model = open_model(str(MODEL), ("tokenizer", "text_encoder", "vae"))
    family = family_of(model)
    assert family.name == "cogvideox"
    family.check(model)
    moments = family.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(_pixels(0))
    assert tuple(moments.shape) == (1, 32, 5, 8, 12)
    (embeds,) = family.load_text_encoder(
        model, "text_encoder", CPU, torch.float32, eight_bit=False
    ).encode(["a red ball"])
    assert tuple(embeds.shape) == family.shape(model, "prompt_embeds", 17, 64, 96)


def test_its_latents_are_scaled_to_one() -> None:
    model = open_model(str(MODEL), ())
    family = family_of(model)
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    moments = torch.cat([encoder.encode(_pixels(seed)) for seed in range(100, 112)])
    latents = family.to_transformer(moments, family.facts(model), torch.Generator().manual_seed(0))
    assert latents.std().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("frames", [1, 9, pytest.param(17, marks=pytest.mark.slow)])
def test_scenes_it_never_saw_are_recognisable(frames: int) -> None:
    clips = [_pixels(seed, frames) for seed in range(1000, 1007)]
    assert statistics.median(psnr(clip, reconstruct(MODEL, clip)) for clip in clips) >= 24


def test_real_clips_are_recognisable(real_clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--evaluate", str(real_clips)])
    *clips, median = capsys.readouterr().out.splitlines()[2:]
    assert len(clips) == 8
    assert float(median.split("|")[2].removesuffix("dB ")) >= 24


@pytest.mark.slow  # twelve steps of training
def test_the_same_seed_makes_the_same_weights() -> None:
    first, same, other = (_trained(seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(
        torch.equal(first[name], other[name]) for name in first if name.endswith("conv.weight")
    )


def _trained(seed: int) -> dict[str, torch.Tensor]:
    """Weights after a few steps with batches of all shapes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights: dict[str, torch.Tensor] = train(np.random.default_rng(seed), steps=4).state_dict()
    return weights


@pytest.mark.parametrize("shape", [(16, 81), (81, 16)])
def test_steps_of_muon_go_equally_far_in_all_directions(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    matrix *= torch.logspace(0, -1.5, shape[1])
    singular = torch.linalg.svdvals(orthogonalized(matrix))
    assert tuple(orthogonalized(matrix).shape) == shape
    assert singular.min() > 0.3
    assert singular.max() < 1.3


def test_scenes_come_from_their_seed_and_move() -> None:
    clip, same, other = (_pixels(seed) for seed in (5, 5, 6))
    assert torch.equal(clip, same)
    assert not torch.equal(clip, other)
    assert -1 <= clip.min() < clip.max() <= 1
    clips = [_pixels(seed) for seed in range(20)]
    assert sum(not torch.equal(clip[:, :, 0], clip[:, :, 16]) for clip in clips) >= 15
