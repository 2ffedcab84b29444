"""A store whose latents decode to pictures, and ways to spoil one's own copy of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

import videoprep as vp
from videoprep.demo.tiny_model import trained_model

VIDEOS = [f"videos/{number:05}.mp4" for number in (0, 1, 3, 8)]
"""Four of the demo's clips, in three buckets."""


@pytest.fixture(scope="session")
def shown_store(shared_folder: Path, demo_dataset: Path) -> Path:
    """Four rendered clips encoded by the model that learnt; do not change it."""
    folder = shared_folder / "shown-store"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            index = vp.BucketIndex.build(demo_dataset).filter(video=VIDEOS)
            done = vp.encode(
                index, model=trained_model(), output=folder, image_latents=True, device="cpu"
            )
            assert done is not None
            assert done.ok
    return folder


@pytest.fixture
def own_store(shown_store: Path, tmp_path: Path) -> Path:
    """A copy to be spoiled, and the videos beside it."""
    return Path(shutil.copytree(shown_store, tmp_path / "store"))


@pytest.fixture
def own_videos(demo_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the videos of that store, to be spoiled."""
    (tmp_path / "moved/videos").mkdir(parents=True)
    for name in VIDEOS:
        os.link(demo_dataset / name, tmp_path / "moved" / name)
    return tmp_path / "moved"
