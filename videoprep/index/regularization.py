"""Clips for regularization among those of an epoch, in the share that is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.presence import ComponentPresence
from videoprep.index.streams import Bucketed


@runtime_checkable
class RegularizedItems(Protocol):
    """What knows which of its items are for regularization: `BucketIndex`, `LatentDataset`."""

    @property
    def has_regularization(self) -> bool:
        """Whether some are."""

    def draws(self, regularization: float) -> NDArray[np.float64]:
        """Return how often each item comes in an epoch, with so many for each other one."""


def with_regularization(data: Bucketed, share: float) -> Bucketed:
    """Return data of which clips for regularization come, too.

    Args:
        data: what is sampled.
        share: how many of them for each other clip of an epoch; 0 gives the data as they are.

    Raises:
        PlanError: the share is illegal, or there are no such clips.
    """
    if isinstance(share, bool) or not (math.isfinite(share) and share >= 0):
        raise PlanError(
            f"regularization is {share}",
            remedy="give how many clips for regularization come for each other one, such as 0.5",
        )
    if not share:
        return data
    if isinstance(data, RegularizedItems) and data.has_regularization:
        return _Regularized(data, data, float(share))
    raise PlanError(
        "there are no clips for regularization",
        remedy="give a dataset of several `role: regularization`, and let its clips be among the "
        "data; or leave `regularization` out",
    )


def regularized_digest(digest: str, share: float) -> str:
    """Return what stands for data with so many clips for regularization; 0 changes nothing."""
    if not share:
        return digest
    text = f"{digest} regularization {float(share)!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Regularized:
    """Data with other multiplicities."""

    data: Bucketed
    items: RegularizedItems
    share: float

    @property
    def buckets(self) -> Sequence[Bucket]:
        return self.data.buckets

    @property
    def multiplicity(self) -> NDArray[np.float64]:
        return self.items.draws(self.share)

    @property
    def digest(self) -> str:
        return regularized_digest(self.data.digest, self.share)

    @property
    def presence(self) -> ComponentPresence | None:
        return getattr(self.data, "presence", None)

    @property
    def caption_counts(self) -> NDArray[np.int64] | None:
        return getattr(self.data, "caption_counts", None)

    def latent_tokens(self, bucket: Bucket) -> int:
        count: int = self.data.latent_tokens(bucket)  # type: ignore[attr-defined]
        return count
