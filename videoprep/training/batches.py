"""Batches of one bucket, from a store, with captions left out now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from videoprep.families.component import Component
from videoprep.index.sampler import BucketBatchSampler
from videoprep.store.dataset import LatentDataset

# How much is read ahead at once: so many batches, or so many bytes.
_AHEAD = 8
_AHEAD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of one bucket.

    Attributes:
        tensors: by component, ``[B, …]``.
        videos: their sources, for messages.
    """

    tensors: Mapping[str, torch.Tensor]
    videos: Sequence[str]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def to(self, device: torch.device) -> Mapping[str, torch.Tensor]:
        """Its tensors on a device."""
        return {name: tensor.to(device) for name, tensor in self.tensors.items()}


@dataclass(frozen=True, slots=True)
class Collate:
    """Stacks the tensors of one bucket's clips: those that all of them have, and the loss mask.

    What some do without, such as latents of a control, is nothing that this trainer learns from.

    Attributes:
        loss_mask: the component whose masks weigh the loss, if any does. A clip without one counts
            as a whole: its mask is 1 everywhere.
    """

    loss_mask: Component | None = None

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> Batch:
        """Return the batch."""
        tensors: dict[str, torch.Tensor] = {
            name: torch.stack([item[name] for item in items])
            for name, first in items[0].items()
            if isinstance(first, torch.Tensor) and all(name in item for item in items)
        }
        tensors |= self._masks(items)
        return Batch(tensors, [item["metadata"]["video"] for item in items])

    def _masks(self, items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        name = self.loss_mask
        if name is None or (one := next((i[name] for i in items if name in i), None)) is None:
            return {}
        ones = torch.ones_like(one)
        return {name: torch.stack([item.get(name, ones) for item in items])}


@dataclass(slots=True)
class Batches:
    """Batches without end, one epoch after the other; goes on where it was.

    Attributes:
        data: the clips: a `LatentDataset`, or one that encodes them as they are asked for.
        sampler: which go together.
        workers: processes that read ahead.
        loss_mask: see `Collate`.
    """

    data: Any
    sampler: BucketBatchSampler
    workers: int = 0
    loss_mask: Component | None = None
    _loader: Any = field(init=False)

    def __post_init__(self) -> None:
        loader: Any = DataLoader(
            self.data,
            batch_sampler=self.sampler,
            collate_fn=Collate(self.loss_mask),
            num_workers=self.workers,
        )
        # Workers read ahead by themselves. What is encoded as it is asked for is not made while
        # the step needs the memory.
        if not self.workers and isinstance(self.data, LatentDataset):
            loader = _ReadAhead(loader)
        self._loader = self.sampler.count(loader)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self._loader


@dataclass(frozen=True, slots=True)
class _ReadAhead:
    """Reads the next batches in a thread while the last ones are trained on."""

    loader: DataLoader[Batch]

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as reader:
            batches = iter(self.loader)
            ahead = reader.submit(_next_ones, batches)
            while some := ahead.result():
                ahead = reader.submit(_next_ones, batches)
                yield from some


def _next_ones(batches: Iterator[Batch]) -> Sequence[Batch]:
    """A few small batches or a large one; none at the end.

    Together they cost little more than one alone: in between, the step takes the processor's caches
    for itself.
    """
    some: list[Batch] = []
    while len(some) < _AHEAD and sum(batch.size for batch in some) < _AHEAD_BYTES:
        batch = next(batches, None)
        if batch is None:
            break
        some.append(batch)
    return some


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
