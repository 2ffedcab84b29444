"""The dataset with everything that a sample may have, encoded by the tiny model of each family."""

from __future__ import annotations

from pathlib import Path

import pytest

import videoprep as vp
from tests.families.test_every_family import MODELS
from tests.support import fidelity
from tests.support.mixed_dataset import OPTIONS, PLANNED, write_mixed_dataset
from videoprep.families.component import for_roles
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed_dataset(tmp_path_factory.mktemp("mixed") / "data")


UNLIKE = ("wan-i2v", "vace", "motif-video", "hunyuan-i2v", "hunyuan15-i2v", "ltx2.3", "cosmos25")
"""Models that have as little in common as can be; the others are encoded in the slow tests."""
CASES = [pytest.param(name, marks=[] if name in UNLIKE else pytest.mark.slow) for name in MODELS]


@pytest.mark.parametrize("name", CASES)
def test_it_is_encoded_verified_and_shown(name: str, data: Path, tmp_path: Path) -> None:
    build, _ = MODELS[name]
    model = ModelFolder(build(tmp_path / "model"), name)
    family = family_of(model)
    specs = family.components(model)
    asked = {option: True for one in specs for option in one.options if option != "image_noise"}
    lengths = tuple(sorted({fidelity.legal(family, most) for most in (9, 17)}))
    index = vp.BucketIndex.build(data, profile=family.name, **{**OPTIONS, "frame_buckets": lengths})
    store = tmp_path / "store"
    meaning = "inpaint" if any(one.reads_given_parts for one in specs) else "loss"
    result = vp.encode(
        index, model=model.path, output=store, mask_meaning=meaning, device="cpu",
        progress="none", **asked,
    )  # fmt: skip
    assert result is not None
    assert (result.failed, result.complete) == (0, len(index))
    stills = 0 if family.profile.stills else 1  # that are left out
    assert len({clip.video for clip in index.clips()}) == PLANNED - stills
    stored = vp.LatentDataset(store)
    expected = {one.name for one in for_roles(specs, index.roles) if not one.noise}
    assert set(stored.components) == expected
    assert vp.verify(store).ok
    page = tmp_path / "preview.html"
    shown = vp.preview(store, output=page, clips=3, device="cpu")
    assert (shown.measured, len(shown.pictures)) == (3, 3)
    assert shown.ok
    assert page.stat().st_size > 1000
