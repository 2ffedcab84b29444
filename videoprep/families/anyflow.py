"""AnyFlow: Wan's VAE and text encoder; the frames that are given are the clip's first latents."""

from __future__ import annotations

from dataclasses import replace

from videoprep.families.component import IMAGE_LATENTS, VIDEO_LATENTS, prompt_embeds
from videoprep.families.wan import MAX_TOKENS, Wan


class AnyFlow(Wan):
    """AnyFlow: text-to-video, and on from one frame or several."""

    name = "anyflow"
    published = "nvidia/AnyFlow-FAR-Wan2.1-1.3B-Diffusers"
    profile = replace(
        Wan.profile,
        name="anyflow",
        models="AnyFlow",
        components=(prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS, IMAGE_LATENTS),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    pipelines = ("AnyFlowPipeline", "AnyFlowFARPipeline")


FAMILY = AnyFlow()
