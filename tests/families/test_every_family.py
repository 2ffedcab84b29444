"""What every family keeps; what is its own stands in a file of its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support import (
    fidelity,
    tiny_cogvideox15,
    tiny_hunyuan_video,
    tiny_hunyuan_video15,
    tiny_kandinsky5,
    tiny_ltx_video,
    tiny_wan,
)
from videoprep.demo.tiny_model import build_tiny_model
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of

MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cogvideox": (build_tiny_model, "cogvideox"),
    "1.5": (tiny_cogvideox15.build, "cogvideox1.5"),
    "1.5-i2v": (partial(tiny_cogvideox15.build, inverted=True), "cogvideox1.5"),
    "wan-t2v": (tiny_wan.build_wan, "wan"),
    "wan-i2v": (tiny_wan.build_wan_i2v, "wan"),
    "wan-5b": (tiny_wan.build_wan22_5b, "wan2.2-ti2v-5b"),
    "hunyuan": (tiny_hunyuan_video.build, "hunyuan-video"),
    "hunyuan15": (tiny_hunyuan_video15.build, "hunyuan-video-1.5"),
    "hunyuan15-i2v": (tiny_hunyuan_video15.build_i2v, "hunyuan-video-1.5"),
    "kandinsky5": (tiny_kandinsky5.build, "kandinsky5"),
    "ltx": (tiny_ltx_video.build, "ltx-video"),
}

ONE_OF_EACH_VAE = ("cogvideox", "wan-t2v", "wan-5b", "hunyuan", "hunyuan15", "ltx")


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


def test_it_is_recognized(name: str, family: Family, model: ModelFolder) -> None:
    assert family.name == MODELS[name][1]
    family.check(model)


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
