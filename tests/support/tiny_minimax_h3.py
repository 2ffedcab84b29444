"""MiniMax-H3's VAE with tiny weights, beside the tiny CogVideoX's text encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def build(folder: Path, cogvideox: Path) -> Path:
    """Write the folder of a modular pipeline; gives it.

    Args:
        folder: where.
        cogvideox: a tiny model, whose text encoder is taken.
    """
    import torch
    from diffusers import AutoencoderKLMiniMaxH3

    for part in ("text_encoder", "tokenizer"):
        shutil.copytree(cogvideox / part, folder / part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLMiniMaxH3(
            latent_channels=4,
            block_out_channels=(4, 4, 4, 4, 4, 4),
            layers_per_block=1,
            norm_num_groups=2,
            decoder_num_layers=1,
            decoder_num_attention_heads=2,
            decoder_attention_head_dim=32,
            latents_mean=(0.1, 0.2, 0.3, 0.4),
            latents_std=(1.0, 2.0, 3.0, 4.0),
        )
    vae.save_pretrained(folder / "vae")
    kinds = {
        "vae": ["diffusers", "AutoencoderKLMiniMaxH3"],
        "text_encoder": ["transformers", "T5EncoderModel"],
    }
    parts = {
        name: [None, None, {"type_hint": kind, "subfolder": name}] for name, kind in kinds.items()
    }
    index = {"_class_name": "MiniMaxH3ModularPipeline", **parts}
    (folder / "modular_model_index.json").write_text(json.dumps(index))
    return folder
