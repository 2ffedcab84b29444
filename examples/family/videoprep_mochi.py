"""Mochi 1 as a family of videoprep: all that a family takes is in this one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoprep.families.component import IMAGE_LATENTS, VIDEO_LATENTS, prompt_embeds
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import factor_of, list_of, statistics_of
from videoprep.families.moments import draw, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256


class Mochi(T5Family):
    """Mochi 1, text-to-video: `AutoencoderKLMochi` and T5-XXL, whose padding is masked."""

    name = "mochi"
    profile = Profile(
        "mochi",
        divisor=16,
        frame_rules=(FrameRule(6, 1),),
        latent_channels=12,
        components=(prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS, IMAGE_LATENTS),
        fps=30,
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLMochi"
    masked = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        """By the pipeline's class."""
        return model.index.get("_class_name") == "MochiPipeline"

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        """From the VAE's config: 8 pixels a side, 6 frames."""
        spatial, temporal = (
            math.prod(list_of(model, "vae", f"{which}_expansions"))
            for which in ("spatial", "temporal")
        )
        return spatial, temporal

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        """Mean and deviation of each channel, and a factor."""
        channels = self.channels(model)
        names = ("latents_mean", "latents_std")
        statistics = {name: statistics_of(model, "vae", name, channels) for name in names}
        return {**statistics, "scaling_factor": factor_of(model, "vae", "scaling_factor")}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized ``[B, C, F', H', W']``."""
        latents = draw(moments, facts, generator)
        scaled = standardize(latents, facts["latents_mean"], facts["latents_std"])
        factor: float = facts["scaling_factor"]
        return scaled * factor


FAMILY = Mochi()
