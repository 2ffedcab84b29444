"""A dataset with everything that a sample may have: stills, sound, control, masks, captions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.media.sounds import noise, write_film
from tests.support.assets import write_video
from tests.support.masks import squares, write_mask, write_still
from tests.support.small_store import Small, hidden
from tests.support.warm import Warm

OPTIONS: Mapping[str, Any] = {
    "reshape": "center-crop",
    "target_fps": 8,
    "frame_buckets": (9, 17),
    "height_buckets": (64,),
    "width_buckets": (64, 96),
    "multi_bucket": True,
}
"""How it is planned: each video in up to four buckets, each still image in up to two."""

COMMAND = (
    *("--reshape", OPTIONS["reshape"], "--target-fps", OPTIONS["target_fps"], "--multi-bucket"),
    *("--frame-buckets", "9,17", "--height-buckets", "64", "--width-buckets", "64,96"),
    *("--mask-meaning", "loss"),
)
"""The same as options of the command line."""

FURTHER = ("A second caption.", "A third one.")
"""The captions after the first of ``several.mp4``."""

ROWS: tuple[dict[str, Any], ...] = (
    {"video": "plain.mp4", "caption": "A grey square."},
    {"video": "sound.mov", "caption": "Noise."},
    {
        "video": "controlled.mp4",
        "caption": "A square with a depth map.",
        "control_depth": "depth/controlled.mp4",
        "mask": "masks/controlled.mkv",
    },
    {
        "video": "masked.mp4",
        "caption": "A square behind a mask.",
        "mask": "masks/masked.png",
        "reference": "ref.png",
    },
    {"video": "several.mp4", "caption": ["A first caption.", *FURTHER]},
    {"video": "still.png", "caption": "A still image."},
    {"video": "lost.mp4", "caption": "Without its depth map.", "control_depth": "depth/gone.mp4"},
)
PLANNED = len(ROWS) - 1
"""Samples that can be used: all but the last."""


def write_mixed_dataset(folder: Path) -> Path:
    """Write `ROWS` as JSON Lines with their files: videos at 8, 16 and 24 frames a second."""
    folder.mkdir(parents=True, exist_ok=True)
    write_video(folder / "plain.mp4", frames=17, lift=40)
    write_film(folder / "sound.mov", noise(3), frames=49, fps=24)
    write_video(folder / "controlled.mp4", frames=34, fps=16, lift=44)
    write_video(folder / "depth/controlled.mp4", frames=51, fps=24, width=48, height=32, lift=46)
    write_mask(folder / "masks/controlled.mkv", squares(34, 96, 64), 16)
    write_video(folder / "masked.mp4", frames=17, lift=48)
    write_still(folder / "masks/masked.png", squares(4, 96, 64)[3])
    write_video(folder / "several.mp4", frames=17, lift=50)
    write_video(folder / "lost.mp4", frames=17, lift=52)
    random = np.random.default_rng(0)
    write_still(folder / "still.png", random.integers(0, 256, (64, 96, 3), np.uint8))
    write_still(folder / "ref.png", random.integers(0, 256, (64, 64, 3), np.uint8))
    (folder / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return folder


def encode_mixed(warm: Warm, model: Path, folder: Path) -> Small:
    """The dataset, encoded by a run that nothing disturbs.

    The run skips one sample, whose depth map is not there, and so exits with 1.
    """
    dataset = write_mixed_dataset(folder / "data")
    small = Small(warm, dataset, model, folder / "store", folder / "whole")
    done = replace(small, store=small.whole).run(*COMMAND)
    assert done.returncode == 1, done.stderr
    assert hidden(small.whole) == []
    return small
