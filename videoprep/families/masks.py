"""Masks at the resolution of a family's latents. No part of the model is read for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.component import ComponentSpec, whole_clips
from videoprep.families.contract import Family, VideoEncoder
from videoprep.families.model_folder import ModelFolder

if TYPE_CHECKING:
    import torch

_RED, _BLUE = 0.299, 0.114


class MaskEncoder(VideoEncoder):
    """Averages masks over what one latent stands for: its pixels, and its group of frames.

    Args:
        family: says what a latent stands for.
        model: likewise.
    """

    def __init__(self, family: Family, model: ModelFolder) -> None:
        self._family, self._model = family, model

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return masks ``[B, 1, F', H', W']``, from 0 to 1.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in 0…1, of which the luma counts.
        """
        import torch
        from torch.nn.functional import adaptive_avg_pool2d

        frames, height, width = pixels.shape[2:]
        _, _, rows, columns = mask_shape(self._family, self._model, frames, height, width)
        groups = groups_of(self._family, self._model, frames)
        small = adaptive_avg_pool2d(luma(pixels), (rows, columns))
        parts = torch.split(small, groups, dim=1)
        return torch.stack([part.mean(dim=1) for part in parts], dim=1)[:, None]

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """See `VideoEncoder`: there is nothing to save."""


def luma(pixels: torch.Tensor) -> torch.Tensor:
    """Return Rec. 601's, exactly the value of a grey pixel.

    Args:
        pixels: ``[B, 3, F, H, W]``, on any scale.

    Returns:
        ``[B, F, H, W]``.
    """
    red, green, blue = pixels.unbind(dim=1)
    return green + _RED * (red - green) + _BLUE * (blue - green)


def groups_of(family: Family, model: ModelFolder, frames: int) -> list[int]:
    """Return how many frames go into each latent frame.

    Raises:
        ModelError: the family, which a plugin may have brought, groups other frames than there are.
    """
    groups = list(family.frame_groups(model, frames))
    if sum(groups) != frames or min(groups) < 1:
        raise ModelError(
            f"the family {family.name!r} groups {frames} frames as {groups}",
            where=str(model.path),
            remedy="fix its `frame_groups`: each group has one frame at least, all have each once",
        )
    return groups


def mask_shape(
    family: Family, model: ModelFolder, frames: int, height: int, width: int
) -> tuple[int, int, int, int]:
    """Shape of the mask of a clip: that of its latents, with one channel."""
    latents = whole_clips(family.components(model))
    assert latents is not None  # noqa: S101 (there is no mask otherwise)
    _, count, rows, columns = family.shape(model, latents.name, frames, height, width)
    return 1, count, rows, columns


def shape_of(
    family: Family, model: ModelFolder, spec: ComponentSpec, frames: int, height: int, width: int
) -> tuple[int, ...]:
    """Return the shape of what is made of a component, also of what a dataset's roles bring.

    Args:
        family: the model's.
        model: its folder.
        spec: the component.
        frames: of the clip, or samples of sound.
        height: of the clip, in pixels.
        width: likewise.
    """
    if not spec.part:
        return mask_shape(family, model, frames, height, width)
    return family.shape(model, spec.declared, frames, height, width)


def identity_of(family: Family, model: ModelFolder, spec: ComponentSpec) -> Mapping[str, Any]:
    """Return all that decides an artifact besides what it is made from, the options and the dtype.

    Of a mask that is what a latent stands for, whatever the weights are.
    """
    if spec.part:
        return family.identity(model, spec.declared)
    side = family.profile.divisor
    # Two steps of each rule show all that there is to its groups.
    counts = {str(rule): 2 * rule.step + rule.offset for rule in family.profile.frame_rules}
    latent_side = mask_shape(family, model, max(counts.values()), side, side)[-1]
    return {
        "pixels_a_side": side // latent_side,
        "frame_groups": {rule: groups_of(family, model, n) for rule, n in counts.items()},
    }
