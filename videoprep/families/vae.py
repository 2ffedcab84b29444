"""Any of diffusers' video autoencoders, its moments unscaled."""

from __future__ import annotations

import copy
import importlib
from typing import TYPE_CHECKING, Any

from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder

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
            pixels = pixels.to(vae.device, vae.dtype)
            moments: torch.Tensor = vae.encode(pixels).latent_dist.parameters
        return moments

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.use_slicing = slicing
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
    """Loads the ``vae`` of a model folder as diffusers' class of that name."""
    kind = getattr(importlib.import_module("diffusers"), name)
    vae = kind.from_pretrained(str(model.path / "vae"), torch_dtype=dtype, use_safetensors=True)
    if tiling:
        vae.enable_tiling()
    return Vae(vae.to(device).eval(), keeps_state=keeps_state)
