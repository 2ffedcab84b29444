"""Models that overflow in the dtype they are used in are told before any clip is encoded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.errors import ModelError

_TOO_LARGE = 1e5  # for float16, which ends at 65,504


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    write_video(tmp_path / "data/a.mp4", width=96, height=64, frames=5)
    write_lists(tmp_path / "data", ["One."], ["a.mp4"])
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("part", "file", "weight", "option"),
    [
        ("text_encoder", "model.safetensors", "final_layer_norm.weight", "text_encoder_dtype"),
        ("vae", "diffusion_pytorch_model.safetensors", "encoder.conv_out.conv.bias", "dtype"),
    ],
)
def test_an_encoder_that_overflows_is_told(
    clips: Path, tiny_model: Path, tmp_path: Path, part: str, file: str, weight: str, option: str
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    weights = load_file(model / part / file)
    name = next(name for name in weights if name.endswith(weight))
    weights[name] = torch.full_like(weights[name], _TOO_LARGE)
    save_file(weights, model / part / file, metadata={"format": "pt"})
    store = tmp_path / "store"
    with pytest.raises(ModelError, match=f"the {part} gives values that are not finite") as raised:
        vp.encode(clips, model=model, output=store, device="cpu", dtype="fp16", progress="none")
    assert f"use `{option}='bf16'`" in str(raised.value.remedy)
    assert not list(store.rglob("*.safetensors"))
    result = vp.encode(
        clips, model=model, output=store, device="cpu", dtype="bf16", progress="none"
    )
    assert result is not None
    assert result.ok
