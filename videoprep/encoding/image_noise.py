"""First frames with noise on their pixels, as CogVideoX's image-to-video is trained with.

Training online draws new noise each time an image is seen. A store holds several draws of each
image, among which a trainer chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoprep.encoding.seeds import seeded

if TYPE_CHECKING:
    import torch

NOISE = "pixels + exp(normal(-3, 0.5)) * normal(0, 1)"
"""How it is made; part of the recipe."""

_LOG_MEAN, _LOG_DEVIATION = -3.0, 0.5


def draw_names(keys: Sequence[str], number: int) -> list[str]:
    """Names of one draw of some images, which seed all that is random in it."""
    return [hashlib.sha256(f"{key} {number}".encode()).hexdigest() for key in keys]


def add_noise(pixels: torch.Tensor, keys: Sequence[str]) -> torch.Tensor:
    """Normalized pixels ``[B, 3, 1, H, W]`` with noise, whose strength differs from image to image.

    Args:
        pixels: float32 in −1…1, on any device.
        keys: from `draw_names`: another run, rank or machine draws the same.
    """
    import torch

    noise = torch.stack([_draw(pixels.shape[1:], key) for key in keys])
    return pixels + noise.to(pixels.device)


def _draw(shape: Sequence[int], key: str) -> torch.Tensor:
    import torch

    generator = seeded(key)
    strength = torch.exp(_LOG_MEAN + _LOG_DEVIATION * torch.randn(1, generator=generator))
    return strength * torch.randn(tuple(shape), generator=generator)
