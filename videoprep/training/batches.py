"""Batches of one bucket, from a store, with captions left out now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from videoprep.families.component import COMPONENTS
from videoprep.index.sampler import BucketBatchSampler


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of one bucket.

    Attributes:
        tensors: by component, ``[B, …]``.
        videos: their sources, for messages.
    """

    tensors: Mapping[str, torch.Tensor]
    videos: Sequence[str]

    def to(self, device: torch.device) -> Mapping[str, torch.Tensor]:
        """Its tensors on a device."""
        return {name: tensor.to(device) for name, tensor in self.tensors.items()}


def collate(items: Sequence[Mapping[str, Any]]) -> Batch:
    """Stacks the tensors of one bucket's clips."""
    names = [name for name in COMPONENTS if name in items[0]]
    tensors: dict[str, torch.Tensor] = {
        name: torch.stack([item[name] for item in items]) for name in names
    }
    return Batch(tensors, [item["metadata"]["video"] for item in items])


@dataclass(slots=True)
class Batches:
    """Batches without end, one epoch after the other; goes on where it was.

    Attributes:
        data: the clips: a `LatentDataset`, or one that encodes them as they are asked for.
        sampler: which go together.
        workers: processes that read ahead.
    """

    data: Any
    sampler: BucketBatchSampler
    workers: int = 0
    _loader: Any = field(init=False)

    def __post_init__(self) -> None:
        loader = DataLoader(
            self.data, batch_sampler=self.sampler, collate_fn=collate, num_workers=self.workers
        )
        self._loader = self.sampler.count(loader)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self._loader


@dataclass(frozen=True, slots=True)
class CaptionDropout:
    """Puts the empty caption in the place of some.

    Attributes:
        share: how often.
        empty: its embeddings, by component.
    """

    share: float
    empty: Mapping[str, torch.Tensor]

    def __call__(
        self, tensors: Mapping[str, torch.Tensor], generator: torch.Generator
    ) -> Mapping[str, torch.Tensor]:
        """The batch, some of whose captions are empty now."""
        if not self.share:
            return tensors
        count = len(tensors["prompt_embeds"])
        dropped = torch.rand(count, generator=generator) < self.share
        changed = dict(tensors)
        for name, empty in self.empty.items():
            mask = dropped.to(changed[name].device).view(-1, *[1] * empty.ndim)
            changed[name] = torch.where(mask, empty.to(changed[name]), changed[name])
        return changed
