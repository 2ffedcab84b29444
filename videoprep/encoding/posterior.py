"""What of the VAE's posterior is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Posterior = Literal["moments", "mean", "sample"]
"""``moments``: mean and log variance; ``mean``; ``sample``: one draw, fixed by the artifact."""

# The bounds that diffusers' DiagonalGaussianDistribution puts on the log variance.
_LOG_VARIANCE = (-30.0, 20.0)
_SEED_DIGITS = 15


def reduce_moments(
    moments: torch.Tensor, posterior: Posterior, keys: Sequence[str]
) -> torch.Tensor:
    """What is stored of a batch's moments.

    Args:
        moments: unscaled ``[B, 2 × C, F', H', W']``, mean first and log variance after.
        posterior: what is stored.
        keys: the artifacts' names, which seed the draws: another run, rank or machine draws the
            same.

    Returns:
        ``[B, 2 × C, F', H', W']`` for ``moments``, else ``[B, C, F', H', W']``, unscaled.
    """
    import torch

    if posterior == "moments":
        return moments
    mean, log_variance = moments.chunk(2, dim=1)
    if posterior == "mean":
        return mean.contiguous()
    deviation = torch.exp(0.5 * log_variance.float().clamp(*_LOG_VARIANCE))
    noise = torch.stack([_noise(mean.shape[1:], key) for key in keys]).to(mean.device)
    return (mean.float() + deviation * noise).to(mean.dtype)


def _noise(shape: Sequence[int], key: str) -> torch.Tensor:
    """Standard normal numbers, drawn on the CPU so that every device gets the same."""
    import torch

    generator = torch.Generator().manual_seed(int(key[:_SEED_DIGITS], 16))
    return torch.randn(tuple(shape), generator=generator)
