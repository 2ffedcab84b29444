"""Mochi 1: `AutoencoderKLMochi` and T5-XXL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.families.component import VIDEO_LATENTS, Component, prompt_embeds
from videoprep.families.contract import TextEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import factor_of, list_of, statistics_of
from videoprep.families.moments import draw, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256
"""Captions are cut to this many tokens. Padding is masked."""


class WithoutEmptyPrompts(TextEncoder):
    """A text encoder whose embeddings of the empty caption are none.

    Args:
        encoder: gives those of other captions.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.limit = encoder.limit
        self._encoder = encoder

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        made = self._encoder.encode(captions)
        return [
            embeds if caption else embeds[:0]
            for caption, embeds in zip(captions, made, strict=True)
        ]

    def count_tokens(self, caption: str) -> int:
        return self._encoder.count_tokens(caption)


class Mochi(T5Family):
    """Mochi 1, text-to-video."""

    name = "mochi"
    published = "genmo/mochi-1-preview"
    profile = Profile(
        "mochi",
        divisor=16,
        frame_rules=(FrameRule(6, 1),),
        latent_channels=12,
        components=(prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS),
        fps=30,
        num_frames=163,
        models="Mochi 1",
        stills=True,
        caption_style=(
            "A few detailed sentences in one paragraph: the subject and its appearance, its motion "
            "step by step, the surroundings and the light, and how the camera moves."
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLMochi"
    masked = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "MochiPipeline"

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        fields = super().identity(model, component)
        if self.component(model, component).part == "text_encoder" and masks_empty_prompts(model):
            return {**fields, "empty_prompt": "no tokens"}
        return fields

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        spatial, temporal = (
            math.prod(list_of(model, "vae", f"{which}_expansions"))
            for which in ("spatial", "temporal")
        )
        return spatial, temporal

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = self.channels(model)
        names = ("latents_mean", "latents_std")
        statistics = {name: statistics_of(model, "vae", name, channels) for name in names}
        return {**statistics, "scaling_factor": factor_of(model, "vae", "scaling_factor")}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), "prompt_tokens": MAX_TOKENS}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized, and scaled: ``[B, C, F', H', W']``."""
        latents = draw(moments, facts, generator)
        scaled = standardize(latents, facts["latents_mean"], facts["latents_std"])
        factor: float = facts["scaling_factor"]
        return scaled * factor

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        encoder = super().load_text_encoder(model, part, device, dtype, eight_bit=eight_bit)
        return WithoutEmptyPrompts(encoder) if masks_empty_prompts(model) else encoder


def masks_empty_prompts(model: ModelFolder) -> bool:
    """Return whether the pipeline hides all tokens of an empty prompt from the transformer."""
    return bool(model.index.get("force_zeros_for_empty_prompt", False))


FAMILY = Mochi()
