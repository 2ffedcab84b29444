"""SkyReels-V2: Wan's VAE and text encoder; conditions by the pipeline of the model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from videoprep.families.component import (
    CONDITION_LATENTS,
    FIRST_LAST_LATENTS,
    IMAGE_LATENTS,
    LAST_IMAGE_LATENTS,
    VIDEO_LATENTS,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.wan import IMAGE_EMBEDS, LAST_IMAGE_EMBEDS, MAX_TOKENS, Wan

_ALWAYS = (prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS)
# Between the frames that are given there are zeros, as for Wan.
_WITH_ZEROS = (IMAGE_EMBEDS, LAST_IMAGE_EMBEDS, CONDITION_LATENTS, FIRST_LAST_LATENTS)
# Diffusion forcing puts the latents of single frames in the place of noise.
_SINGLE = (replace(IMAGE_LATENTS, asked_by=("image_latents", "last_frame")), LAST_IMAGE_LATENTS)

_CONDITIONS: Mapping[str, tuple[ComponentSpec, ...]] = {
    "SkyReelsV2Pipeline": (),
    "SkyReelsV2ImageToVideoPipeline": _WITH_ZEROS,
    "SkyReelsV2DiffusionForcingPipeline": _SINGLE,
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": _SINGLE,
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _SINGLE,
}


class SkyReelsV2(Wan):
    """SkyReels-V2: text-to-video, image-to-video, and diffusion forcing, which does both."""

    name = "skyreels-v2"
    published = "Skywork/SkyReels-V2-DF-14B-720P-Diffusers"
    profile = replace(
        Wan.profile,
        name="skyreels-v2",
        fps=24,
        num_frames=97,
        models="SkyReels-V2",
        components=(*_ALWAYS, *_WITH_ZEROS, *_SINGLE),
    )
    pipelines = tuple(_CONDITIONS)
    vision_class = "CLIPVisionModelWithProjection"

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        possible = (*_ALWAYS, *_CONDITIONS[str(model.index.get("_class_name"))])
        return [one for one in super().components(model) if one in possible]


FAMILY = SkyReelsV2()
