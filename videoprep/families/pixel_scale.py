"""How an encoder wants pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelScale:
    """Pixels from 0 to 1, minus a mean and divided by a deviation, of red, green and blue."""

    mean: _RGB
    deviation: _RGB

    def scale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels as the encoder wants them.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in 0…1, on any device.
        """
        if self == MINUS_ONE_TO_ONE:
            return 2.0 * pixels - 1.0  # as diffusers' `VideoProcessor`, to the bit
        mean, deviation = self._along(pixels)
        return (pixels - mean) / deviation

    def unscale(self, values: torch.Tensor) -> torch.Tensor:
        """Return what a decoder gives, from −1 to 1: float32 ``[B, 3, F, H, W]``."""
        if self == MINUS_ONE_TO_ONE:
            return values
        mean, deviation = self._along(values)
        return 2.0 * (values * deviation + mean) - 1.0

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What recipes say of it; nothing of −1…1, which is usual."""
        if self == MINUS_ONE_TO_ONE:
            return {}
        return {"pixel_mean": list(self.mean), "pixel_deviation": list(self.deviation)}

    def _along(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, deviation = (
            pixels.new_tensor(values).view(1, 3, 1, 1, 1) for values in (self.mean, self.deviation)
        )
        return mean, deviation


MINUS_ONE_TO_ONE = PixelScale((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
ZERO_TO_ONE = PixelScale((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGENET = PixelScale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
