"""Tiny Wan models in the layout of the real ones, from the real classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_parts import write_index
from videoprep.demo.tiny_model import VOCABULARY, write_tokenizer

_PARTS = {
    "text_encoder": "transformers.UMT5EncoderModel",
    "tokenizer": "transformers.T5TokenizerFast",
    "vae": "diffusers.AutoencoderKLWan",
}


def build_wan(folder: Path, **more: Any) -> Path:
    """Wan 2.1 text-to-video: writes it unless it is there already; gives the folder.

    Args:
        folder: where it is.
        more: options of the VAE.
    """
    if (folder / "model_index.json").exists():
        return folder
    _write(folder, z_dim=4, **more)
    return write_index(folder, "WanPipeline", _PARTS)


def build_wan_i2v(folder: Path) -> Path:
    """Wan 2.1 image-to-video, which shows the first frame to CLIP."""
    if (folder / "model_index.json").exists():
        return folder
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    _write(folder, z_dim=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoder = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=3,
                num_attention_heads=4,
                image_size=28,
                patch_size=7,
                projection_dim=32,
            )
        )
    encoder.save_pretrained(folder / "image_encoder")
    size = {"height": 28, "width": 28}
    processor = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
    processor.save_pretrained(folder / "image_processor")
    more = {
        "image_encoder": "transformers.CLIPVisionModel",
        "image_processor": "transformers.CLIPImageProcessor",
    }
    return write_index(folder, "WanImageToVideoPipeline", {**_PARTS, **more})


def build_wan22_5b(folder: Path) -> Path:
    """Wan 2.2 TI2V-5B, whose VAE takes patches."""
    if (folder / "model_index.json").exists():
        return folder
    _write(
        folder,
        z_dim=6,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        decoder_base_dim=4,
    )
    return write_index(folder, "WanPipeline", _PARTS, expand_timesteps=True)


def write_vae(folder: Path, z_dim: int, **more: Any) -> None:
    """Write a tiny `AutoencoderKLWan` with the options that are given."""
    from diffusers import AutoencoderKLWan

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLWan(
            base_dim=4,
            z_dim=z_dim,
            latents_mean=torch.linspace(-1, 1, z_dim).tolist(),
            latents_std=torch.linspace(0.5, 3, z_dim).tolist(),
            **{"num_res_blocks": 1, **more},
        )
    vae.save_pretrained(folder)


def _write(folder: Path, z_dim: int, **more: Any) -> None:
    from transformers import UMT5Config, UMT5EncoderModel

    write_vae(folder / "vae", z_dim, **more)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        text_encoder = UMT5EncoderModel(
            UMT5Config(
                vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4
            )
        )
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", max_length=512)
