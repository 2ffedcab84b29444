"""Any of diffusers' video autoencoders, its moments unscaled: there and back."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.families.component import MINUS_ONE_TO_ONE, PixelScale
from videoprep.families.contract import ClipContext, VideoDecoder, VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.single_file import SINGLE_FILE, load_single_vae

if TYPE_CHECKING:
    import torch


class Vae(VideoEncoder):
    """An ``AutoencoderKL…`` of diffusers.

    Args:
        vae: the model.
        keeps_state: whether it holds on to what it is at while it encodes, so that two threads
            would disturb each other.
    """

    def __init__(self, vae: Any, *, keeps_state: bool = False) -> None:
        self._vae = vae
        self._keeps_state = keeps_state

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        # A shallow copy shares the weights, and has its own place for the rest.
        vae = copy.copy(self._vae) if self._keeps_state else self._vae
        with torch.inference_mode():
            # Parts of it may be kept in float32, those that see the pixels too.
            weights = next(vae.encoder.parameters())
            pixels = pixels.to(weights.device, weights.dtype)
            encoded = vae.encode(pixels)
        # What has no distribution gives the latents alone.
        moments: torch.Tensor = (
            encoded.latent_dist.parameters if "latent_dist" in encoded else encoded.latent
        )
        return moments

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.use_slicing = slicing
        if tiling:
            self._vae.enable_tiling()
        else:
            self._vae.disable_tiling()


class PlacedVae(VideoEncoder):
    """A VAE of single pictures, each placed into a picture of the clip's size before.

    Args:
        vae: the VAE.
        place: makes of a picture, float32 ``[3, h, w]`` in −1…1, and the clip's height and width
            one of that size.
    """

    def __init__(
        self, vae: VideoEncoder, place: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
    ) -> None:
        self._vae, self._place = vae, place

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._vae.encode(pixels)

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        import torch

        placed = [
            one if clip.size is None else self._place(one, clip.size)
            for one, clip in zip(pixels[:, :, 0], clips, strict=True)
        ]
        return self._vae.encode(torch.stack(placed)[:, :, None])

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.save_memory(slicing=slicing, tiling=tiling)


class VaeDecoder(VideoDecoder):
    """An ``AutoencoderKL…`` of diffusers, from latents to pixels.

    Args:
        vae: the model.
        decode: calls it as the family's pipeline does.
        pixels: what it gives.
    """

    def __init__(
        self,
        vae: Any,
        decode: Callable[[Any, torch.Tensor], torch.Tensor],
        pixels: PixelScale = MINUS_ONE_TO_ONE,
    ) -> None:
        self._vae = vae
        self._decode = decode
        self._pixels = pixels

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            decoded = self._decode(self._vae, latents.to(self._vae.device, self._vae.dtype))
        return self._pixels.unscale(decoded.float()).clamp(-1, 1)  # what is not finite stays so

    def save_memory(self, *, tiling: bool) -> None:
        if tiling:
            self._vae.enable_tiling()
        else:
            self._vae.disable_tiling()


def load_vae(
    name: str,
    model: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    *,
    tiling: bool,
    keeps_state: bool = False,
) -> Vae:
    """Loads the ``vae`` of a model folder as diffusers' class of that name, to encode."""
    vae = _load(name, model, device, dtype)
    if tiling:
        vae.enable_tiling()
    return Vae(vae, keeps_state=keeps_state)


def load_vae_decoder(
    name: str,
    model: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    decode: Callable[[Any, torch.Tensor], torch.Tensor],
    *,
    pixels: PixelScale,
    tiling: bool,
) -> VaeDecoder:
    """Loads the ``vae`` of a model folder as diffusers' class of that name, to decode."""
    vae = _load(name, model, device, dtype)
    if tiling:
        vae.enable_tiling()
    return VaeDecoder(vae, decode, pixels)


def decode_clean(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return what a VAE makes of unscaled latents; one that asks how noisy they are is told: not.

    Those of LTX-Video ask from 0.9.1 on.
    """
    import torch

    timed = bool(vae.config.timestep_conditioning)
    noise = torch.zeros(len(latents), device=latents.device, dtype=latents.dtype)
    decoded: torch.Tensor = vae.decode(latents, noise if timed else None).sample
    return decoded


def _load(name: str, model: ModelFolder, device: torch.device, dtype: torch.dtype) -> Any:
    single = model.path / "vae" / SINGLE_FILE
    if single.is_file():
        return load_single_vae(name, single, single.parent, dtype).to(device).eval()
    kind = getattr(importlib.import_module("diffusers"), name)
    vae = kind.from_pretrained(str(model.path / "vae"), torch_dtype=dtype, use_safetensors=True)
    return vae.to(device).eval()
