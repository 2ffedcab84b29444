"""LTX-Video 0.9: `AutoencoderKLLTXVideo` and T5-XXL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.component import (
    IMAGE_LATENTS,
    LAST_IMAGE_LATENTS,
    VIDEO_LATENTS,
    prompt_embeds,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, factor_of, list_of, require_statistics
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256
"""Captions are padded and cut to this many tokens.

T5 sees the padding, so that its number counts; the transformer is told to leave it out.
"""

_STATISTICS = ("latents_mean", "latents_std")
_PIPELINES = ("LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline")


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

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = self.channels(model)
        factor = factor_of(model, "vae", "scaling_factor")
        return {"scaling_factor": factor, **_statistics(model, channels)}

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
        """From 0.9.1 on the decoder is told how noisy the latents are: not at all."""
        import torch

        timed = bool(vae.config.timestep_conditioning)
        noise = torch.zeros(len(latents), device=latents.device, dtype=latents.dtype)
        decoded: torch.Tensor = vae.decode(latents, noise if timed else None).sample
        return decoded

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized and scaled tokens ``[B, F' × H' × W', C]``."""
        import torch

        mean, deviation = (torch.tensor(facts[name]).view(1, -1, 1, 1, 1) for name in _STATISTICS)
        latents = draw(moments, facts, generator)
        # In the order of the pipeline, which decides the last bit.
        scaled: torch.Tensor = (
            (latents - mean.to(latents)) * facts["scaling_factor"] / deviation.to(latents)
        )
        return scaled.permute(0, 2, 3, 4, 1).flatten(1, 3)


def _statistics(model: ModelFolder, channels: int) -> Mapping[str, list[float]]:
    """Mean and deviation of each channel, which lie among the VAE's weights.

    Raises:
        ModelError: they do not, or are none.
    """
    from safetensors import safe_open

    found: dict[str, list[float]] = {}
    for path in model.weights("vae"):
        with safe_open(path, framework="pt") as weights:
            names = set(weights.keys())
            for name in filter(names.__contains__, _STATISTICS):
                found[name] = weights.get_tensor(name).float().tolist()
    if len(found) < len(_STATISTICS):
        raise ModelError(
            "the VAE's weights lack latents_mean and latents_std",
            where=str(model.path / "vae"),
            remedy="download the model again",
        )
    return {
        name: require_statistics(model, "vae", name, values, channels)
        for name, values in found.items()
    }


FAMILY = LTXVideo()
