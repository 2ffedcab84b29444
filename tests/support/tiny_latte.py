"""A tiny Latte in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_parts import write_index
from videoprep.demo.tiny_model import VOCABULARY, write_tokenizer


def build(folder: Path) -> Path:
    """Write the model unless it is there already; give the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from diffusers import AutoencoderKL
    from transformers import T5Config, T5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            norm_num_groups=2,
            latent_channels=4,
        )
        text_encoder = T5EncoderModel(
            T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
        )
    vae.save_pretrained(folder / "vae")
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", max_length=120)
    parts = {
        "text_encoder": "transformers.T5EncoderModel",
        "tokenizer": "transformers.T5TokenizerFast",
        "vae": "diffusers.AutoencoderKL",
    }
    return write_index(folder, "LattePipeline", parts)
