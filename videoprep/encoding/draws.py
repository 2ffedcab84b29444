"""What is random in artifacts: draws of the VAE's posterior, and noise on first frames.

All draws belong to an artifact: its key is the seed, so that another run, rank or machine draws the
same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from videoprep.families.moments import MOMENTS, PosteriorForm, posterior_of

if TYPE_CHECKING:
    import torch

Posterior = Literal["moments", "mean", "sample"]
"""``moments``: mean and log variance; ``mean``; ``sample``: one draw, fixed by the artifact."""


NOISE = "pixels + exp(normal(-3, 0.5)) * normal(0, 1)"
"""How noise is put on first frames; part of the recipe.

CogVideoX's image-to-video is trained with it. Training online draws new noise each time an image is
seen. A store holds several draws of each image, among which a trainer chooses.
"""

_DIGITS = 15
_LOG_MEAN, _LOG_DEVIATION = -3.0, 0.5


def seeded(name: str) -> torch.Generator:
    """Return a generator on the CPU, so that every device gets the same.

    Args:
        name: hexadecimal, such as an artifact's key.
    """
    import torch

    return torch.Generator().manual_seed(int(name[:_DIGITS], 16))


def reduce_moments(
    moments: torch.Tensor,
    posterior: Posterior,
    keys: Sequence[str],
    form: PosteriorForm = MOMENTS,
) -> torch.Tensor:
    """What is stored of a batch's moments.

    Args:
        moments: unscaled ``[B, 2 × C, F', H', W']``, the mean first; or ``[B, C, F', H', W']``, of
            which nothing can be taken, if the form has no spread.
        posterior: what is stored.
        keys: the artifacts' names, which seed the draws: another run, rank or machine draws the
            same.
        form: what the encoder gives.

    Returns:
        ``[B, 2 × C, F', H', W']`` for ``moments``, else ``[B, C, F', H', W']``, unscaled.
    """
    import torch

    if posterior == "moments" or form.spread is None:
        return moments
    if posterior == "mean":
        return moments.chunk(2, dim=1)[0].contiguous()
    mean, deviation = posterior_of(moments, form)
    noise = torch.stack([torch.randn(mean.shape[1:], generator=seeded(key)) for key in keys])
    return (mean + deviation * noise.to(mean.device)).to(moments.dtype)


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
