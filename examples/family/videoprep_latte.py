"""Latte as a family of videoprep: all that a family takes is in this one file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from videoprep.families.component import VIDEO_LATENTS, prompt_embeds
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import factor_of, list_of
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 120


class FrameByFrame(VideoEncoder):
    """A VAE of pictures, which encodes each frame of a clip for itself.

    Args:
        vae: takes one frame a clip.
    """

    def __init__(self, vae: VideoEncoder) -> None:
        self._vae = vae

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        frames = pixels.transpose(1, 2).flatten(0, 1)  # [B × F, 3, H, W]
        moments = self._vae.encode(frames)
        return _clips(moments, len(pixels))

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.save_memory(slicing=slicing, tiling=tiling)


class Latte(T5Family):
    """Latte, text-to-video: Stable Diffusion's VAE and T5-XXL, whose padding is left out."""

    name = "latte"
    profile = Profile(
        "latte",
        divisor=16,
        frame_rules=(FrameRule(1, 0),),  # any number of frames, each of which is a latent frame
        latent_channels=4,
        components=(prompt_embeds(MAX_TOKENS, 4096), VIDEO_LATENTS),
        fps=8,
        num_frames=16,
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKL"
    masked = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        """By the pipeline's class."""
        return model.index.get("_class_name") == "LattePipeline"

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        """From the VAE's config: 8 pixels a side; it knows no time."""
        return 2 ** (len(list_of(model, "vae", "block_out_channels")) - 1), 1

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        """A factor."""
        return {"scaling_factor": factor_of(model, "vae", "scaling_factor")}

    @cached_property
    def _pipeline(self) -> Any:
        from diffusers import LattePipeline

        parts = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
        return LattePipeline(**dict.fromkeys(parts))

    def clean(self, caption: str) -> str:
        """As the pipeline does: thoroughly if Beautiful Soup and ftfy are installed."""
        cleaned: str = self._pipeline._text_preprocessing(caption, clean_caption=True)[0]
        return cleaned

    def text_settings(self, part: str) -> Mapping[str, Any]:
        """All that decides embeddings besides the encoder, and so how captions are cleaned."""
        from diffusers.utils import is_bs4_available, is_ftfy_available

        thorough = is_bs4_available() and is_ftfy_available()
        cleaned = "thoroughly" if thorough else "lower case"
        return {**super().text_settings(part), "cleaned": cleaned}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled ``[B, C, F, H', W']``."""
        factor: float = facts["scaling_factor"]
        return draw(moments, facts, generator) * factor

    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        """The VAE, frame by frame."""
        return FrameByFrame(super().load_video_encoder(model, device, dtype, tiling=tiling))

    def decode(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        """What the VAE makes of unscaled latents, frame by frame, for previews."""
        frames: torch.Tensor = vae.decode(latents.transpose(1, 2).flatten(0, 1)).sample
        return _clips(frames, len(latents))


def _clips(frames: torch.Tensor, batch: int) -> torch.Tensor:
    """``[B × F, C, H, W]`` as ``[B, C, F, H, W]``."""
    return frames.reshape(batch, -1, *frames.shape[1:]).transpose(1, 2)


FAMILY = Latte()
