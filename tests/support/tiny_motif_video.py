"""A tiny Motif-Video in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_parts import llama_tokenizer, write_index
from tests.support.tiny_wan import write_vae

_TEXT = "A dog runs along the beach, and the camera follows it. "


def build(folder: Path, *, pipeline: str = "MotifVideoPipeline") -> Path:
    """Write it unless it is there already; return the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from transformers import SiglipImageProcessor, T5Gemma2Encoder
    from transformers.models.t5gemma2.configuration_t5gemma2 import T5Gemma2EncoderConfig

    vocabulary = llama_tokenizer(folder / "tokenizer", _TEXT)
    write_vae(folder / "vae", z_dim=4)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    text = {
        "vocab_size": vocabulary,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "pad_token_id": 5,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dropout_rate": 0.0,
    }
    vision = {"num_hidden_layers": 2, "image_size": 28, "patch_size": 7}
    config = T5Gemma2EncoderConfig(
        text_config={"model_type": "t5gemma2_text", **sizes, **text},
        vision_config={"model_type": "siglip_vision_model", **sizes, **vision},
        mm_tokens_per_image=4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        encoder = T5Gemma2Encoder(config)
    encoder.save_pretrained(folder / "text_encoder")
    processor = SiglipImageProcessor(size={"height": 28, "width": 28})
    processor.save_pretrained(folder / "feature_extractor")
    parts = {
        "text_encoder": "transformers.T5Gemma2Encoder",
        "tokenizer": "transformers.GemmaTokenizerFast",
        "vae": "diffusers.AutoencoderKLWan",
        "feature_extractor": "transformers.SiglipImageProcessor",
    }
    return write_index(folder, pipeline, parts)
