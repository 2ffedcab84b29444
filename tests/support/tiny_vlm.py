"""Tiny models of real classes that answer in sentences: what they say depends on what they see.

Their weights are made, not trained. Every token of an answer is a part of a sentence. The output
weights of a part point to the input embeddings of those that it may follow, and one direction of
their own tells which of several parts it is: what attention adds to it decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

_SUBJECTS = (
    ("A red ball", " with two stripes", " and a dull shine"),
    ("The grey cat", " with a white chest", " and long whiskers"),
    ("One small boat", " with a blue hull", " and no sail"),
    ("An old lamp", " of green glass", " on a thin stand"),
)
_ACTIONS = (
    (" moves slowly", " across a wooden floor", ", from left to right."),
    (" stands in place", " beside a brick wall", ", in late daylight."),
    (" turns once", " above calm water", ", under thin clouds."),
    (" comes nearer", " through a narrow street", ", past closed shops."),
)
_CAMERAS = (
    (" The camera", " keeps still", " at eye level."),
    (" A handheld view", " follows it closely", " from behind."),
    (" The picture", " pans gently", " towards the right."),
)
_STEPS = (_SUBJECTS, _ACTIONS, _CAMERAS)

_HIDDEN = 64
TEXT: dict[str, Any] = {
    "hidden_size": _HIDDEN,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.05,
    "tie_word_embeddings": False,
}

# As the real ones write it: parts of a message in turn, and then whose turn it is.
_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}
IMAGE
{%- elif part.type == 'video' -%}
VIDEO
{%- elif part.type == 'text' -%}
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


def build_tiny_qwen3_vl(folder: Path, seed: int = 0) -> Path:
    """Write a Qwen3-VL, which takes videos and images; give the folder."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    special = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = tiny_tokenizer(special)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(special))
    config = Qwen3VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": _HIDDEN,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.2,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    size = {"shortest_edge": 32 * 32 * 2, "longest_edge": 32 * 32 * 128}
    images = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(size={**size, "longest_edge": 32 * 32 * 16}, **images),
        tokenizer,
        Qwen3VLVideoProcessor(size=size, **images),
        chat_template=chat_template(
            "<|vision_start|><|image_pad|><|vision_end|>",
            "<|vision_start|><|video_pad|><|vision_end|>",
        ),
    )
    with seeded(seed):
        model = Qwen3VLForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder, seed)


def build_tiny_llava_onevision(folder: Path, seed: int = 0) -> Path:
    """Write a LLaVA-OneVision, which takes videos and images; give the folder."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    special = ("<image>", "<video>")
    tokenizer = tiny_tokenizer(special)
    image, video = tokenizer.convert_tokens_to_ids(list(special))
    side, patch = 56, 14
    grid = [[side, side], [side, 2 * side], [2 * side, side]]
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": side,
            "patch_size": patch,
            "vision_use_head": False,
            "initializer_range": 0.2,
        },
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=grid,
        tie_word_embeddings=False,
    )
    size = {"height": side, "width": side}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grid),
        tokenizer,
        LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(side // patch) ** 2,
        vision_feature_select_strategy="full",
        chat_template=chat_template("<image>\n", "<video>\n"),
    )
    with seeded(seed):
        model = LlavaOnevisionForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder, seed)


def build_tiny_smolvlm(folder: Path, seed: int = 0) -> Path:
    """Write a SmolVLM, which takes videos and images; give the folder."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    tokenizer = tiny_tokenizer(special, end="<end_of_utterance>")
    side, patch, scale = 128, 16, 2
    config = SmolVLMConfig(
        text_config={
            "model_type": "llama",
            **TEXT,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": side,
            "patch_size": patch,
            "initializer_range": 0.6,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=scale,
        tie_word_embeddings=False,
    )
    size = {"size": {"longest_edge": side}, "max_image_size": {"longest_edge": side}}
    sampling = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": side}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**size),
        tokenizer,
        SmolVLMVideoProcessor(**size, video_sampling=sampling),
        image_seq_len=(side // patch // scale) ** 2,
        chat_template=chat_template("<image>", "<video>"),
    )
    with seeded(seed):
        model = SmolVLMForConditionalGeneration(config)
    return save_model(model, processor, tokenizer, folder, seed, turn=":")


def build_tiny_llm(folder: Path, seed: int = 0) -> Path:
    """Write a Qwen3 that reads text alone; give the folder."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = tiny_tokenizer(())
    tokenizer.chat_template = chat_template("", "")
    config = Qwen3Config(**TEXT, vocab_size=len(tokenizer), head_dim=16)
    with seeded(seed):
        model = Qwen3ForCausalLM(config)
    return save_model(model, tokenizer, tokenizer, folder, seed)


def chat_template(image: str, video: str) -> str:
    """Return a template that writes these for an image and for a video."""
    return _TEMPLATE.replace("IMAGE", image).replace("VIDEO", video)


def tiny_tokenizer(special: Sequence[str], end: str = "<|im_end|>", **named: str) -> Any:
    """Bytes, in the form of byte-level pairs without any; and the parts of answers."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(_written(part) for part in _parts())]
    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    controls = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *special)
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in controls])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=end,
        pad_token="<|endoftext|>",
        extra_special_tokens=named,
    )


def _parts() -> Iterator[str]:
    return (part for step in _STEPS for chain in step for part in chain)


def _written(part: str) -> str:
    """How byte-level vocabularies write a text."""
    return part.replace(" ", "Ġ")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the same weights each time while the block runs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def save_model(
    model: Any, processor: Any, tokenizer: Any, folder: Path, seed: int = 0, turn: str = "Ċ"
) -> Path:
    """Write a model and its processor, so that answers are sentences; give the folder."""
    _speak(model, tokenizer, seed, turn)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@torch.no_grad()
def _speak(model: Any, tokenizer: Any, seed: int, turn: str) -> None:
    """Set the embeddings so that answers are sentences, which follow on how a turn begins."""
    random = torch.Generator().manual_seed(seed)
    directions, _ = torch.linalg.qr(torch.randn(_HIDDEN, _HIDDEN, generator=random))
    free = iter(directions)
    ids: Mapping[str, int] = tokenizer.get_vocab()
    embeds, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    embeds.normal_(generator=random)
    head.zero_()

    def follow(before: Sequence[int], part: int, alone: bool) -> None:
        for one in before:
            head[part] += embeds[one] / embeds[one].norm()
        if not alone:
            head[part] += 8 * next(free)

    def shown(part: str) -> int:
        number = ids[_written(part)]
        embeds[number] = 8 * next(free)
        return number

    embeds[ids[turn]] = 8 * next(free)
    ends = [ids[turn]]
    for step in _STEPS:
        chains = [[shown(part) for part in chain] for chain in step]
        for chain in chains:
            follow(ends, chain[0], alone=False)
            for before, after in pairwise(chain):
                follow([before], after, alone=True)
        ends = [chain[-1] for chain in chains]
    follow(ends, tokenizer.eos_token_id, alone=True)


def same_but(model: Path, folder: Path, name: str, **changes: object) -> Path:
    """Write the model with other values in one of its JSON files; give the folder."""
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    told = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps({**told, **changes}))
    return folder
