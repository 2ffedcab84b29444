"""A tiny Mochi in the layout of the real one, from the real classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch


def build(folder: Path, tokenizer: Path) -> Path:
    """Writes the model unless it is there already; gives the folder.

    Args:
        folder: where.
        tokenizer: one of T5, which is copied.
    """
    if (folder / "model_index.json").exists():
        return folder
    from diffusers import AutoencoderKLMochi
    from transformers import T5Config, T5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLMochi(
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
            latent_channels=12,
        )
        text_encoder = T5EncoderModel(
            T5Config(vocab_size=512, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
        )
    vae.save_pretrained(folder / "vae")
    text_encoder.save_pretrained(folder / "text_encoder")
    shutil.copytree(tokenizer, folder / "tokenizer")
    index = {
        "_class_name": "MochiPipeline",
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "vae": ["diffusers", "AutoencoderKLMochi"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
