"""LTX-Video 0.9: `AutoencoderKLLTXVideo` and T5-XXL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from videoprep.families.component import (
    IMAGE_LATENTS,
    LAST_IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    prompt_embeds,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import buffers_of, count_of, factor_of, list_of
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family
from videoprep.families.vae import decode_clean

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256
"""The most tokens that a pipeline pads and cuts captions to."""

STATISTICS = ("latents_mean", "latents_std")


@dataclass(frozen=True, slots=True)
class _TextSettings:
    """How a pipeline gives captions to T5. The transformer is always told what is padding."""

    max_tokens: int
    """Captions are padded and cut to this many. Where T5 sees the padding, its number counts."""
    masked: bool
    """Whether T5 is told which tokens are padding."""


_PIPELINES: Mapping[str, _TextSettings] = {
    "LTXPipeline": _TextSettings(128, masked=False),
    "LTXImageToVideoPipeline": _TextSettings(128, masked=False),
    "LTXConditionPipeline": _TextSettings(MAX_TOKENS, masked=True),
}


class LTXVideo(T5Family):
    """LTX-Video 0.9, text-to-video and image-to-video."""

    name = "ltx-video"
    published = "Lightricks/LTX-Video"
    profile = Profile(
        "ltx-video",
        divisor=32,
        frame_rules=(FrameRule(8, 1),),
        compression=32,
        patch=1,
        latent_channels=128,
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            VIDEO_LATENTS,
            replace(IMAGE_LATENTS, asked_by=("image_latents", "last_frame")),
            LAST_IMAGE_LATENTS,
        ),
        fps=25,
        num_frames=161,
        models="LTX-Video 0.9",
        prominence=1,
        stills=True,
        caption_style=(
            "One flowing paragraph in the order of time, literal and precise, as a cinematographer "
            "tells a shot: the main action in the first sentence, then movements and gestures, "
            "what subjects look like, the background, the angle and movement of the camera, and "
            "light and colours."
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLLTXVideo"
    masked = False
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def token_limit(self, model: ModelFolder) -> int:
        return _text_of(model).max_tokens

    def masks_padding(self, model: ModelFolder) -> bool:
        return _text_of(model).masked

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        found = super().identity(model, component)
        if self.component(model, component).posterior is not None:
            return found
        text = _text_of(model)
        return {**found, "max_tokens": text.max_tokens, "attention_mask": text.masked}

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = self.channels(model)
        factor = factor_of(model, "vae", "scaling_factor")
        return {"scaling_factor": factor, **buffers_of(model, "vae", STATISTICS, channels)}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        halvings = sum(map(bool, list_of(model, "vae", "spatio_temporal_scaling")))
        spatial, temporal = (
            # Which newer configs name, and others leave to follow from the layers.
            count_of(model, "vae", f"{which}_compression_ratio")
            if model.config("vae").get(f"{which}_compression_ratio")
            else count_of(model, "vae", patch) * 2**halvings
            for which, patch in (("spatial", "patch_size"), ("temporal", "patch_size_t"))
        )
        return spatial, temporal

    def decode(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        return decode_clean(vae, latents)

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized and scaled tokens ``[B, F' × H' × W', C]``."""
        import torch

        mean, deviation = (torch.tensor(facts[name]).view(1, -1, 1, 1, 1) for name in STATISTICS)
        latents = draw(moments, facts, generator)
        # In the order of the pipeline, which decides the last bit.
        scaled: torch.Tensor = (
            (latents - mean.to(latents)) * facts["scaling_factor"] / deviation.to(latents)
        )
        return scaled.permute(0, 2, 3, 4, 1).flatten(1, 3)


def _text_of(model: ModelFolder) -> _TextSettings:
    """Those of the pipeline that the model folder names."""
    return _PIPELINES[str(model.index["_class_name"])]


FAMILY = LTXVideo()
