"""A tiny Kandinsky 5 Video in the layout of the real one, from the real classes."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.tiny_hunyuan_video import tiny_clip, tiny_vae
from tests.support.tiny_parts import clip_tokenizer, llama_tokenizer, tiny_qwen_vl, write_index


def build(folder: Path, pipeline: str = "Kandinsky5T2VPipeline") -> Path:
    """Write the model unless it is there already; give the folder."""
    if (folder / "model_index.json").exists():
        return folder
    import transformers

    from videoprep.families.kandinsky5 import prompt_template

    words = llama_tokenizer(folder / "words", prompt_template().text)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder / "words")
    transformers.Qwen2_5_VLProcessor(
        transformers.Qwen2VLImageProcessor(),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(),
        chat_template="{{ messages }}",
    ).save_pretrained(folder / "tokenizer")
    letters = clip_tokenizer(folder / "tokenizer_2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = tiny_vae()
        qwen = tiny_qwen_vl(words)
        clip = tiny_clip(letters)
    vae.save_pretrained(folder / "vae")
    qwen.save_pretrained(folder / "text_encoder")
    clip.save_pretrained(folder / "text_encoder_2")
    parts = {
        "text_encoder": "transformers.Qwen2_5_VLForConditionalGeneration",
        "text_encoder_2": "transformers.CLIPTextModel",
        "tokenizer": "transformers.Qwen2_5_VLProcessor",
        "tokenizer_2": "transformers.CLIPTokenizer",
        "vae": "diffusers.AutoencoderKLHunyuanVideo",
    }
    return write_index(folder, pipeline, parts)
