"""LTX-Video 0.9: `AutoencoderKLLTXVideo` and T5-XXL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily, value_of
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import draw, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Text, load_encoder, load_tokenizer

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256
"""Captions are padded and cut to this many tokens.

T5 sees the padding, so that its number counts; the transformer is told to leave it out.
"""

_STATISTICS = ("latents_mean", "latents_std")
_PIPELINES = ("LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline")


class LTXVideo(DiffusersFamily):
    """LTX-Video 0.9, text-to-video and image-to-video."""

    name = "ltx-video"
    profile = Profile(
        "ltx-video",
        divisor=32,
        frame_rules=(FrameRule(8, 1),),
        compression=32,
        frames_per_latent=8,
        patch=1,
        latent_channels=128,
        embed_shape=(MAX_TOKENS, 4096),
        fps=25,
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLLTXVideo"
    vae_keys = ("scaling_factor",)
    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "T5EncoderModel"}
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def text_settings(self, part: str) -> Mapping[str, Any]:
        return {"max_tokens": MAX_TOKENS, "attention_mask": False, "padding": "left out"}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), **_statistics(model)}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        config = model.config("vae")
        halvings = sum(map(bool, value_of(model, "vae", "spatio_temporal_scaling")))
        spatial = config.get("spatial_compression_ratio")
        temporal = config.get("temporal_compression_ratio")
        return (
            int(spatial or value_of(model, "vae", "patch_size") * 2**halvings),
            int(temporal or value_of(model, "vae", "patch_size_t") * 2**halvings),
        )

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized and scaled tokens ``[B, F' × H' × W', C]``."""
        latents = draw(moments, facts, generator)
        latents = standardize(latents, facts["latents_mean"], facts["latents_std"])
        scaled: torch.Tensor = latents * facts["scaling_factor"]
        return scaled.permute(0, 2, 3, 4, 1).flatten(1, 3)

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        encoder = load_encoder(
            self.text_classes[part], model, part, device, dtype, eight_bit=eight_bit
        )
        tokenizer = load_tokenizer(model, self.tokenizers[part])
        return T5Text(tokenizer, encoder, MAX_TOKENS, masked=False, keep_padding=False)


def _statistics(model: ModelFolder) -> Mapping[str, list[float]]:
    """Mean and deviation of each channel, which lie among the VAE's weights.

    Raises:
        ModelError: they do not.
    """
    from safetensors import safe_open

    found: dict[str, list[float]] = {}
    for path in model.weights("vae"):
        with safe_open(path, framework="pt") as weights:
            names = set(weights.keys())
            for name in names.intersection(_STATISTICS):
                found[name] = weights.get_tensor(name).float().tolist()
    if len(found) < len(_STATISTICS):
        raise ModelError(
            "the VAE's weights lack latents_mean and latents_std",
            where=str(model.path / "vae"),
            remedy="download the model again",
        )
    return found


FAMILY = LTXVideo()
