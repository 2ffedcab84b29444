"""The optimizer Muon, for the kernels of convolutions.

Its steps are momentum made orthogonal (https://kellerjordan.github.io/posts/muon): all directions
of a layer learn equally fast, so that the tiny VAE needs far fewer of them than with AdamW alone.
torch.optim.Muon takes matrices alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

_MOMENTUM = 0.95
# Of the polynomial that drives singular values towards 1, and how often it is applied.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Steps of equal size in all directions.

    Args:
        kernels: ``[out, …]``, each taken as a matrix of as many rows as it has output channels.
        lr: the norm of a step, for a wide matrix.
    """

    def __init__(self, kernels: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(kernels, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Moves every kernel once.

        Args:
            closure: not taken; gradients have to be there.
        """
        del closure
        for group in self.param_groups:
            for kernel in group["params"]:
                state = self.state[kernel]
                momentum = state.setdefault("momentum", torch.zeros_like(kernel))
                momentum.lerp_(kernel.grad, 1 - _MOMENTUM)
                ahead = kernel.grad.lerp(momentum, _MOMENTUM).flatten(1)
                rows, columns = ahead.shape
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                kernel.sub_(orthogonalized(ahead).view_as(kernel), alpha=size)


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """The same directions with singular values of about 1: ``[rows, columns]``, as it came."""
    rows, columns = matrix.shape
    x: torch.Tensor = matrix.T if rows > columns else matrix
    x = x / (x.norm() + 1e-9)
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if rows > columns else x
