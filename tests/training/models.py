"""Tiny models of every form that the trainer knows: the demo's, with another transformer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

FORMS: dict[str, dict[str, Any]] = {
    "2b": {},
    "5b": {"use_rotary_positional_embeddings": True},
    "5b-i2v": {
        "use_rotary_positional_embeddings": True,
        "use_learned_positional_embeddings": True,
        "in_channels": 32,
    },
    "1.5": {
        "use_rotary_positional_embeddings": True,
        "patch_size_t": 2,
        "patch_bias": False,
        "sample_frames": 17,
    },
    "1.5-i2v": {
        "use_rotary_positional_embeddings": True,
        "patch_size_t": 2,
        "patch_bias": False,
        "sample_frames": 17,
        "ofs_embed_dim": 32,
        "in_channels": 32,
    },
}


def build(tiny_model: Path, folder: Path, form: str) -> Path:
    """The tiny model with a transformer of another form."""
    from diffusers import CogVideoXTransformer3DModel

    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("transformer"))
    config = CogVideoXTransformer3DModel.load_config(str(tiny_model / "transformer"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = CogVideoXTransformer3DModel.from_config({**config, **FORMS[form]})
    transformer.save_pretrained(folder / "transformer")
    if "i2v" in form:
        path = folder / "model_index.json"
        index = {**json.loads(path.read_text()), "_class_name": "CogVideoXImageToVideoPipeline"}
        path.write_text(json.dumps(index))
    return folder
