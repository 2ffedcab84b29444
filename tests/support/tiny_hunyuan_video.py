"""A tiny HunyuanVideo in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_parts import clip_tokenizer, llama_tokenizer, write_index


def build(folder: Path) -> Path:
    """Writes the model unless it is there already; gives the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
    from transformers import LlamaConfig, LlamaModel

    words = llama_tokenizer(folder / "tokenizer", DEFAULT_PROMPT_TEMPLATE["template"])
    letters = clip_tokenizer(folder / "tokenizer_2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = tiny_vae()
        llama = LlamaModel(
            LlamaConfig(
                vocab_size=words,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=1024,
                pad_token_id=5,
                bos_token_id=0,
                eos_token_id=1,
            )
        )
        clip = tiny_clip(letters)
    vae.save_pretrained(folder / "vae")
    llama.save_pretrained(folder / "text_encoder")
    clip.save_pretrained(folder / "text_encoder_2")
    parts = {
        "text_encoder": "transformers.LlamaModel",
        "text_encoder_2": "transformers.CLIPTextModel",
        # LlamaTokenizerFast, which real folders name, would not read tokenizer.json as it is.
        "tokenizer": "transformers.PreTrainedTokenizerFast",
        "tokenizer_2": "transformers.CLIPTokenizer",
        "vae": "diffusers.AutoencoderKLHunyuanVideo",
    }
    return write_index(folder, "HunyuanVideoPipeline", parts)


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
