"""What an encoder gives of the posterior over latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


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
