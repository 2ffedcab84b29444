"""Tiny models of more classes that take videos or images, made as those of `tiny_vlm` are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from tests.support.tiny_vlm import TEXT, chat_template, save_model, seeded, tiny_tokenizer

_SIDE, _PATCH = 56, 14
_SQUARE = {"height": _SIDE, "width": _SIDE}
_AREA = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 128}
_GRID = [[_SIDE, _SIDE], [_SIDE, 2 * _SIDE], [2 * _SIDE, _SIDE]]
_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": _SIDE,
    "patch_size": _PATCH,
}
_QWEN_TEMPLATE = (
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|vision_start|><|video_pad|><|vision_end|>",
)


def _rotary(section: list[int], **more: object) -> dict[str, object]:
    told = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": section}
    return {"rope_parameters": {**told, **more}}


def _qwen_parts() -> tuple[Any, dict[str, Any]]:
    special = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = tiny_tokenizer(special)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(special))
    return tokenizer, {
        "text_config": {**TEXT, "vocab_size": len(tokenizer), **_rotary([2, 3, 3])},
        "image_token_id": image,
        "video_token_id": video,
        "vision_start_token_id": start,
        "vision_end_token_id": end,
        "tie_word_embeddings": False,
    }


def _qwen_processor(kind: Any, tokenizer: Any) -> Any:
    return kind(
        transformers.Qwen2VLImageProcessor(size=_AREA),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(size=_AREA),
        chat_template=chat_template(*_QWEN_TEMPLATE),
    )


def _qwen2_vl(folder: Path) -> Path:
    tokenizer, parts = _qwen_parts()
    vision = {"depth": 2, "num_heads": 2, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
    config = transformers.Qwen2VLConfig(**parts, vision_config=vision)
    processor = _qwen_processor(transformers.Qwen2VLProcessor, tokenizer)
    model = transformers.Qwen2VLForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


def _qwen2_5_vl(folder: Path) -> Path:
    tokenizer, parts = _qwen_parts()
    vision = {
        "depth": 2,
        "num_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    config = transformers.Qwen2_5_VLConfig(**parts, vision_config=vision)
    processor = _qwen_processor(transformers.Qwen2_5_VLProcessor, tokenizer)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


def _glm4v(folder: Path) -> Path:
    pictures = ("<|begin_of_image|>", "<|end_of_image|>", "<|image|>")
    videos = ("<|begin_of_video|>", "<|end_of_video|>", "<|video|>")
    tokenizer = tiny_tokenizer((*pictures, *videos))
    numbers = tokenizer.convert_tokens_to_ids([*pictures, *videos])
    names = ("image_start_token_id", "image_end_token_id", "image_token_id")
    names += ("video_start_token_id", "video_end_token_id", "video_token_id")
    rotary = _rotary([2, 1, 1], partial_rotary_factor=0.5)
    config = transformers.Glm4vConfig(
        text_config={**TEXT, "vocab_size": len(tokenizer), **rotary},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 64,
        },
        tie_word_embeddings=False,
        **dict(zip(names, numbers, strict=True)),
    )
    processor = transformers.Glm4vProcessor(
        transformers.Glm4vImageProcessor(size=_AREA),
        tokenizer,
        transformers.Glm4vVideoProcessor(size=_AREA),
        chat_template=chat_template(
            "<|begin_of_image|><|image|><|end_of_image|>",
            "<|begin_of_video|><|video|><|end_of_video|>",
        ),
    )
    model = transformers.Glm4vForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


def _internvl(folder: Path) -> Path:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tiny_tokenizer(tuple(named.values()), **named)
    sizes = {"image_size": [_SIDE, _SIDE], "patch_size": [_PATCH, _PATCH]}
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(tokenizer)},
        vision_config={**_SMALL, **sizes},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    processor = transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessor(size=_SQUARE),
        tokenizer,
        transformers.InternVLVideoProcessor(size=_SQUARE),
        image_seq_length=4,
        chat_template=chat_template("<IMG_CONTEXT>\n", "<video>\n"),
    )
    model = transformers.InternVLForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


def _llava_next_video(folder: Path) -> Path:
    special = ("<image>", "<video>")
    tokenizer = tiny_tokenizer(special)
    image, video = tokenizer.convert_tokens_to_ids(list(special))
    vision = {"model_type": "clip_vision_model", **_SMALL, "projection_dim": 32}
    config = transformers.LlavaNextVideoConfig(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(tokenizer)},
        vision_config=vision,
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=_GRID,
        image_seq_length=16,
        video_seq_length=4,
        tie_word_embeddings=False,
    )
    size = {"size": {"shortest_edge": _SIDE}, "crop_size": _SQUARE}
    processor = transformers.LlavaNextVideoProcessor(
        video_processor=transformers.LlavaNextVideoVideoProcessor(**size),
        image_processor=transformers.LlavaNextImageProcessor(**size, image_grid_pinpoints=_GRID),
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template("<image>\n", "<video>\n"),
    )
    model = transformers.LlavaNextVideoForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


def _gemma3(folder: Path) -> Path:
    """Takes images alone."""
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = tiny_tokenizer(tuple(named.values()), **named)
    begin, end, image = tokenizer.convert_tokens_to_ids([*named.values()])
    config = transformers.Gemma3Config(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "head_dim": 16,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**_SMALL, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=begin,
        eoi_token_index=end,
        image_token_index=image,
        tie_word_embeddings=False,
    )
    processor = transformers.Gemma3Processor(
        transformers.Gemma3ImageProcessor(size=_SQUARE),
        tokenizer,
        image_seq_length=4,
        chat_template=chat_template("<start_of_image>", ""),
    )
    model = transformers.Gemma3ForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder)


CLASSES: dict[str, Callable[[Path], Path]] = {
    "Qwen2VLForConditionalGeneration": _qwen2_vl,
    "Qwen2_5_VLForConditionalGeneration": _qwen2_5_vl,
    "Glm4vForConditionalGeneration": _glm4v,
    "InternVLForConditionalGeneration": _internvl,
    "LlavaNextVideoForConditionalGeneration": _llava_next_video,
    "Gemma3ForConditionalGeneration": _gemma3,
}
"""What writes a tiny model of a class into a folder."""


def build_tiny(name: str, folder: Path) -> Path:
    """Write a tiny model of a class; give the folder."""
    with seeded(0):
        return CLASSES[name](folder)
