"""Which token a local model says next: the same for a question, whatever shares its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoprep.errors import ModelError

if TYPE_CHECKING:
    import torch

REPETITION_PENALTY = 1.05
"""Keeps greedy answers from running in circles. Only what was answered counts as said."""


class FiniteScores:
    """Refuses scores that are no numbers, from which any nonsense would follow."""

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores.

        Raises:
            ModelError: There is one that is none.
        """
        if scores.isnan().any():
            dtype = str(scores.dtype).removeprefix("torch.")
            raise ModelError(
                f"the model overflows in {dtype}",
                remedy="use `dtype='bf16'` or `dtype='fp32'`",
                option="dtype",
            )
        return scores


class SeededChoice:
    """Draws tokens by their probabilities, each question from random numbers of its own.

    The largest of scores to which Gumbel noise was added is a draw by their probabilities. So the
    model goes on as if it were greedy, and no question takes the random numbers of another.

    Args:
        temperature: above 0; the higher, the more even the probabilities.
        seeds: one a question.
    """

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        import torch

        self._temperature = temperature
        self._random = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, of which the largest is the token drawn."""
        import torch

        noise = torch.stack(
            [
                -torch.empty(scores.shape[-1]).exponential_(generator=random).log()
                for random in self._random
            ]
        )
        return scores.float() / self._temperature + noise.to(scores.device)
