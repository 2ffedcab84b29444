"""Prompt embeddings as targets take them: stored without the padding that is masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videoprep.exporters.contract import Origin
from videoprep.families.registry import families

if TYPE_CHECKING:
    import torch


def padded(embeds: torch.Tensor, origin: Origin) -> tuple[torch.Tensor, torch.Tensor]:
    """With zeros up to the family's limit ``[limit, features]``, and a mask ``[limit]``, bool."""
    import torch

    limit = families()[origin.info.family].max_tokens
    mask = torch.arange(limit) < len(embeds)
    return torch.nn.functional.pad(embeds, (0, 0, 0, limit - len(embeds))), mask
