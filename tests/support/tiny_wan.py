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


def build_wan(folder: Path, *, pipeline: str = "WanPipeline", **more: Any) -> Path:
    """Wan 2.1 text-to-video: writes it unless it is there already; gives the folder.

    Args:
        folder: where it is.
        pipeline: diffusers' class, if it is another one with the same parts.
        more: options of the VAE.
    """
    if (folder / "model_index.json").exists():
        return folder
    _write(folder, z_dim=4, **more)
    return write_index(folder, pipeline, _PARTS)


def build_wan_i2v(
    folder: Path,
    *,
    pipeline: str = "WanImageToVideoPipeline",
    vision: str = "CLIPVisionModel",
) -> Path:
    """Wan 2.1 image-to-video, which shows the first frame to CLIP, or another such pipeline."""
    if (folder / "model_index.json").exists():
        return folder
    _write(folder, z_dim=4)
    return write_index(folder, pipeline, {**_PARTS, **_write_vision(folder, vision)})


def build_wan_animate(folder: Path) -> Path:
    """Wan 2.2 Animate."""
    return build_wan_i2v(folder, pipeline="WanAnimatePipeline")


def build_skyreels_i2v(folder: Path) -> Path:
    """SkyReels-V2's image-to-video."""
    pipeline, vision = "SkyReelsV2ImageToVideoPipeline", "CLIPVisionModelWithProjection"
    return build_wan_i2v(folder, pipeline=pipeline, vision=vision)


def build_skyreels_df(folder: Path) -> Path:
    """SkyReels-V2's diffusion forcing."""
    return build_wan(folder, pipeline="SkyReelsV2DiffusionForcingPipeline")


def build_anyflow(folder: Path) -> Path:
    """AnyFlow, the causal one."""
    return build_wan(folder, pipeline="AnyFlowFARPipeline")


def build_lucy_edit(folder: Path) -> Path:
    """Lucy-Edit."""
    return build_wan22_5b(folder, pipeline="LucyEditPipeline")


def build_chronoedit(folder: Path) -> Path:
    """ChronoEdit."""
    return build_wan_i2v(folder, pipeline="ChronoEditPipeline")


def animate_transformer() -> Any:
    """A transformer for what `build_wan_animate` gives."""
    from diffusers import WanAnimateTransformer3DModel

    return WanAnimateTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=12,
        latent_channels=4,
        out_channels=4,
        text_dim=32,
        freq_dim=16,
        ffn_dim=16,
        num_layers=1,
        image_dim=32,
        motion_encoder_channel_sizes={"4": 16, "8": 16, "16": 16},
        motion_encoder_size=16,
        motion_style_dim=8,
        motion_dim=4,
        motion_encoder_dim=16,
        face_encoder_hidden_dim=16,
        face_encoder_num_heads=2,
        inject_face_latents_blocks=1,
    ).eval()


def _write_vision(folder: Path, name: str) -> dict[str, str]:
    """CLIP's image encoder, as transformers' class of that name; what the index says of it."""
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoder = getattr(transformers, name)(
            transformers.CLIPVisionConfig(
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
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
    processor.save_pretrained(folder / "image_processor")
    return {
        "image_encoder": f"transformers.{name}",
        "image_processor": "transformers.CLIPImageProcessor",
    }


def build_wan22_5b(folder: Path, *, pipeline: str = "WanPipeline") -> Path:
    """Wan 2.2 TI2V-5B, whose VAE takes patches, or another such pipeline."""
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
    return write_index(folder, pipeline, _PARTS, expand_timesteps=True)


def build_wan_vace(folder: Path) -> Path:
    """Wan 2.1 VACE."""
    return build_wan(folder, pipeline="WanVACEPipeline")


def vace_transformer() -> Any:
    """A transformer for what `build_wan_vace` gives."""
    from diffusers import WanVACETransformer3DModel

    return WanVACETransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        text_dim=32,
        freq_dim=16,
        ffn_dim=16,
        num_layers=1,
        vace_layers=[0],
        vace_in_channels=2 * 4 + 64,
    ).eval()


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
