"""Clips of an index as they are shown: its rows hold sizes and crops in pixels as they are stored.

Pixels that are not square are scaled to square ones where a clip is fitted. A row does not say
what they were, but its crop and its place in the bucket do, unless pictures were resized whatever
that does to their shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.index.policy import CROPS
from videoprep.media.geometry import Box

Floats = NDArray[np.float64]

BOXES = ("crop_width", "crop_height", "fit_width", "fit_height")
"""The columns that are looked at."""


def stretches(
    boxes: Mapping[str, NDArray[Any]], policy: Mapping[str, Any]
) -> tuple[Floats, Floats]:
    """By how much a picture's width and height grow when its pixels are made square.

    Args:
        boxes: the columns `BOXES`, ``[clips]``.
        policy: of the index.

    Returns:
        Two float64 ``[clips]``, at least 1. Where rounding to whole pixels explains a difference
        pixels are square.
    """
    crop_width, crop_height, fit_width, fit_height = (boxes[n].astype(np.float64) for n in BOXES)
    if not _keeps_shapes(policy):
        return np.ones_like(crop_width), np.ones_like(crop_width)
    aspect = fit_width * crop_height / (fit_height * crop_width)
    least = np.minimum.reduce([crop_width, crop_height, fit_width, fit_height])
    aspect = np.where(np.abs(np.log(aspect)) > 1 / least, aspect, 1.0)
    return np.maximum(aspect, 1), np.maximum(1 / aspect, 1)


def _keeps_shapes(policy: Mapping[str, Any]) -> bool:
    """Whether clips were fitted so that their pixels became square; of several datasets, all."""
    own = [one.get("reshape") for one in policy.get("of", [policy])]
    kept = (*CROPS, "pad", *(["none"] if len(set(own)) > 1 else []))
    return all(reshape in kept for reshape in own)


def stretch_of(crop: Box, fit: Box, policy: Mapping[str, Any]) -> tuple[float, float]:
    """The same of one clip."""
    sides = (crop.width, crop.height, fit.width, fit.height)
    boxes = {name: np.array([side]) for name, side in zip(BOXES, sides, strict=True)}
    across, down = stretches(boxes, policy)
    return float(across[0]), float(down[0])
