"""Model folders that are not what they should be: told before anything is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_cogvideox15, tiny_hunyuan_video, tiny_ltx2, tiny_ltx_video, tiny_wan
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import families, family_of

BUILD: dict[str, Callable[[Path], Path]] = {
    "1.5": tiny_cogvideox15.build,
    "hunyuan": tiny_hunyuan_video.build,
    "ltx": tiny_ltx_video.build,
    "ltx2": tiny_ltx2.build_ltx23,
    "wan": tiny_wan.build_wan,
    "i2v": tiny_wan.build_wan_i2v,
}


@pytest.mark.parametrize(
    ("model", "part", "key", "value", "message"),
    [
        ("hunyuan", "vae", "scaling_factor", None, "lacks 'scaling_factor'"),
        ("hunyuan", "vae", "scaling_factor", "0.4", "'0.4', and no positive number"),
        ("hunyuan", "vae", "spatial_compression_ratio", None, "lacks 'spatial_compression_ratio'"),
        ("hunyuan", "vae", "latent_channels", 4.5, "4.5, and no positive whole number"),
        ("hunyuan", "text_encoder", "hidden_size", True, "True, and no positive whole number"),
        ("ltx", "vae", "scaling_factor", None, "lacks 'scaling_factor'"),
        ("ltx", "vae", "spatio_temporal_scaling", 3, "3, and no list"),
        ("ltx", "vae", "latent_channels", 9, "'latents_mean' are not 9 fit numbers"),
        ("ltx2", "vae", "scaling_factor", None, "lacks 'scaling_factor'"),
        ("ltx2", "vae", "latent_channels", 9, "'latents_mean' are not 9 fit numbers"),
        ("ltx2", "audio_vae", "sample_rate", None, "lacks 'sample_rate'"),
        ("ltx2", "audio_vae", "mel_bins", 32, "'latents_mean' are not 16 fit numbers"),
        ("ltx2", "connectors", "audio_hidden_dim", 0, "0, and no positive whole number"),
        ("ltx2", "connectors", "caption_channels", None, "lacks 'caption_channels'"),
        ("ltx2", "text_encoder", "text_config", None, "lacks 'text_config'"),
        ("wan", "vae", "latents_mean", None, "lacks 'latents_mean'"),
        ("wan", "vae", "latents_mean", [1.0, 2.0], "'latents_mean' are not 4 fit numbers"),
        ("wan", "vae", "latents_std", [1, 1, 1, 0], "'latents_std' are not 4 fit numbers"),
        ("wan", "vae", "dim_mult", None, "lacks 'dim_mult'"),
        ("i2v", "image_encoder", "patch_size", 0, "0, and no positive whole number"),
        ("1.5", "vae", "block_out_channels", 5, "5, and no list"),
        ("1.5", "vae", "temporal_compression_ratio", None, "lacks 'temporal_compression_ratio'"),
        ("1.5", "transformer", "patch_size_t", "two", "'two', and no positive whole number"),
    ],
)
def test_values_that_make_no_sense(
    tmp_path: Path, model: str, part: str, key: str, value: Any, message: str
) -> None:
    folder = BUILD[model](tmp_path / "model")
    change(folder / part / "config.json", **{key: value})
    opened = ModelFolder(folder, "changed")
    with pytest.raises(ModelError, match=re.escape(message)) as raised:
        family_of(opened).check(opened)
    assert str(folder / part / "config.json") in str(raised.value)


@pytest.mark.parametrize(
    ("model", "pipeline"),
    [
        ("wan", "HeliosPipeline"),
        ("1.5", "ConsisIDPipeline"),
        ("hunyuan", "Kandinsky6TI2VAPipeline"),
        ("ltx", "LTXLatentUpsamplePipeline"),
        ("ltx2", "LTX2LatentUpsamplePipeline"),
        ("ltx2", "LTX2VideoDiffusionDecodePipeline"),
    ],
)
def test_pipelines_of_other_kinds_are_of_no_family(
    tmp_path: Path, model: str, pipeline: str
) -> None:
    folder = BUILD[model](tmp_path / "model")
    change(folder / "model_index.json", _class_name=pipeline)
    with pytest.raises(ModelError, match=f"'{pipeline}' is of no known family") as raised:
        family_of(ModelFolder(folder, "other"))
    assert f"the families are: {', '.join(families())}" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("model", "part", "kind", "expected"),
    [
        ("i2v", "image_encoder", "SiglipVisionModel", "CLIPVisionModel"),
        ("wan", "vae", "AutoencoderKLQwenImage", "AutoencoderKLWan"),
        ("ltx", "text_encoder", "Gemma3ForConditionalGeneration", "T5EncoderModel"),
        ("ltx2", "text_encoder", "T5EncoderModel", "Gemma3ForConditionalGeneration"),
        ("ltx2", "vae", "AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"),
        ("ltx2", "audio_vae", "AutoencoderOobleck", "AutoencoderKLLTX2Audio"),
    ],
)
def test_parts_of_another_class(
    tmp_path: Path, model: str, part: str, kind: str, expected: str
) -> None:
    folder = BUILD[model](tmp_path / "model")
    change(folder / "model_index.json", **{part: ["transformers", kind]})
    opened = ModelFolder(folder, "other")
    with pytest.raises(ModelError, match=f"its {part} is a {kind}, and not {expected}"):
        family_of(opened).check(opened)


def test_what_tells_cogvideox_from_1_5_has_to_be_there(tmp_path: Path) -> None:
    folder = tiny_cogvideox15.build(tmp_path / "model")
    (folder / "transformer/config.json").unlink()
    with pytest.raises(ModelError, match=r"lacks transformer/config.json, which tells CogVideoX"):
        family_of(ModelFolder(folder, "no transformer"))


def test_an_index_of_weights_that_is_none(tmp_path: Path) -> None:
    folder = tiny_wan.build_wan(tmp_path / "model")
    index = folder / "vae/diffusion_pytorch_model.safetensors.index.json"
    for content in ({}, {"weight_map": {"a": 1}}):
        index.write_text(json.dumps(content))
        opened = ModelFolder(folder, "broken")
        with pytest.raises(ModelError, match="has no 'weight_map'"):
            family_of(opened).check(opened)
