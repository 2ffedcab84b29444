"""A tiny LTX-Video in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_parts import write_index
from videoprep.demo.tiny_model import VOCABULARY, write_tokenizer


def build(folder: Path, pipeline: str = "LTXPipeline") -> Path:
    """Writes the model unless it is there already; gives the folder.

    Args:
        folder: where.
        pipeline: the class that its index names.
    """
    if (folder / "model_index.json").exists():
        return folder
    from diffusers import AutoencoderKLLTXVideo
    from transformers import T5Config, T5EncoderModel

    channels = 8
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLLTXVideo(
            latent_channels=channels,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        )
        text_encoder = T5EncoderModel(
            T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
        )
    vae.latents_mean.copy_(torch.linspace(-1, 1, channels))
    vae.latents_std.copy_(torch.linspace(0.5, 2, channels))
    vae.save_pretrained(folder / "vae")
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", max_length=128)
    parts = {
        "text_encoder": "transformers.T5EncoderModel",
        "tokenizer": "transformers.T5Tokenizer",
        "vae": "diffusers.AutoencoderKLLTXVideo",
    }
    return write_index(folder, pipeline, parts)
