"""Wan Animate: poses, a character in a reference, and the background that it is put into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from videoprep.families.clip import pictures_of
from videoprep.families.component import (
    CONDITION_LATENTS,
    CONTROL_LATENTS,
    MASKS,
    PLACED_REFERENCE_LATENTS,
    REFERENCE_FRAME,
    VIDEO_LATENTS,
    ZERO_TO_ONE,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import VideoEncoder
from videoprep.families.masks import luma
from videoprep.families.model_folder import ModelFolder
from videoprep.families.vae import PlacedVae
from videoprep.families.wan import MAX_TOKENS, Wan

if TYPE_CHECKING:
    import torch

REFERENCE_EMBEDS = ComponentSpec(
    name="reference_image_embeds", source=REFERENCE_FRAME, part="image_encoder", shape=(257, 1280)
)
ANIMATE_MASK = ComponentSpec(
    name="animate_mask", source=MASKS, part="vae", pixels=ZERO_TO_ONE, own_encoder=True, channels=4
)
"""1 where the background is given; a channel for each frame of a latent frame."""


def letterbox(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a picture as large as fits into a size, in the middle of black.

    Args:
        picture: float32 ``[3, h, w]`` in −1…1.
        size: height and width, multiples of 16.

    Returns:
        ``[3, H, W]``.
    """
    from diffusers.pipelines.wan.image_processor import WanAnimateImageProcessor

    processor = WanAnimateImageProcessor(resample="bilinear", fill_color=0)
    (image,) = pictures_of(picture[None, :, None])
    height, width = size
    placed: torch.Tensor = processor.preprocess(
        image, height=height, width=width, resize_mode="fill"
    )
    return placed[0].to(picture.device)


class AnimateMask(VideoEncoder):
    """Masks at the resolution of latents, black turned white: the pixel in the corner counts.

    Args:
        spatial: pixels a side of a latent pixel.
        temporal: frames of a latent frame but the first, which has one.
    """

    def __init__(self, spatial: int, temporal: int) -> None:
        self._spatial, self._temporal = spatial, temporal

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``[B, temporal, F', H', W']``; the first latent frame has one frame four times.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in 0…1.
        """
        import torch
        from torch.nn.functional import interpolate

        height, width = (side // self._spatial for side in pixels.shape[3:])
        given = interpolate(1 - luma(pixels), size=(height, width), mode="nearest")
        first = given[:, :1].repeat_interleave(self._temporal, dim=1)
        frames = torch.cat([first, given[:, 1:]], dim=1)
        return frames.view(len(pixels), -1, self._temporal, height, width).transpose(1, 2)

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """See `VideoEncoder`: there is nothing to save."""


class WanAnimate(Wan):
    """Wan 2.2 Animate: a character that moves as poses say, alone or in a background."""

    name = "wan-animate"
    published = "Wan-AI/Wan2.2-Animate-14B-Diffusers"
    profile = replace(
        Wan.profile,
        name="wan-animate",
        fps=30,
        num_frames=77,
        models="Wan 2.2 Animate",
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            REFERENCE_EMBEDS,
            VIDEO_LATENTS,
            CONDITION_LATENTS,
            CONTROL_LATENTS,
            PLACED_REFERENCE_LATENTS,
            ANIMATE_MASK,
        ),
    )
    pipelines = ("WanAnimatePipeline",)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if component == ANIMATE_MASK.name:
            spatial, temporal = self.compression(model)
            return {"pixels_a_side": spatial, "frames_each": temporal, "pixel": "nearest"}
        own = super().identity(model, component)
        if component == PLACED_REFERENCE_LATENTS.name:
            return {**own, "placed": "PIL bilinear, on black"}
        return own

    def shape(
        self, model: ModelFolder, component: Component, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        if component != ANIMATE_MASK.name:
            return super().shape(model, component, frames, height, width)
        side, temporal = self.compression(model)
        return temporal, self.profile.latent_frames(frames), height // side, width // side

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.declared == ANIMATE_MASK.name:
            return AnimateMask(*self.compression(model))
        encoder = super().load_frame_encoder(model, component, device, dtype, tiling=tiling)
        if component.declared == PLACED_REFERENCE_LATENTS.name:
            return PlacedVae(encoder, letterbox)
        return encoder


FAMILY = WanAnimate()
