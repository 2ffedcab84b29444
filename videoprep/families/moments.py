"""From stored moments to latents. What every family's `to_transformer` begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# The bounds that diffusers' DiagonalGaussianDistribution puts on the log variance.
_LOG_VARIANCE = (-30.0, 20.0)


def posterior_of(moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, float32 ``[B, C, …]`` each, of moments ``[B, 2 × C, …]``."""
    import torch

    mean, log_variance = moments.float().chunk(2, dim=1)
    return mean, torch.exp(0.5 * log_variance.clamp(*_LOG_VARIANCE))


def draw(
    stored: torch.Tensor, facts: Mapping[str, Any], generator: torch.Generator | None
) -> torch.Tensor:
    """A sample of the posterior, unscaled float32 ``[B, C, F', H', W']``.

    Args:
        stored: moments ``[B, 2 × C, F', H', W']``; where the facts say that only the mean or a
            sample was stored, ``[B, C, F', H', W']``, of which nothing is drawn.
        facts: the store's.
        generator: on the CPU, so that every device draws the same numbers.
    """
    import torch

    if facts.get("posterior", "moments") != "moments":
        return stored.float()
    mean, deviation = posterior_of(stored)
    return mean + deviation * torch.randn(mean.shape, generator=generator).to(mean.device)


def mode(stored: torch.Tensor, facts: Mapping[str, Any]) -> torch.Tensor:
    """The mean of the posterior, unscaled float32 ``[B, C, F', H', W']``; see `draw`."""
    if facts.get("posterior", "moments") != "moments":
        return stored.float()
    return stored.float().chunk(2, dim=1)[0]


def standardize(
    latents: torch.Tensor, mean: Sequence[float], deviation: Sequence[float]
) -> torch.Tensor:
    """``(latents − mean) / deviation``, each a value a channel."""
    import torch

    shape = (1, -1, 1, 1, 1)
    center = torch.tensor(mean, device=latents.device).view(shape)
    # Multiplied by the reciprocal, as the pipelines do it, to the bit.
    return (latents - center) * (1.0 / torch.tensor(deviation, device=latents.device).view(shape))
