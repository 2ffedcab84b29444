"""Copies of a store whose latents decode to pictures, and of its videos, to be spoiled."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import SHOWN


@pytest.fixture
def own_store(shown_store: Path, tmp_path: Path) -> Path:
    """A copy to be spoiled, and the videos beside it."""
    return Path(shutil.copytree(shown_store, tmp_path / "store"))


@pytest.fixture
def own_videos(demo_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the videos of that store, to be spoiled."""
    (tmp_path / "moved/videos").mkdir(parents=True)
    for name in SHOWN:
        os.link(demo_dataset / name, tmp_path / "moved" / name)
    return tmp_path / "moved"
