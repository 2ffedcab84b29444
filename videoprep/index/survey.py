"""Buckets for a dataset: listed, or chosen from the sizes of its own videos."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from videoprep.errors import MediaError
from videoprep.index.auto_buckets import Shapes, choose_buckets
from videoprep.index.bucket import Bucket
from videoprep.index.placement import available_frames, barred, picture_size
from videoprep.index.policy import CROPS, Policy
from videoprep.media.inspect import DEFAULT_LIMITS, inspect_all
from videoprep.spec.sample import Sample
from videoprep.spec.video_files import is_still_name
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

    What it finds out is kept, so that planning opens none of them again. Whether the dataset has
    still images is told by their names: planning goes through the files once.
    """
    samples = tuple(samples)
    policy = replace(policy, images=any(is_still_name(sample.name) for sample in samples))
    if not policy.auto:
        return policy
    videos, stills = _shapes(policy, root, samples, limits, on_file)
    of_stills = _chosen(policy.of_stills, stills) if policy.profile.stills else ()
    return policy.with_buckets(_chosen(policy.of_videos, videos), of_stills)


def _chosen(policy: Policy, shapes: Shapes) -> tuple[Bucket, ...]:
    return choose_buckets(
        shapes,
        policy.profile,
        max_pixels=policy.max_pixels,
        max_frames=policy.max_num_frames,
        min_frames=policy.shortest,
        frame_counts=policy.frame_counts,
        number=policy.num_buckets,
        crops=policy.reshape in CROPS,
        enlarges=policy.allow_upscale,
        min_kept=policy.min_kept,
    )


def _shapes(
    policy: Policy,
    root: Path,
    samples: tuple[Sample, ...],
    limits: Limits,
    on_file: Callable[[], None] | None,
) -> tuple[Shapes, Shapes]:
    """Those of videos, and those of still images."""
    videos, stills = ([array("i"), array("i"), array("i")] for _ in range(2))
    inspected = inspect_all(root, (sample.path for sample in samples), limits=limits)
    for sample, found in zip(samples, inspected, strict=True):
        media = found.shared
        if (
            not isinstance(media, MediaError)
            and barred(media, policy) is None
            and (available := available_frames(media, policy, sample.extras))
        ):
            shape = (*picture_size(media, policy), available)
            for column, value in zip(stills if media.is_still else videos, shape, strict=True):
                column.append(value)
        if on_file is not None:
            on_file()
    return _shapes_of(videos), _shapes_of(stills)


def _shapes_of(columns: list[array[int]]) -> Shapes:
    return Shapes.of(*(np.asarray(column, dtype=np.int64) for column in columns))
