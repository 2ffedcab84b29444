"""Wan 2.2 TI2V-5B: as Wan, but its VAE takes patches, and its condition is one frame alone."""

from __future__ import annotations

from dataclasses import replace

from videoprep.families.component import (
    CONTROL_LATENTS,
    IMAGE_LATENTS,
    REFERENCE_LATENTS,
    VIDEO_LATENTS,
    prompt_embeds,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.wan import MAX_TOKENS, Wan, has_patches


class Wan22TI2V5B(Wan):
    """Wan 2.2 TI2V-5B: the first frame's latent replaces the first of the video's."""

    name = "wan2.2-ti2v-5b"
    published = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
    profile = replace(
        Wan.profile,
        name="wan2.2-ti2v-5b",
        divisor=32,
        compression=16,
        latent_channels=48,
        fps=24,
        num_frames=121,
        models="Wan 2.2 TI2V-5B",
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            VIDEO_LATENTS,
            IMAGE_LATENTS,
            CONTROL_LATENTS,
            REFERENCE_LATENTS,
        ),
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return self.is_pipeline(model) and has_patches(model)


FAMILY = Wan22TI2V5B()
