"""The posterior that an encoder gives, and latents from stored moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

# The bounds that diffusers' DiagonalGaussianDistribution puts on the log variance.
_LOG_VARIANCE = (-30.0, 20.0)
# What diffusers' OobleckDiagonalGaussianDistribution adds to the softplus of the scale.
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True, slots=True)
class PosteriorForm:
    """What an encoder gives of the posterior over latents, along the channels."""

    name: str
    """What recipes call it."""
    says: str
    """What it is, in words."""
    spread: Literal["log variance", "log deviation", "softplus scale"] | None
    """What follows the mean; None: nothing does, so that there is nothing to draw from."""

    @property
    def tensors(self) -> int:
        """How many channels there are for each channel of a latent."""
        return 1 if self.spread is None else 2


MOMENTS = PosteriorForm("moments", "mean and log variance along channels, unscaled", "log variance")
TWO_HEADS = PosteriorForm(
    "two_heads", "mean and log standard deviation along channels, unscaled", "log deviation"
)
SOFTPLUS = PosteriorForm(
    "softplus",
    "mean and scale along channels, unscaled; the deviation is softplus(scale) + 0.0001",
    "softplus scale",
)
MODE = PosteriorForm("mode", "the latents alone, unscaled", None)

POSTERIOR_FORMS: Mapping[str, PosteriorForm] = {
    one.name: one for one in (MOMENTS, TWO_HEADS, SOFTPLUS, MODE)
}
"""Every form, by name."""


def posterior_of(
    moments: torch.Tensor, form: PosteriorForm = MOMENTS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, float32 ``[B, C, …]`` each, of moments ``[B, 2 × C, …]``.

    Args:
        moments: of a form that has a spread.
        form: what the second half is.
    """
    import torch

    mean, spread = moments.float().chunk(2, dim=1)
    if form.spread == "log deviation":
        return mean, torch.exp(spread)
    if form.spread == "softplus scale":
        return mean, torch.nn.functional.softplus(spread) + _LEAST_DEVIATION
    return mean, torch.exp(0.5 * spread.clamp(*_LOG_VARIANCE))


def draw(
    stored: torch.Tensor,
    facts: Mapping[str, Any],
    generator: torch.Generator | None,
    form: PosteriorForm = MOMENTS,
) -> torch.Tensor:
    """A sample of the posterior, unscaled float32 ``[B, C, F', H', W']``.

    Args:
        stored: moments ``[B, 2 × C, F', H', W']``; where the facts say that only the mean or a
            sample was stored, or the form has no spread, ``[B, C, F', H', W']``, of which nothing
            is drawn.
        facts: the store's.
        generator: on the CPU, so that every device draws the same numbers.
        form: what the component's encoder gives of the posterior.
    """
    import torch

    if form.spread is None or facts.get("posterior", "moments") != "moments":
        return stored.float()
    mean, deviation = posterior_of(stored, form)
    return mean + deviation * torch.randn(mean.shape, generator=generator).to(mean.device)


def mode(
    stored: torch.Tensor, facts: Mapping[str, Any], form: PosteriorForm = MOMENTS
) -> torch.Tensor:
    """The mean of the posterior, unscaled float32 ``[B, C, F', H', W']``; see `draw`."""
    if form.spread is None or facts.get("posterior", "moments") != "moments":
        return stored.float()
    return stored.float().chunk(2, dim=1)[0]


def standardize(
    latents: torch.Tensor,
    mean: Sequence[float],
    deviation: Sequence[float],
    *,
    divided: bool = False,
) -> torch.Tensor:
    """``(latents − mean) / deviation``, each a value a channel.

    Args:
        latents: ``[B, C, F', H', W']``.
        mean: of each channel.
        deviation: of each channel.
        divided: whether the pipeline divides by it. Most multiply by its reciprocal, which gives
            other bits.
    """
    import torch

    shape = (1, -1, 1, 1, 1)
    center, spread = (
        torch.tensor(values, device=latents.device).view(shape) for values in (mean, deviation)
    )
    centered = latents - center
    return centered / spread if divided else centered * (1.0 / spread)
