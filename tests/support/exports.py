"""What the tests of exporters share: where a store is, and what is to be read of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import videoprep as vp
from videoprep.exporters.folder import NAMES
from videoprep.families.moments import draw, mode
from videoprep.families.registry import families


def store_of(data: vp.LatentDataset) -> Path:
    return Path(data._location)


def names_of(out: Path) -> list[str]:
    """The stems of the clips, in order."""
    lines = (out / NAMES).read_text().splitlines()
    return [json.loads(line)["name"] for line in lines]


def mean_of(data: vp.LatentDataset, item: dict[str, Any], component: str) -> torch.Tensor:
    """Unscaled ``[C, …]``."""
    return mode(item[component][None], data.info.facts)[0]


def transformed(data: vp.LatentDataset, unscaled: torch.Tensor) -> torch.Tensor:
    """As the family's transformer takes it."""
    facts = {**data.info.facts, "posterior": "mean"}
    return families()[data.info.family].to_transformer(unscaled[None], facts)[0]


def require_draws(
    data: vp.LatentDataset, item: dict[str, Any], draws: Sequence[torch.Tensor]
) -> None:
    """Unscaled draws are of the item's posterior, the first two by one seed, the third by another.

    Standardized, the differences to the mean are a normal distribution's.
    """
    first, again, other = draws
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    moments = item["video_latents"][None].float()
    mean, log_variance = moments.chunk(2, dim=1)
    noise = (first.float() - mean[0]) / (0.5 * log_variance[0]).exp()
    assert abs(noise.mean().item()) < 5 / noise.numel() ** 0.5
    assert 0.8 < noise.std().item() < 1.2
    assert not torch.equal(first, draw(moments, data.info.facts, torch.Generator())[0])
