"""CogVideoX 2b and 5b: `AutoencoderKLCogVideoX` and T5-XXL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.component import (
    CONTROL_LATENTS,
    IMAGE_LATENTS,
    NOISY_IMAGE_LATENTS,
    VIDEO_LATENTS,
    prompt_embeds,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, factor_of, list_of
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 226
"""Captions are padded and cut to this many tokens, as the model was trained.

Padding tokens attend and are attended to, without a mask, so their embeddings are part of the
result and cannot be left out.
"""


_PIPELINES = (
    "CogVideoXPipeline",
    "CogVideoXImageToVideoPipeline",
    "CogVideoXVideoToVideoPipeline",
    "CogVideoXFunControlPipeline",
)


class CogVideoX(T5Family):
    """CogVideoX 2b and 5b, text-to-video and image-to-video."""

    name = "cogvideox"
    published = "THUDM/CogVideoX-2b"
    profile = Profile(
        "cogvideox",
        divisor=16,
        frame_rules=(FrameRule(4, 0), FrameRule(4, 1)),
        fps=8,
        num_frames=49,
        models="CogVideoX 2b, 5b, 5b-I2V",
        prominence=3,
        stills=True,
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            VIDEO_LATENTS,
            IMAGE_LATENTS,
            NOISY_IMAGE_LATENTS,
            CONTROL_LATENTS,
        ),
        caption_style=(
            "One dense, flowing paragraph of long descriptive sentences: the main subject with its "
            "looks and clothing first, its actions in the order of time, then the surroundings, "
            "the light, the colours and the mood that is stated, and the camera last."
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLCogVideoX"
    masked = False
    keeps_padding = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return is_cogvideox(model) and patch_frames(model) is None

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        inverted = bool(model.config("vae").get("invert_scale_latents", False))
        factor = factor_of(model, "vae", "scaling_factor")
        return {"scaling_factor": factor, "invert_scale_latents": inverted}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        spatial = 2 ** (len(list_of(model, "vae", "block_out_channels")) - 1)
        return spatial, count_of(model, "vae", "temporal_compression_ratio")

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled ``[B, F', C, H', W']``."""
        latents: torch.Tensor = draw(moments, facts, generator) * facts["scaling_factor"]
        return latents.permute(0, 2, 1, 3, 4)


def is_cogvideox(model: ModelFolder) -> bool:
    """Whether the folder's pipeline is one of CogVideoX, of whichever generation."""
    return model.index.get("_class_name") in _PIPELINES


def patch_frames(model: ModelFolder) -> int | None:
    """How many latent frames the transformer takes together, from 1.5 on; None before.

    Raises:
        ModelError: the transformer's config, which tells it, is not in the folder.
    """
    if not (model.path / "transformer" / "config.json").is_file():
        raise ModelError(
            "the model folder lacks transformer/config.json, which tells CogVideoX from 1.5",
            where=str(model.path),
            remedy="put that one file there; the transformer's weights are not read",
        )
    frames = model.config("transformer").get("patch_size_t")
    return None if frames is None else count_of(model, "transformer", "patch_size_t")


FAMILY = CogVideoX()
