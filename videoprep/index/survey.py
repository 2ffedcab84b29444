"""Buckets for a dataset: listed, or chosen from the sizes of its own videos."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from videoprep.errors import MediaError
from videoprep.index.auto_buckets import Shapes, choose_buckets
from videoprep.index.placement import available_frames, barred, picture_size
from videoprep.index.policy import CROPS, Policy
from videoprep.media.inspect import DEFAULT_LIMITS, inspect_all
from videoprep.spec.sample import Sample
from videoprep.workers.pool import Limits


def resolve(
    policy: Policy,
    root: Path,
    samples: Iterable[Sample],
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_file: Callable[[], None] | None = None,
) -> Policy:
    """Chooses the buckets where they are to be chosen: opens every video for that.

    What it finds out is kept, so that planning opens none of them again.
    """
    if not policy.auto:
        return policy
    buckets = choose_buckets(
        _shapes(policy, root, tuple(samples), limits, on_file),
        policy.profile,
        max_pixels=policy.max_pixels,
        max_frames=policy.max_num_frames,
        frame_counts=policy.frame_counts,
        number=policy.num_buckets,
        crops=policy.reshape in CROPS,
        enlarges=policy.allow_upscale,
        min_kept=policy.min_kept,
    )
    return policy.with_buckets(buckets)


def _shapes(
    policy: Policy,
    root: Path,
    samples: tuple[Sample, ...],
    limits: Limits,
    on_file: Callable[[], None] | None,
) -> Shapes:
    widths, heights, frames = array("i"), array("i"), array("i")
    inspected = inspect_all(root, (sample.path for sample in samples), limits=limits)
    for sample, found in zip(samples, inspected, strict=True):
        media = found.shared
        if (
            not isinstance(media, MediaError)
            and barred(media, policy) is None
            and (available := available_frames(media, policy, sample.extras))
        ):
            width, height = picture_size(media, policy)
            widths.append(width)
            heights.append(height)
            frames.append(available)
        if on_file is not None:
            on_file()
    columns = (np.asarray(column, dtype=np.int64) for column in (widths, heights, frames))
    return Shapes.of(*columns)
