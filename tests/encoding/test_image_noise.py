"""Draws of noise on first frames, as CogVideoX's image-to-video is trained with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.encoding.draws import add_noise, draw_names, reduce_moments
from videoprep.encoding.result import EncodeResult
from videoprep.errors import VideoprepError
from videoprep.media.clip import load_clip, normalize

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    write_video(tmp_path / "data/a.mp4", width=96, height=64, frames=5)
    write_video(tmp_path / "data/b.mp4", width=64, height=96, frames=5, lift=40)
    write_lists(tmp_path / "data", ["One.", "Two."], ["a.mp4", "b.mp4"])
    return tmp_path / "data"


def encode(clips: Path, model: Path, store: Path, **options: object) -> EncodeResult:
    result = vp.encode(clips, model=model, output=store, device="cpu", progress="none", **options)
    assert result is not None
    return result


def test_draws_are_of_noisy_pixels(clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKLCogVideoX

    encode(clips, tiny_model, tmp_path / "store", image_noise=3)
    data = vp.LatentDataset(tmp_path / "store")
    assert data.components == ("video_latents", "noisy_image_latents", "prompt_embeds")
    vae = AutoencoderKLCogVideoX.from_pretrained(str(tiny_model / "vae"))
    index = vp.BucketIndex.load(tmp_path / "store/index.parquet")
    for item, clip, row in zip(data, index.clips(), index.table.to_pylist(), strict=True):
        draws = item["noisy_image_latents"]
        assert draws.shape == (3, 32, 1, clip.bucket.height // 8, clip.bucket.width // 8)
        assert len({draw.numpy().tobytes() for draw in draws}) == 3
        frame = normalize(load_clip(clip.pixels)[:1]).permute(1, 0, 2, 3)[None]
        for number, draw in enumerate(draws):
            noisy = add_noise(frame, draw_names([row["image_key"]], number))
            with torch.no_grad():
                assert torch.equal(vae.encode(noisy).latent_dist.parameters[0], draw)


def test_the_noise_is_of_the_strength_that_training_has() -> None:
    names = draw_names([f"{n:032x}" for n in range(400)], 0)
    noise = add_noise(torch.zeros(400, 3, 1, 16, 16), names)
    strengths = noise.flatten(1).std(dim=1).log()
    assert strengths.mean().item() == pytest.approx(-3.0, abs=0.1)
    assert strengths.std().item() == pytest.approx(0.5, abs=0.08)
    assert noise.mean().item() == pytest.approx(0, abs=0.003)
    again = add_noise(torch.zeros(400, 3, 1, 16, 16), names)
    assert torch.equal(noise, again)


def test_samples_do_not_go_together_with_the_noise() -> None:
    """Both are drawn by names: of the same ones, the sample would be shifted with the pixels."""
    names = draw_names([f"{n:032x}" for n in range(8)], 0)
    assert _most_together(names, draw_names(names, 0)) < 0.2
    assert _most_together(names, names) > 0.4


def _most_together(noise_names: list[str], sample_names: list[str]) -> float:
    """The largest correlation of pixels' noise and posterior draws, a few places apart."""
    noise = add_noise(torch.zeros(8, 3, 1, 16, 16), noise_names).flatten(1)
    zeros = torch.zeros(8, 6, 1, 16, 16)  # mean 0 and deviation 1
    sample = reduce_moments(zeros, "sample", sample_names).flatten(1)
    pairs = [
        torch.stack([own, other.roll(shift)])
        for own, other in zip(noise, sample, strict=True)
        for shift in range(-8, 9)
    ]
    return max(torch.corrcoef(pair)[0, 1].abs().item() for pair in pairs)


def test_draws_are_kept_complete_and_others_made_when_asked_for(
    clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    encode(clips, tiny_model, store, image_noise=2)
    assert encode(clips, tiny_model, store).encoded == 0
    assert encode(clips, tiny_model, store, image_noise=2).encoded == 0
    write_video(clips / "c.mp4", width=96, height=64, frames=5, lift=80)
    write_lists(clips, ["One.", "Two.", "Three."], ["a.mp4", "b.mp4", "c.mp4"])
    added = encode(clips, tiny_model, store)
    assert {name: one.encoded for name, one in added.components.items()} == {
        "video_latents": 1, "noisy_image_latents": 1, "prompt_embeds": 1,
    }  # fmt: skip
    more = encode(clips, tiny_model, store, image_noise=1, image_latents=True)
    assert more.components["noisy_image_latents"].encoded == 3
    assert more.components["image_latents"].encoded == 3
    assert vp.LatentDataset(store)[2]["noisy_image_latents"].shape[0] == 1
    assert vp.status(store, clips).ok


@pytest.mark.slow
def test_from_the_command_line(run_cli: Run, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = ["encode", clips, "--model", tiny_model, "-o", tmp_path / "store", "--device", "cpu"]
    done = run_cli(*command, "--image-latents", "--image-noise", "2")
    assert done.returncode == 0, done.stderr
    assert vp.LatentDataset(tmp_path / "store")[0]["noisy_image_latents"].shape[0] == 2
    done = run_cli(*command, "--image-noise", "-1")
    assert done.returncode == 2


def test_a_negative_number_is_refused(clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoprepError, match=r"`image_noise`: expected .* 0 or more, got -1"):
        encode(clips, tiny_model, tmp_path / "store", image_noise=-1)
    assert not (tmp_path / "store").exists()


def test_repair_makes_draws_anew(clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    encode(clips, tiny_model, store, image_noise=2)
    shard = sorted((store / "noisy_image_latents").rglob("*.safetensors"))[0]
    before = shard.read_bytes()
    shard.unlink()
    assert not vp.verify(store).ok
    vp.verify(store, repair=True, device="cpu")
    assert shard.read_bytes() == before
