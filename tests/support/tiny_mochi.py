"""A tiny Mochi in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_parts import write_index
from videoprep.demo.tiny_model import VOCABULARY, write_tokenizer


def build(folder: Path, *, force_zeros_for_empty_prompt: bool = True) -> Path:
    """Write the model unless it is there already; give the folder."""
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
            scaling_factor=0.75,
        )
        text_encoder = T5EncoderModel(
            T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
        )
    vae.save_pretrained(folder / "vae")
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", max_length=256)
    parts = {
        "text_encoder": "transformers.T5EncoderModel",
        "tokenizer": "transformers.T5TokenizerFast",
        "vae": "diffusers.AutoencoderKLMochi",
    }
    return write_index(
        folder,
        "MochiPipeline",
        parts,
        force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
    )
