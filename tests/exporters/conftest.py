"""Stores of every family, made once a worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import videoprep as vp
from tests.families.test_every_family import MODELS
from tests.support import fidelity
from videoprep.families.registry import families

Stores = Callable[[str], vp.LatentDataset]


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Two clips in two buckets, by the name of a tiny model; do not change them.

    All have what the family stores of first frames, but for ``wan-t2v``.
    """
    made: dict[str, vp.LatentDataset] = {}

    def store(name: str) -> vp.LatentDataset:
        if name not in made:
            root = tmp_path_factory.mktemp("stores")
            build, family = MODELS[name]
            made[name] = fidelity.encode_store(
                root, build(root / "model"), families()[family], image_latents=name != "wan-t2v"
            )
        return made[name]

    return store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where an export goes."""
    return tmp_path / "out"
