"""HunyuanVideo-FramePack: HunyuanVideo that sees its first frame by SigLIP, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from videoprep.families.component import (
    IMAGE_LATENTS,
    LAST_IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    Condition,
    prompt_embeds,
)
from videoprep.families.contract import VideoEncoder
from videoprep.families.hunyuan_video import MAX_TOKENS, POOLED_EMBEDS, HunyuanVideo
from videoprep.families.model_folder import ModelFolder
from videoprep.families.siglip import (
    PART,
    PROCESSOR,
    SIGLIP_EMBEDS,
    load_siglip,
    require_siglip,
    siglip_identity,
    siglip_shape,
)

if TYPE_CHECKING:
    import torch

_FIRST_OR_LAST: tuple[Condition, ...] = ("image_latents", "last_frame")
# Latent frames of a section.
_WINDOW = 9


class HunyuanVideoFramepack(HunyuanVideo):
    """HunyuanVideo-FramePack: first frame, or first and last frame, to video."""

    pipeline = "HunyuanVideoFramepackPipeline"
    name = "hunyuan-video-framepack"
    published = None
    profile = replace(
        HunyuanVideo.profile,
        name="hunyuan-video-framepack",
        models="HunyuanVideo-FramePack",
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            POOLED_EMBEDS,
            replace(SIGLIP_EMBEDS, asked_by=_FIRST_OR_LAST),
            VIDEO_LATENTS,
            replace(IMAGE_LATENTS, asked_by=_FIRST_OR_LAST),
            LAST_IMAGE_LATENTS,
        ),
        fps=30,
        stills=False,
    )
    parts = (*HunyuanVideo.parts, PART, PROCESSOR)

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        self.require_class(model, PART, "SiglipVisionModel")
        require_siglip(model)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if self.component(model, component).part == PART:
            return siglip_identity(model, fractions=True)
        return super().identity(model, component)

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        facts = super().facts(model)
        return {**facts, "image_posterior": "sample", "window_latent_frames": _WINDOW}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if self.component(model, component).part == PART:
            return siglip_shape(model)
        return super().embeds_shape(model, component)

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.part == PART:
            return load_siglip(model, device, dtype, fractions=True)
        return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)


FAMILY = HunyuanVideoFramepack()
