"""The demo's captioner before it learns: a LLaVA-OneVision of few weights, and its vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SIDE = 64
"""Frames are resized to a square of so many pixels."""
_PATCH = 8

_VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": _PATCH,
    "vision_use_head": False,
}
_TEXT = {
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}

_PAD, _END = "<|endoftext|>", "<|im_end|>"
_CONTROLS = (_PAD, "<|im_start|>", _END, "<image>", "<video>")
_VOCABULARY = 640
_LONGEST_TEXT = 4096

_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type in ('image', 'video') -%}
<{{ part.type }}>
{% elif part.type == 'text' -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def make_processor(sentences: Iterable[str]) -> Any:
    """Return what turns frames and text into tensors.

    Args:
        sentences: from which the vocabulary is learnt; it can spell all other text in bytes.
    """
    from transformers import (
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    how = {"size": {"height": SIDE, "width": SIDE}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(**how, image_grid_pinpoints=[[SIDE, SIDE]]),
        _make_tokenizer(sentences),
        LlavaOnevisionVideoProcessor(**how),
        num_image_tokens=(SIDE // _PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=_TEMPLATE,
    )


def make_model(tokenizer: Any) -> Any:
    """Return the model, its weights random.

    Args:
        tokenizer: the processor's.
    """
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    config = LlavaOnevisionConfig(
        text_config={**_TEXT, "vocab_size": len(tokenizer)},
        vision_config=_VISION,
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=[[SIDE, SIDE]],
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write a model folder in the layout of transformers, its weights in float16."""
    import torch

    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
        if path.suffix == ".json":
            _write_tidily(path)


def _write_tidily(path: Path) -> None:
    """Write a JSON file again so that a line more ends it, and no path of this machine is in it."""
    told = json.loads(path.read_text(encoding="utf-8"))
    told.pop("_name_or_path", None)
    indent = None if path.name == "tokenizer.json" else 2
    path.write_text(json.dumps(told, indent=indent) + "\n", encoding="utf-8")


def _make_tokenizer(sentences: Iterable[str]) -> Any:
    """Byte-level pairs: words of the sentences are a token each."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY - len(_CONTROLS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in _CONTROLS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=_END,
        pad_token=_PAD,
        padding_side="left",
        model_max_length=_LONGEST_TEXT,
    )
