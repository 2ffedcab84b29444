"""Lucy-Edit: Wan 2.2 TI2V-5B whose control is the video before the edit."""

from __future__ import annotations

from dataclasses import replace

from videoprep.families.component import CONTROL_LATENTS, VIDEO_LATENTS, prompt_embeds
from videoprep.families.model_folder import ModelFolder
from videoprep.families.wan import MAX_TOKENS
from videoprep.families.wan22_ti2v_5b import Wan22TI2V5B


class LucyEdit(Wan22TI2V5B):
    """Lucy-Edit: a video is edited as the caption says."""

    name = "lucy-edit"
    published = "decart-ai/Lucy-Edit-Dev"
    profile = replace(
        Wan22TI2V5B.profile,
        name="lucy-edit",
        num_frames=81,
        models="Lucy-Edit",
        components=(prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS, CONTROL_LATENTS),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    pipelines = ("LucyEditPipeline",)

    def recognizes(self, model: ModelFolder) -> bool:
        return self.is_pipeline(model)


FAMILY = LucyEdit()
