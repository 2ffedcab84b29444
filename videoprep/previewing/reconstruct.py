"""From stored latents back to pixels, by the VAE of the store's own family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videoprep.device import choose_device, free_memory, is_out_of_memory
from videoprep.errors import ModelError, StoreError, VideoprepError
from videoprep.families.component import Component, ComponentSpec, Source, roles_read
from videoprep.families.contract import Family, VideoDecoder
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.moments import MOMENTS, PosteriorForm, mode
from videoprep.families.registry import components_of, families, family_of
from videoprep.index.bucket import Bucket
from videoprep.store.layout import StoreInfo

if TYPE_CHECKING:
    import torch

_ALIKE = 1e-10


class NotFiniteError(ValueError):
    """Latents, or what they decode to, hold NaN or infinity."""


class Reconstructor:
    """Decodes what a store holds.

    Args:
        info: of the store.
        decoder: the VAE.
        family: whose it is.
        folder: where it is from.
        device: where it runs.
        other_vae: whether the VAE is another one than made the latents.

    Attributes:
        name: what the model is called.
        tiled: whether memory did not suffice, so that the VAE works in tiles.
        other_vae: whether the VAE is another one than made the latents.
    """

    def __init__(
        self,
        info: StoreInfo,
        decoder: VideoDecoder,
        family: Family,
        folder: ModelFolder,
        device: torch.device,
        *,
        other_vae: bool = False,
    ) -> None:
        self.name = folder.name
        self.other_vae = other_vae
        self.tiled = False
        self._facts = info.facts
        self._specs = _specs(info, family, folder)
        self._decoder = decoder
        self._family = family
        self._folder = folder
        self._device = device

    def shape(self, component: Component, source: Source, bucket: Bucket) -> tuple[int, ...]:
        """Return the shape of what a store holds of a clip: ``(2 × C or C, F', H', W')``."""
        frames = source.length(bucket.frames)
        channels, *rest = self._family.shape(
            self._folder, self._specs[component].declared, frames, bucket.height, bucket.width
        )
        if self._facts.get("posterior", "moments") != "moments":
            channels //= self._form(component).tensors
        return channels, *rest

    def decode(self, stored: torch.Tensor, component: Component) -> torch.Tensor:
        """What the mean of stored latents decodes to, or the sample that was stored.

        Args:
            stored: as in the store: ``[2 × C or C, F', H', W']``.
            component: which one it is of.

        Returns:
            float32 ``[F, 3, H, W]`` from −1 to 1, on the CPU; F may differ from the clip's, see
            `VideoDecoder`.

        Raises:
            NotFiniteError: the latents hold NaN or infinity, or what they decode to does.
            VideoprepError: the device's memory does not suffice, not even in tiles.
        """
        import torch

        if not torch.isfinite(stored.float()).all():
            raise NotFiniteError("the latents hold NaN or infinity")
        latents = mode(stored[None], self._facts, self._form(component))
        decoded = self._within_memory(latents)
        if not torch.isfinite(decoded).all():
            raise NotFiniteError("the latents are finite, but what they decode to is not")
        return decoded[0].permute(1, 0, 2, 3).cpu()

    def _form(self, component: Component) -> PosteriorForm:
        """What the encoder gave of a component that the VAE made."""
        return self._specs[component].posterior or MOMENTS

    def _within_memory(self, latents: torch.Tensor) -> torch.Tensor:
        try:
            return self._decoder.decode(latents)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.tiled:
                raise VideoprepError(
                    "memory does not suffice to decode a clip, not even in tiles",
                    remedy="use `device='cpu'`, or look at the crops alone with `without_vae`",
                ) from error
        # Outside of the handler: the error holds on to what was being computed.
        self.tiled = True
        self._decoder.save_memory(tiling=True)
        free_memory(self._device)
        return self._within_memory(latents)


def load_reconstructor(
    info: StoreInfo, *, model: str | None = None, revision: str | None = None, device: str = "auto"
) -> Reconstructor:
    """Loads the VAE of a store's model: of all its parts that one alone.

    Args:
        info: of the store.
        model: a diffusers folder or hub id; None: the one that the store was made with.
        revision: the hub's commit.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows. A CPU computes in float32,
            any other device in what the latents were made in.

    Raises:
        ModelError: the model is not to be had, or is of another family than the store.
        StoreError: the store names no family that is known.
    """
    import torch

    folder = _open(info, model, revision)
    family = families().get(info.family)
    if family is None:
        raise StoreError(
            f"it is of the family {info.family!r}, which nobody knows here",
            remedy="install the plugin that brings the family",
        )
    found = family_of(folder)
    if found is not family:
        raise ModelError(
            f"is a model of the family {found.name!r}, and the store of {info.family!r}",
            where=folder.name,
            remedy=f"give `model` the one that made the latents: {info.model}",
            option="model",
        )
    where = choose_device(device)
    latents = next((one for one in info.recipes.values() if one.is_of_vae), None)
    if latents is None:
        raise StoreError(
            "it has no latents",
            where=folder.name,
            remedy="look at the crops alone with `without_vae`",
        )
    fields = latents.fields
    dtype = torch.float32 if where.type == "cpu" else getattr(torch, fields["dtype"])
    spec = _specs(info, family, folder)[latents.component]
    dtype = family.dtype_of(spec.part, dtype)
    decoder = family.load_video_decoder(folder, where, dtype)
    identity = family.identity(folder, spec.declared)
    other = any(fields.get(name) != value for name, value in identity.items())
    return Reconstructor(info, decoder, family, folder, where, other_vae=other)


def _specs(
    info: StoreInfo, family: Family, folder: ModelFolder
) -> Mapping[Component, ComponentSpec]:
    roles = roles_read(recipe.fields for recipe in info.recipes.values())
    return components_of(family, folder, roles)


def _open(info: StoreInfo, model: str | None, revision: str | None) -> ModelFolder:
    name = info.model if model is None else model
    if model is None and revision is None:
        revision = info.revision
    try:
        return open_model(name, ("vae",), revision)
    except ModelError as error:
        if model is not None:
            raise
        raise ModelError(
            f"the model that made the latents is not to be had: {error.message}",
            where=name,
            remedy="say where it is with `model`, or look at the crops alone with `without_vae`",
        ) from error


def psnr(original: torch.Tensor, decoded: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pixels from −1 to 1; 106 where they are equal."""
    error = ((original.double() - decoded.double()) ** 2).mean().item()
    return 10 * math.log10(4 / max(error, _ALIKE))


def to_uint8(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """``[F, 3, H, W]`` from −1 to 1 as uint8 ``[F, H, W, 3]``."""
    import torch

    levels = ((pixels + 1) * 127.5).round().to(torch.uint8)
    array: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().numpy()
    return array
