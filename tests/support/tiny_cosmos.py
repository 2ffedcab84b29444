"""Tiny Cosmos models in the layout of the real ones, from the real classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.support.tiny_parts import qwen_tokenizer, tiny_qwen_vl, write_index
from tests.support.tiny_wan import write_vae
from videoprep.demo.tiny_model import VOCABULARY, write_tokenizer

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
)
"""The form of Qwen2.5-VL's conversations, of which each message has parts."""


def build_cosmos25(folder: Path, pipeline: str = "Cosmos2_5_PredictBasePipeline") -> Path:
    """Predict 2.5, or Transfer 2.5: writes it unless it is there already; gives the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from transformers import AutoTokenizer

    from videoprep.families.cosmos25 import conversation

    messages, _ = conversation("")
    words = qwen_tokenizer(folder / "tokenizer", messages[0]["content"][0]["text"])
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        qwen = tiny_qwen_vl(words)
    write_vae(folder / "vae", z_dim=4)
    qwen.save_pretrained(folder / "text_encoder")
    parts = {
        "text_encoder": "transformers.Qwen2_5_VLForConditionalGeneration",
        "tokenizer": "transformers.Qwen2Tokenizer",
        "vae": "diffusers.AutoencoderKLWan",
    }
    return write_index(folder, pipeline, parts)


build_transfer25 = partial(build_cosmos25, pipeline="Cosmos2_5_TransferPipeline")


def build_cosmos2(folder: Path) -> Path:
    """Predict 2: writes it unless it is there already; gives the folder."""
    if (folder / "model_index.json").exists():
        return folder
    from transformers import T5Config, T5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        text_encoder = T5EncoderModel(
            T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
        )
    write_vae(folder / "vae", z_dim=4)
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", max_length=512)
    parts = {
        "text_encoder": "transformers.T5EncoderModel",
        "tokenizer": "transformers.T5TokenizerFast",
        "vae": "diffusers.AutoencoderKLWan",
    }
    return write_index(folder, "Cosmos2VideoToWorldPipeline", parts)


def pictures(clip: torch.Tensor) -> list[Image.Image]:
    """Return the frames of a clip, ``[1, 3, F, H, W]`` in −1…1, as the pipelines take them."""
    shown = ((clip[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    return [Image.fromarray(np.ascontiguousarray(one)) for one in shown]


class Guard:
    """The safety checker that the pipelines insist on; it lets everything pass."""

    def to(self, *where: Any) -> Guard:
        del where
        return self

    def check_text_safety(self, text: str) -> bool:
        del text
        return True


class StoppedError(Exception):
    """What a pipeline gave to its transformer, in whose place `Ear` stands."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given


class Ear(torch.nn.Module):
    """Stands in the place of a transformer: keeps what it is given, and ends the pipeline's run."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = type("Config", (), {"in_channels": 5, **config})()

    def forward(self, **given: Any) -> None:
        raise StoppedError(given)
