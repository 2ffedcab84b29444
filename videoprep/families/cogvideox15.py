"""CogVideoX 1.5: as CogVideoX, but its transformer takes latent frames in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from videoprep.families.cogvideox import CogVideoX, is_cogvideox, patch_frames
from videoprep.families.model_folder import ModelFolder

if TYPE_CHECKING:
    import torch


class CogVideoX15(CogVideoX):
    """CogVideoX 1.5, text-to-video and image-to-video."""

    name = "cogvideox1.5"
    published = "THUDM/CogVideoX1.5-5B"
    profile = replace(
        CogVideoX.profile,
        name="cogvideox1.5",
        fps=16,
        num_frames=81,
        models="CogVideoX 1.5 5b, 5b-I2V",
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return is_cogvideox(model) and patch_frames(model) is not None

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), "patch_frames": patch_frames(model)}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled ``[B, F', C, H', W']``; an odd number of latent frames begins with a copy."""
        import torch

        latents = super().to_transformer(moments, facts, generator)
        missing = -latents.shape[1] % facts["patch_frames"]
        return torch.cat([latents[:, :missing], latents], dim=1)


FAMILY = CogVideoX15()
