"""Wan 2.2 TI2V-5B: as Wan, but its VAE takes patches, and its condition is one frame alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from videoprep.families.component import Component
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.wan import Wan, has_patches, is_wan


class Wan22TI2V5B(Wan):
    """Wan 2.2 TI2V-5B: the first frame's latent replaces the first of the video's."""

    name = "wan2.2-ti2v-5b"
    profile = replace(
        Wan.profile,
        name="wan2.2-ti2v-5b",
        divisor=32,
        compression=16,
        latent_channels=48,
        fps=24,
        condition="image_latents",
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return is_wan(model) and has_patches(model)

    def encoders(self, model: ModelFolder) -> Mapping[Component, str]:
        return DiffusersFamily.encoders(self, model)


FAMILY = Wan22TI2V5B()
