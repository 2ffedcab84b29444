"""The objective: positions, images and weights as diffusers and the papers have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.models import FORMS, build
from videoprep.families.model_folder import ModelFolder
from videoprep.training.cogvideox import Objective, load_objective, rotary, sample_latents

FACTS = {"scaling_factor": 0.7, "posterior": "moments", "latent_channels": 16}


def batch(frames: int = 3, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {
        "video_latents": torch.randn(2, 32, frames, 8, 12, generator=draws),
        "prompt_embeds": torch.randn(2, 226, 32, generator=draws),
        "image_latents": torch.randn(2, 32, 1, 8, 12, generator=draws),
        **more,
    }


class Recorder(torch.nn.Module):
    """In the place of the transformer: keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Any] = {}

    def forward(self, **given: Any) -> tuple[torch.Tensor]:
        self.given = given
        channels = given["hidden_states"].shape[2]
        return (given["hidden_states"][:, :, : min(channels, 16)],)


@pytest.mark.parametrize("form", ["5b", "1.5"])
@pytest.mark.parametrize(("frames", "height", "width"), [(3, 8, 12), (5, 8, 8), (4, 6, 10)])
def test_rotary_positions_are_the_pipelines(
    form: str, frames: int, height: int, width: int, tiny_model: Path, tmp_path: Path
) -> None:
    from diffusers import CogVideoXPipeline

    model = build(tiny_model, tmp_path / "model", form)
    pipeline = CogVideoXPipeline.from_pretrained(str(model))
    theirs = pipeline._prepare_rotary_positional_embeddings(
        height * 8, width * 8, frames, torch.device("cpu")
    )
    ours = rotary(pipeline.transformer.config, torch.zeros(1, frames, 16, height, width))
    for one, their in zip(ours, theirs, strict=True):
        assert torch.equal(one, their)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_a_loss(form: str, tiny_model: Path, tmp_path: Path) -> None:
    from diffusers import CogVideoXTransformer3DModel

    model = build(tiny_model, tmp_path / "model", form)
    objective = load_objective(ModelFolder(model, "tiny"), FACTS)
    transformer = CogVideoXTransformer3DModel.from_pretrained(str(model / "transformer"))
    frames = 5  # of 17, as the learned positions of 5b-i2v want
    loss = objective.loss(transformer, batch(frames), torch.Generator().manual_seed(1))
    loss.backward()
    assert loss.isfinite()
    assert all(w.grad is not None for w in transformer.parameters() if w.requires_grad)


def test_an_image_comes_first_and_is_followed_by_zeros(tiny_model: Path, tmp_path: Path) -> None:
    model = build(tiny_model, tmp_path / "model", "1.5-i2v")
    for inverted in (False, True):
        facts = {**FACTS, "invert_scale_latents": inverted}
        objective = load_objective(ModelFolder(model, "tiny"), facts, image_dropout=0.0)
        recorder, given = Recorder(), batch(3)
        objective.loss(recorder, given, torch.Generator().manual_seed(1))
        hidden = recorder.given["hidden_states"]
        assert hidden.shape == (2, 4, 32, 8, 12)  # three frames begin with a copy
        image = hidden[:, :, 16:]
        assert torch.equal(image[:, 0], image[:, 1])
        assert not image[:, 2:].any()
        factor = 1 / 0.7 if inverted else 0.7
        mean, log_variance = given["image_latents"][:, :, 0].chunk(2, dim=1)
        noise = (image[:, 0] / factor - mean) / (log_variance / 2).exp()
        assert 0.9 < noise.std() < 1.1
        assert recorder.given["ofs"].tolist() == [2.0]


def test_images_are_left_out_at_times(tiny_model: Path, tmp_path: Path) -> None:
    model = build(tiny_model, tmp_path / "model", "5b-i2v")
    objective = load_objective(ModelFolder(model, "tiny"), FACTS, image_dropout=0.25)
    recorder, without = Recorder(), 0
    for seed in range(200):
        objective.loss(recorder, batch(5), torch.Generator().manual_seed(seed))
        image = recorder.given["hidden_states"][:, 0, 16:]
        without += sum(not one.any() for one in image)
    assert 70 < without < 130  # of 400
    never = replace(objective, image_dropout=0.0)
    never.loss(recorder, batch(5), torch.Generator().manual_seed(0))
    assert recorder.given["hidden_states"][:, 0, 16:].any()


def test_one_of_several_noisy_first_frames(tiny_model: Path, tmp_path: Path) -> None:
    model = build(tiny_model, tmp_path / "model", "5b-i2v")
    objective = load_objective(ModelFolder(model, "tiny"), FACTS, image_dropout=0.0)
    draws = torch.arange(3.0).view(1, 3, 1, 1, 1, 1).expand(2, 3, 32, 1, 8, 12).clone()
    draws[:, :, 16:] = -60.0  # no variance
    recorder = Recorder()
    seen = set()
    for seed in range(20):
        given = batch(5, noisy_image_latents=draws)
        objective.loss(recorder, given, torch.Generator().manual_seed(seed))
        seen |= {round(v / 0.7) for v in recorder.given["hidden_states"][:, 0, 16, 0, 0].tolist()}
    assert seen == {0, 1, 2}


def test_min_snr_weights(tiny_model: Path) -> None:
    plain = load_objective(ModelFolder(tiny_model, "tiny"), FACTS)
    weighted = load_objective(ModelFolder(tiny_model, "tiny"), FACTS, min_snr=5.0)
    transformer = Recorder()
    for timestep in (10, 500, 999):
        timesteps = torch.tensor([timestep] * 2)
        losses = [
            one.loss(transformer, batch(), torch.Generator().manual_seed(1), timesteps)
            for one in (plain, weighted)
        ]
        signal = plain.scheduler.alphas_cumprod[timestep].item()
        ratio = signal / (1 - signal)
        assert losses[1].item() == pytest.approx(
            losses[0].item() * min(ratio, 5) / (ratio + 1), rel=1e-4, abs=1e-9
        )


def test_epsilon_is_what_an_epsilon_scheduler_predicts(tiny_model: Path) -> None:
    objective = load_objective(ModelFolder(tiny_model, "tiny"), FACTS)
    scheduler = type(objective.scheduler).from_config(
        {**objective.scheduler.config, "prediction_type": "epsilon"}
    )
    given, timesteps = batch(), torch.tensor([300, 300])
    generator = torch.Generator().manual_seed(3)
    latents = sample_latents(given["video_latents"], "moments", 0.7, generator)
    noise = torch.randn(latents.shape, generator=generator)
    recorder = Recorder()
    loss = Objective(scheduler, {"in_channels": 16}, FACTS).loss(
        recorder, given, torch.Generator().manual_seed(3), timesteps
    )
    expected = (recorder.given["hidden_states"] - noise).pow(2).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
