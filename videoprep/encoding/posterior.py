"""What of the VAE's posterior is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from videoprep.encoding.seeds import seeded
from videoprep.families.moments import MOMENTS, PosteriorForm, posterior_of

if TYPE_CHECKING:
    import torch

Posterior = Literal["moments", "mean", "sample"]
"""``moments``: mean and log variance; ``mean``; ``sample``: one draw, fixed by the artifact."""


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
