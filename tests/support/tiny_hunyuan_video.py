"""Tiny models of HunyuanVideo and what follows from it, of the real classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_parts import clip_tokenizer, llama_tokenizer, siglip, write_index

_PARTS = {
    "text_encoder": "transformers.LlamaModel",
    "text_encoder_2": "transformers.CLIPTextModel",
    # LlamaTokenizerFast, which real folders name, would not read tokenizer.json as it is.
    "tokenizer": "transformers.PreTrainedTokenizerFast",
    "tokenizer_2": "transformers.CLIPTokenizer",
    "vae": "diffusers.AutoencoderKLHunyuanVideo",
}
_SIGLIP = {
    "image_encoder": "transformers.SiglipVisionModel",
    "feature_extractor": "transformers.SiglipImageProcessor",
}
_LLAVA = {
    "text_encoder": "transformers.LlavaForConditionalGeneration",
    "image_processor": "transformers.CLIPImageProcessor",
}
_IMAGE_TOKEN, _PAD = 6, 5
_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "pad_token_id": _PAD,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def build(folder: Path, *, pipeline: str = "HunyuanVideoPipeline") -> Path:
    """Writes the model unless it is there already; gives the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
    from transformers import LlamaConfig, LlamaModel

    words = llama_tokenizer(folder / "tokenizer", DEFAULT_PROMPT_TEMPLATE["template"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _write_vae_and_clip(folder)
        LlamaModel(LlamaConfig(vocab_size=words, **_LLAMA)).save_pretrained(folder / "text_encoder")
    return write_index(folder, pipeline, _PARTS)


build_skyreels = partial(build, pipeline="HunyuanSkyreelsImageToVideoPipeline")


def build_framepack(folder: Path) -> Path:
    """HunyuanVideo with SigLIP."""
    if not (folder / "model_index.json").exists():
        build(folder)
        siglip(folder, image_side=28, patch=7)
        write_index(folder, "HunyuanVideoFramepackPipeline", {**_PARTS, **_SIGLIP})
    return folder


def build_i2v(folder: Path, *, condition: str = "token_replace") -> Path:
    """HunyuanVideo with LLaVA, whose vision gives 576 tokens of a picture."""
    if (folder / "model_index.json").exists():
        return folder
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video_image2video as theirs
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    # Before the caption its template has 103 tokens, as with LLaMA's own tokenizer.
    template = theirs.DEFAULT_PROMPT_TEMPLATE["template"]
    words = llama_tokenizer(folder / "tokenizer", template, more=("<image>",))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _write_vae_and_clip(folder)
        vision = CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=48,
            patch_size=2,
            projection_dim=16,
        )
        llava = LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=vision,
                text_config=LlamaConfig(vocab_size=words, **_LLAMA),
                image_token_index=_IMAGE_TOKEN,
                pad_token_id=_PAD,
            )
        )
    llava.save_pretrained(folder / "text_encoder")
    size = {"height": 48, "width": 48}
    processor = CLIPImageProcessor(size={"shortest_edge": 48}, crop_size=size)
    processor.save_pretrained(folder / "image_processor")
    _write_config(folder / "transformer", {"image_condition_type": condition})
    return write_index(folder, "HunyuanVideoImageToVideoPipeline", {**_PARTS, **_LLAVA})


build_i2v_concat = partial(build_i2v, condition="latent_concat")


def _write_config(folder: Path, config: Mapping[str, object]) -> None:
    folder.mkdir()
    config = {"_class_name": "HunyuanVideoTransformer3DModel", **config}
    (folder / "config.json").write_text(json.dumps(config))


def _write_vae_and_clip(folder: Path) -> None:
    letters = clip_tokenizer(folder / "tokenizer_2")
    tiny_vae().save_pretrained(folder / "vae")
    tiny_clip(letters).save_pretrained(folder / "text_encoder_2")


def tiny_vae() -> Any:
    """Return the VAE, which other families have, too; of the current seed."""
    from diffusers import AutoencoderKLHunyuanVideo

    return AutoencoderKLHunyuanVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=0.476986,
    )


def tiny_clip(letters: int) -> Any:
    """Return CLIP's text encoder, of the current seed.

    Args:
        letters: the size of its vocabulary, which ends with the tokens of start and end.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=letters,
            hidden_size=24,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=24,
            pad_token_id=letters - 1,
            bos_token_id=letters - 2,
            eos_token_id=letters - 1,
        )
    )


def transformer(kind: type | None = None, **more: Any) -> Any:
    """A tiny transformer for a pipeline: HunyuanVideo's, or one of another class."""
    from diffusers import HunyuanVideoTransformer3DModel

    config = {"in_channels": 4, **more}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = (kind or HunyuanVideoTransformer3DModel)(
            out_channels=4, num_attention_heads=2, attention_head_dim=16, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, text_embed_dim=32, pooled_projection_dim=24,
            rope_axes_dim=(4, 6, 6), **config,
        )  # fmt: skip
    return made.eval()
