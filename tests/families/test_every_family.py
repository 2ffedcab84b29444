"""What every family keeps; what is its own stands in a file of its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support import (
    fidelity,
    tiny_cogvideox15,
    tiny_cosmos,
    tiny_hunyuan_video,
    tiny_hunyuan_video15,
    tiny_kandinsky5,
    tiny_ltx2,
    tiny_ltx_video,
    tiny_mochi,
    tiny_motif_video,
    tiny_sana_video,
    tiny_wan,
)
from videoprep.demo.tiny_model import build_tiny_model
from videoprep.errors import ModelError
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import families, family_of

MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cogvideox": (build_tiny_model, "cogvideox"),
    "1.5": (tiny_cogvideox15.build, "cogvideox1.5"),
    "1.5-i2v": (partial(tiny_cogvideox15.build, inverted=True), "cogvideox1.5"),
    "wan-t2v": (tiny_wan.build_wan, "wan"),
    "wan-i2v": (tiny_wan.build_wan_i2v, "wan"),
    "wan-5b": (tiny_wan.build_wan22_5b, "wan2.2-ti2v-5b"),
    "vace": (tiny_wan.build_wan_vace, "wan-vace"),
    "animate": (tiny_wan.build_wan_animate, "wan-animate"),
    "skyreels-i2v": (tiny_wan.build_skyreels_i2v, "skyreels-v2"),
    "skyreels-df": (tiny_wan.build_skyreels_df, "skyreels-v2"),
    "anyflow": (tiny_wan.build_anyflow, "anyflow"),
    "lucy": (tiny_wan.build_lucy_edit, "lucy-edit"),
    "chronoedit": (tiny_wan.build_chronoedit, "chronoedit"),
    "sana-video": (tiny_sana_video.build, "sana-video"),
    "motif-video": (tiny_motif_video.build, "motif-video"),
    "hunyuan": (tiny_hunyuan_video.build, "hunyuan-video"),
    "hunyuan15": (tiny_hunyuan_video15.build, "hunyuan-video-1.5"),
    "hunyuan15-i2v": (tiny_hunyuan_video15.build_i2v, "hunyuan-video-1.5"),
    "hunyuan-i2v": (tiny_hunyuan_video.build_i2v, "hunyuan-video-i2v"),
    "hunyuan-i2v-concat": (tiny_hunyuan_video.build_i2v_concat, "hunyuan-video-i2v"),
    "framepack": (tiny_hunyuan_video.build_framepack, "hunyuan-video-framepack"),
    "skyreels": (tiny_hunyuan_video.build_skyreels, "skyreels-v1"),
    "kandinsky5": (tiny_kandinsky5.build, "kandinsky5"),
    "ltx": (tiny_ltx_video.build, "ltx-video"),
    "ltx2": (tiny_ltx2.build, "ltx-2"),
    "ltx2.3": (tiny_ltx2.build_ltx23, "ltx-2"),
    "ltx2.5": (partial(tiny_ltx2.build_ltx25, modular=True), "ltx-2"),
    "mochi": (tiny_mochi.build, "mochi"),
    "cosmos2": (tiny_cosmos.build_cosmos2, "cosmos2"),
    "cosmos25": (tiny_cosmos.build_cosmos25, "cosmos2.5"),
    "transfer25": (tiny_cosmos.build_transfer25, "cosmos2.5"),
}

ONE_OF_EACH_VAE = ("cogvideox", "wan-t2v", "wan-5b", "hunyuan", "hunyuan15", "ltx", "ltx2", "mochi")


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    build, _ = MODELS[name]
    return ModelFolder(build(tmp_path_factory.mktemp("models") / "model"), name)


@pytest.fixture
def family(model: ModelFolder) -> Family:
    return family_of(model)


def test_no_family_is_published_as_another() -> None:
    """A family made like another one does not inherit where its configs are."""
    published = [one.published for one in families().values() if one.published is not None]
    assert len(set(published)) == len(published)


def test_it_is_recognized(name: str, family: Family, model: ModelFolder) -> None:
    assert family.name == MODELS[name][1]
    family.check(model)


def test_the_vae_of_another_family_is_refused(
    family: Family, model: ModelFolder, tmp_path: Path
) -> None:
    """Though the index names the right one: such a folder is half of two models."""
    half = ModelFolder(shutil.copytree(model.path, tmp_path / "model"), "half")
    config = half.path / "vae/config.json"
    written = json.loads(config.read_text())
    assert written["_class_name"] == getattr(family, "vae_class", None)
    config.write_text(json.dumps({**written, "_class_name": "AutoencoderKLAllegro"}))
    with pytest.raises(ModelError, match="its vae is a AutoencoderKLAllegro by its own config"):
        family.check(half)


def test_moments_equal_the_vaes(family: Family, model: ModelFolder) -> None:
    fidelity.require_moments(family, model)


@pytest.mark.parametrize("name", ONE_OF_EACH_VAE, indirect=True)
@pytest.mark.parametrize("most", [65, pytest.param(129, marks=pytest.mark.slow)])
def test_shapes_of_all_legal_lengths(family: Family, model: ModelFolder, most: int) -> None:
    fidelity.require_shapes(family, model, most)


@pytest.mark.parametrize("name", ONE_OF_EACH_VAE, indirect=True)
def test_clips_side_by_side(family: Family, model: ModelFolder) -> None:
    fidelity.require_threads(family, model)


def test_bfloat16(family: Family, model: ModelFolder) -> None:
    fidelity.require_round_trip(family, model)
