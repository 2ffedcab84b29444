"""A model folder is found, checked and fingerprinted before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import family_of

PARTS = ("vae", "text_encoder", "tokenizer")


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> ModelFolder:
    """A copy to break."""
    shutil.copytree(tiny_model, tmp_path / "model")
    return ModelFolder(tmp_path / "model", "model")


def test_a_whole_folder_passes(tiny_model: Path) -> None:
    model = open_model(str(tiny_model), PARTS)
    family = family_of(model)
    family.check(model)
    assert family.name == "cogvideox"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model_index.json", "lacks model_index.json"),
        ("vae", "lacks vae/config.json"),
        ("vae/diffusion_pytorch_model.safetensors", "the vae has no safetensors weights"),
        ("text_encoder", "lacks text_encoder/config.json"),
        ("text_encoder/model.safetensors", "the text_encoder has no safetensors weights"),
        ("tokenizer", "lacks tokenizer/tokenizer.json or tokenizer/spiece.model"),
    ],
)
def test_what_is_missing_is_named(model: ModelFolder, missing: str, message: str) -> None:
    path = model.path / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match=message) as raised:
        family_of(model).check(model)
    assert str(model.path) in str(raised.value)
    assert raised.value.remedy


def test_pickled_weights_are_not_read(model: ModelFolder) -> None:
    weights = model.path / "vae/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match="no safetensors weights"):
        model.require("vae")


def test_a_missing_piece_of_sharded_weights(model: ModelFolder) -> None:
    folder = model.path / "text_encoder"
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"missing: model-2\.safetensors"):
        model.require("text_encoder")


def test_another_pipeline_is_of_no_family(model: ModelFolder) -> None:
    (model.path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelError, match="'FluxPipeline' is of no known family") as raised:
        family_of(model)
    assert "cogvideox" in str(raised.value)


def test_broken_json(model: ModelFolder) -> None:
    (model.path / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        family_of(model)


@pytest.mark.parametrize("name", ["nowhere", "./nowhere/model", "/nowhere/model"])
def test_no_such_folder(name: str) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        open_model(name, PARTS)


def test_a_hub_id_without_a_hub() -> None:
    with pytest.raises(ModelError, match="not found locally or on the hub"):
        open_model("nobody/no-such-model", PARTS)


def test_identity_is_of_weights_and_config_and_not_of_names(
    tiny_model: Path, model: ModelFolder
) -> None:
    original = ModelFolder(tiny_model, "tiny")

    def now(part: str) -> str:
        return ModelFolder(model.path, "now").identity(part)  # what was read is not read again

    assert now("vae") == original.identity("vae")
    config = json.loads((model.path / "vae/config.json").read_text())
    (model.path / "vae/config.json").write_text(json.dumps({**config, "_name_or_path": "x"}))
    assert now("vae") == original.identity("vae")
    (model.path / "vae/config.json").write_text(json.dumps({**config, "scaling_factor": 0.7}))
    assert now("vae") != original.identity("vae")
    (model.path / "vae/config.json").write_text(json.dumps(config))
    weights = model.path / "vae/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert now("vae") != original.identity("vae")
    assert now("text_encoder") == original.identity("text_encoder")
