"""A tiny Sana-Video in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_parts import llama_tokenizer, write_index
from tests.support.tiny_wan import write_vae
from videoprep.families.sana_video import instruction


def build(folder: Path, *, pipeline: str = "SanaVideoPipeline") -> Path:
    """Write it unless it is there already; return the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from transformers import Gemma2Config, Gemma2Model

    vocabulary = llama_tokenizer(folder / "tokenizer", instruction())
    write_vae(folder / "vae", z_dim=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        encoder = Gemma2Model(
            Gemma2Config(
                vocab_size=vocabulary,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                head_dim=8,
                query_pre_attn_scalar=8,
                pad_token_id=5,
                bos_token_id=0,
                eos_token_id=1,
            )
        )
    encoder.save_pretrained(folder / "text_encoder")
    parts = {
        "text_encoder": "transformers.Gemma2Model",
        "tokenizer": "transformers.GemmaTokenizerFast",
        "vae": "diffusers.AutoencoderKLWan",
    }
    return write_index(folder, pipeline, parts)
