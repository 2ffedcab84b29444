"""Cosmos Predict 2: Wan's VAE and T5-11B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoprep.families.component import IMAGE_LATENTS, VIDEO_LATENTS, prompt_embeds
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import draw, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family
from videoprep.families.wan import FAMILY as WAN

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 512
"""Captions are cut to this many tokens. Padding is masked, and zeros afterwards."""

_PIPELINES = ("Cosmos2VideoToWorldPipeline", "Cosmos2TextToImagePipeline")


class Cosmos2(T5Family):
    """Cosmos Predict 2, from text, images and videos."""

    name = "cosmos2"
    published = "nvidia/Cosmos-Predict2-2B-Video2World"
    profile = Profile(
        "cosmos2",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        components=(prompt_embeds(MAX_TOKENS, 1024), VIDEO_LATENTS, IMAGE_LATENTS),
        fps=16,
        num_frames=93,
        models="Cosmos Predict 2",
        stills=True,
        caption_style=(
            "One long, factual paragraph: the setting first, the objects and their materials, what "
            "moves and how it obeys physics, in the order of time, and what the camera does."
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLWan"
    vae_keeps_state = True
    masked = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        return WAN.compression(model)

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return WAN.scales(model)

    def channels(self, model: ModelFolder) -> int:
        return WAN.channels(model)

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), "prompt_tokens": MAX_TOKENS}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized ``[B, C, F', H', W']``."""
        latents = draw(moments, facts, generator)
        return standardize(latents, facts["latents_mean"], facts["latents_std"], divided=True)


FAMILY = Cosmos2()
