"""CogVideoX with a component of sound: a family that no part of the package knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderOobleck

from tests.support.tiny_parts import copy_as
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import (
    SOUND,
    VIDEO_LATENTS,
    ComponentSpec,
    SoundFormat,
    prompt_embeds,
)
from videoprep.families.contract import SoundEncoder
from videoprep.families.model_folder import ModelFolder

RATE = 16_000
SOUND_LATENTS = ComponentSpec(
    name="sound_latents", source=SOUND, part="audio_vae", sound=SoundFormat(RATE, 2)
)
TOKENS, CHANNELS, HOP = 226, 4, 16


class Oobleck(SoundEncoder):
    """The mean of Stable Audio's VAE."""

    def __init__(self, vae: AutoencoderOobleck) -> None:
        self._vae = vae

    @torch.inference_mode()
    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = self._vae.encode(samples).latent_dist.mode()
        return mean


class Sonic(CogVideoX):
    """CogVideoX that hears the clip."""

    name = "sonic"
    parts = (*CogVideoX.parts, "audio_vae")
    profile = replace(
        CogVideoX.profile,
        name="sonic",
        components=(prompt_embeds(TOKENS, 32), VIDEO_LATENTS, SOUND_LATENTS),
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "SonicPipeline"

    def shape(
        self, model: ModelFolder, component: str, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        if component == SOUND_LATENTS.name:
            return CHANNELS, frames // HOP
        return super().shape(model, component, frames, height, width)

    def identity(self, model: ModelFolder, component: str) -> Mapping[str, Any]:
        if component == SOUND_LATENTS.name:
            return {"class": "AutoencoderOobleck", "audio_vae": model.identity("audio_vae")}
        return super().identity(model, component)

    def load_sound_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundEncoder:
        vae = AutoencoderOobleck.from_pretrained(model.path / component.part, torch_dtype=dtype)
        return Oobleck(vae.to(device).eval())


def build_sonic(tiny_model: Path, folder: Path) -> Path:
    """Make a model of the family from a tiny CogVideoX, and a tiny VAE of sound."""
    copy_as(tiny_model, folder, pipeline="SonicPipeline")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderOobleck(
            encoder_hidden_size=CHANNELS * 2,
            downsampling_ratios=[4, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=CHANNELS,
            audio_channels=2,
            sampling_rate=RATE,
        )
    vae.save_pretrained(folder / "audio_vae")
    return folder
