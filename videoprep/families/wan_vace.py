"""Wan VACE: control media in two parts, what a mask generates and what it gives; references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from videoprep.families.component import (
    MASKED_CONTROL,
    MASKS,
    PLACED_REFERENCE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import ClipContext, VideoEncoder
from videoprep.families.masks import luma
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import MOMENTS
from videoprep.families.vae import PlacedVae
from videoprep.families.wan import MAX_TOKENS, Wan

if TYPE_CHECKING:
    import torch

# From here on a mask is white.
_WHITE = 0.5

INACTIVE = ComponentSpec(
    name="inactive_control_latents",
    source=MASKED_CONTROL,
    part="vae",
    posterior=MOMENTS,
    own_encoder=True,
)
"""Of the control where the mask is black: what is given. The rest is 0, a mid grey."""
REACTIVE = replace(INACTIVE, name="reactive_control_latents")
"""Of the control where the mask is white: what is generated. The rest is 0, a mid grey."""
VACE_MASK = ComponentSpec(name="vace_mask", source=MASKS, part="vae", own_encoder=True, channels=64)
"""The mask's pixels of each latent pixel, as channels."""


class PartialVae(VideoEncoder):
    """The VAE, of one part of the pixels. The rest is 0, a mid grey.

    Args:
        vae: the VAE.
        generated: whether the part is where the mask is white, and not where it is black.
    """

    def __init__(self, vae: VideoEncoder, *, generated: bool) -> None:
        self._vae, self._generated = vae, generated

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.encode_clips(pixels, [ClipContext()] * len(pixels))

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        """Return moments; a clip without a mask is generated as a whole."""
        import torch

        everything = pixels.new_ones(pixels[0, 0].shape)
        masks = [everything if clip.mask is None else clip.mask for clip in clips]
        white = (torch.stack(masks)[:, None] > _WHITE).to(pixels.dtype)
        return self._vae.encode(pixels * (white if self._generated else 1 - white))

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.save_memory(slicing=slicing, tiling=tiling)


def letterbox(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a picture as large as fits into a size, in the middle of white.

    Args:
        picture: float32 ``[3, h, w]`` in −1…1.
        size: height and width.

    Returns:
        ``[3, H, W]``.
    """
    from torch.nn.functional import interpolate

    height, width = picture.shape[1:]
    scale = min(size[0] / height, size[1] / width)
    rows, columns = int(height * scale), int(width * scale)
    fitted = interpolate(picture[None], size=(rows, columns), mode="bilinear", align_corners=False)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    canvas = picture.new_ones(3, *size)
    canvas[:, top : top + rows, left : left + columns] = fitted[0]
    return canvas


class VaceMask(VideoEncoder):
    """Masks at the resolution of latents: each pixel of a latent pixel is a channel.

    Of several frames that go into a latent frame the nearest one counts, as if latent frames were
    evenly spread over the clip.

    Args:
        spatial: pixels a side of a latent pixel.
        temporal: frames of a latent frame.
    """

    def __init__(self, spatial: int, temporal: int) -> None:
        self._spatial, self._temporal = spatial, temporal

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``[B, side × side, F', H', W']``, from 0 to 1."""
        from torch.nn.functional import interpolate, pixel_unshuffle

        values = ((luma(pixels) + 1) / 2).clamp(0, 1)
        blocks = pixel_unshuffle(values[:, :, None], self._spatial).transpose(1, 2)
        frames = -(-blocks.shape[2] // self._temporal)
        return interpolate(blocks, size=(frames, *blocks.shape[3:]), mode="nearest-exact")

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """See `VideoEncoder`: there is nothing to save."""


class WanVace(Wan):
    """Wan 2.1 and 2.2 VACE: control media with masks, and references."""

    name = "wan-vace"
    published = "Wan-AI/Wan2.1-VACE-1.3B-diffusers"
    profile = replace(
        Wan.profile,
        name="wan-vace",
        models="Wan 2.1 VACE, Wan 2.2 VACE-Fun",
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            VIDEO_LATENTS,
            INACTIVE,
            REACTIVE,
            PLACED_REFERENCE_LATENTS,
            VACE_MASK,
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    pipelines = ("WanVACEPipeline",)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if component == VACE_MASK.name:
            spatial, temporal = self.compression(model)
            return {"pixels_a_side": spatial, "frames_each": temporal, "frame": "nearest-exact"}
        own = super().identity(model, component)
        if component == PLACED_REFERENCE_LATENTS.name:
            return {**own, "placed": "bilinear, on white"}
        if component in (INACTIVE.name, REACTIVE.name):
            return {**own, "masked_from": _WHITE, "given": component == INACTIVE.name}
        return own

    def shape(
        self, model: ModelFolder, component: Component, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        if component != VACE_MASK.name:
            return super().shape(model, component, frames, height, width)
        side, temporal = self.compression(model)
        return side * side, -(-frames // temporal), height // side, width // side

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.declared == VACE_MASK.name:
            return VaceMask(*self.compression(model))
        vae = super().load_frame_encoder(model, component, device, dtype, tiling=tiling)
        if component.declared in (INACTIVE.name, REACTIVE.name):
            return PartialVae(vae, generated=component.declared == REACTIVE.name)
        return (
            PlacedVae(vae, letterbox)
            if component.declared == PLACED_REFERENCE_LATENTS.name
            else vae
        )


FAMILY = WanVace()
