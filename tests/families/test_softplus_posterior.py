"""Sound whose VAE gives a mean and a scale, as AutoencoderOobleck does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.families.test_sound_component import encode, write_films
from tests.support.tiny_sonic import CHANNELS, HOP, SOUND_LATENTS, Oobleck, Sonic, build_sonic
from videoprep.families.component import ComponentSpec
from videoprep.families.contract import SoundEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import SOFTPLUS, draw, mode, posterior_of
from videoprep.families.registry import registry

SPREAD_LATENTS = replace(SOUND_LATENTS, posterior=SOFTPLUS)


class SpreadOobleck(Oobleck):
    """What the VAE gives: the mean and the scale."""

    @torch.inference_mode()
    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = self._vae.encode(samples).latent_dist.parameters
        return given


class SpreadSonic(Sonic):
    """CogVideoX that hears the clip, and keeps the scale."""

    profile = replace(Sonic.profile, components=(*Sonic.profile.components[:2], SPREAD_LATENTS))

    def shape(
        self, model: ModelFolder, component: str, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        if component == SPREAD_LATENTS.name:
            return 2 * CHANNELS, frames // HOP
        return super().shape(model, component, frames, height, width)

    def load_sound_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundEncoder:
        encoder = super().load_sound_encoder(model, component, device, dtype)
        assert isinstance(encoder, Oobleck)
        return SpreadOobleck(encoder._vae)


@pytest.fixture(autouse=True)
def spread(monkeypatch: pytest.MonkeyPatch) -> SpreadSonic:
    family = SpreadSonic()
    monkeypatch.setitem(registry().families, "sonic", family)
    return family


def test_the_deviation_is_that_of_diffusers() -> None:
    from diffusers.models.autoencoders.autoencoder_oobleck import (
        OobleckDiagonalGaussianDistribution,
    )

    given = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0)) * 10
    theirs = OobleckDiagonalGaussianDistribution(given)
    mean, deviation = posterior_of(given, SOFTPLUS)
    assert torch.equal(mean, theirs.mean)
    assert torch.equal(deviation, theirs.std)
    drawn = draw(given, {}, torch.Generator().manual_seed(3), SOFTPLUS)
    assert torch.equal(drawn, theirs.sample(torch.Generator().manual_seed(3)))
    assert torch.equal(mode(given, {}, SOFTPLUS), theirs.mode())


def test_it_is_stored_reduced_and_exported(tiny_model: Path, tmp_path: Path) -> None:
    model = build_sonic(tiny_model, tmp_path / "model")
    dataset = write_films(tmp_path / "data", ("stereo",))
    found = {}
    for posterior in ("moments", "mean", "sample"):
        store = tmp_path / posterior
        assert encode(dataset, model, store, posterior=posterior).ok
        assert vp.verify(store).ok
        data = vp.LatentDataset(store)
        assert data.info.recipes["sound_latents"].posterior_form is SOFTPLUS
        found[posterior] = data[0]["sound_latents"]
    mean, deviation = posterior_of(found["moments"][None], SOFTPLUS)
    assert torch.equal(found["mean"], mean[0].to(found["mean"].dtype))
    away = ((found["sample"].float() - mean[0]) / deviation[0]).abs()
    assert 0 < away.max() < 5
    vp.export(tmp_path / "moments", to="webdataset", output=tmp_path / "tar", posterior="sample")
