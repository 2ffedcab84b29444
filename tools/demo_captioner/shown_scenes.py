"""The demo's scenes as the captioner is shown them: at any moments, cut and lit in many ways."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.demo_captioner.model import SIDE
from videoprep.demo.scenes import COLOURS, MOTIONS, SHAPES, SKIES, Scene, pictures, place

Frames = NDArray[np.float32]

_SIZES = ((96, 64), (64, 96), (64, 64), (192, 128), (128, 192), (160, 90))
_RESIZING = (cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LINEAR)
_HELD_OUT = 6


def kinds(*, held_out: bool) -> list[tuple[str, str, str, str]]:
    """Return combinations of shape, colour, motion and sky.

    Args:
        held_out: those that training never shows, a sixth of all; if not, all others.
    """
    every = itertools.product(SHAPES, COLOURS, MOTIONS, SKIES)
    return [
        kind for kind in every if (zlib.crc32("".join(kind).encode()) % _HELD_OUT == 0) == held_out
    ]


def draw_scene(rng: np.random.Generator, among: Sequence[tuple[str, str, str, str]]) -> Scene:
    """Return a scene of one of the combinations, of any size and length."""
    width, height = _SIZES[int(rng.integers(len(_SIZES)))]
    return Scene(*among[int(rng.integers(len(among)))], width, height, int(rng.integers(15, 40)))


@dataclass(frozen=True, slots=True, eq=False)
class SceneView:
    """Frames of a scene as they are shown."""

    frames: Frames
    """From 0 to 1: ``[count, SIDE, SIDE, 3]``."""
    places: Frames
    """Where the shape is in each, as shares of the width and the height: ``[count, 2]``."""


def draw_view(
    rng: np.random.Generator, scene: Scene, count: int, share: float, *, least: float = 0.84
) -> SceneView:
    """Return frames of a part of a scene.

    Args:
        rng: decides which part of its time and of its pictures, and how it is lit.
        scene: what is shown.
        count: how many frames.
        share: how much of its time.
        least: how much of the picture's width and height, at the least.
    """
    begin = rng.uniform(0, 1 - share)
    moments = np.linspace(begin, begin + share, count) * (scene.frames - 1)
    where = np.array([place(scene, moment) for moment in moments])
    kept = rng.uniform(least, 1)
    width, height = round(scene.width * kept), round(scene.height * kept)
    # The middle of the shape's way stays in the picture.
    x, y = where.mean(axis=0)
    left = _begin(rng, x * scene.width, width, scene.width)
    top = _begin(rng, y * scene.height, height, scene.height)
    how = _RESIZING[rng.integers(len(_RESIZING))]
    shown = np.stack(
        [
            cv2.resize(
                one[top : top + height, left : left + width], (SIDE, SIDE), interpolation=how
            )
            for one in pictures(scene, moments)
        ]
    )
    lit = shown * rng.uniform(0.9, 1.1) + rng.normal(0, 3, 3)
    noisy = lit + rng.normal(0, rng.uniform(0, 5), shown.shape)
    where = (where * (scene.width, scene.height) - (left, top)) / (width, height)
    return SceneView(np.clip(noisy / 255, 0, 1).astype(np.float32), where.astype(np.float32))


def _begin(rng: np.random.Generator, seen: float, length: int, whole: int) -> int:
    """Return where a part of a side begins in which a place is seen."""
    first = min(max(0, round(seen - 0.8 * length)), whole - length)
    last = min(max(first, round(seen - 0.2 * length)), whole - length)
    return int(rng.integers(first, last + 1))
