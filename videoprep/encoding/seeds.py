"""Random numbers that belong to an artifact: another run, rank or machine draws the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_DIGITS = 15


def seeded(name: str) -> torch.Generator:
    """A generator on the CPU, so that every device gets the same; ``name`` is hexadecimal."""
    import torch

    return torch.Generator().manual_seed(int(name[:_DIGITS], 16))
