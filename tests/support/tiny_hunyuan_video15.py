"""A tiny HunyuanVideo 1.5 in the layout of the real one, from the real classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from tests.support.tiny_parts import (
    byte_tokenizer,
    qwen_tokenizer,
    siglip,
    write_index,
)

IMAGE_SIDE, PATCH = 28, 7
_PARTS = {
    "tokenizer": "transformers.Qwen2Tokenizer",
    "text_encoder": "transformers.Qwen2_5_VLTextModel",
    "tokenizer_2": "transformers.ByT5Tokenizer",
    "text_encoder_2": "transformers.T5EncoderModel",
    "vae": "diffusers.AutoencoderKLHunyuanVideo15",
}


def build(folder: Path, *, images: bool = False) -> Path:
    """Write the model unless it is there already, for image-to-video if asked; give the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from diffusers import AutoencoderKLHunyuanVideo15, HunyuanVideo15Pipeline
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, T5Config, T5EncoderModel

    words = qwen_tokenizer(folder / "tokenizer", system_message(HunyuanVideo15Pipeline))
    letters = byte_tokenizer(folder / "tokenizer_2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLHunyuanVideo15(
            latent_channels=4,
            block_out_channels=(8, 8, 16, 16, 16),
            layers_per_block=1,
        )
        qwen = Qwen2_5_VLTextModel(
            Qwen2_5_VLTextConfig(
                vocab_size=words,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=2048,
                rope_parameters={
                    "rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2],
                },
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
            )
        )  # fmt: skip
        byt5 = T5EncoderModel(
            T5Config(vocab_size=letters, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        )
    vae.save_pretrained(folder / "vae")
    qwen.save_pretrained(folder / "text_encoder")
    byt5.save_pretrained(folder / "text_encoder_2")
    if not images:
        return write_index(folder, "HunyuanVideo15Pipeline", _PARTS)
    siglip(folder, image_side=IMAGE_SIDE, patch=PATCH)
    more = {
        "image_encoder": "transformers.SiglipVisionModel",
        "feature_extractor": "transformers.SiglipImageProcessor",
    }
    return write_index(folder, "HunyuanVideo15ImageToVideoPipeline", {**_PARTS, **more})


build_i2v = partial(build, images=True)


def system_message(pipeline: type) -> str:
    """What the system says first in the conversation around a caption."""
    import inspect

    said = inspect.signature(pipeline._get_mllm_prompt_embeds)  # type: ignore[attr-defined]
    message: str = said.parameters["system_message"].default
    return message
