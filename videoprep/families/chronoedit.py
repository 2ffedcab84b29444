"""ChronoEdit: Wan's image-to-video for the editing of pictures; the last frame is the result."""

from __future__ import annotations

from dataclasses import replace

from videoprep.families.component import CONDITION_LATENTS, VIDEO_LATENTS, prompt_embeds
from videoprep.families.wan import IMAGE_EMBEDS, MAX_TOKENS, Wan


class ChronoEdit(Wan):
    """ChronoEdit: from a picture to the edited one, by frames between, or by five frames."""

    name = "chronoedit"
    published = "nvidia/ChronoEdit-14B-Diffusers"
    profile = replace(
        Wan.profile,
        name="chronoedit",
        models="ChronoEdit",
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            replace(IMAGE_EMBEDS, asked_by="image_latents"),
            VIDEO_LATENTS,
            CONDITION_LATENTS,
        ),
    )
    pipelines = ("ChronoEditPipeline",)


FAMILY = ChronoEdit()
