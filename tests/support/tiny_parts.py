"""Parts that tiny models share: tokenizers in the form of real ones, and their index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def clip_tokenizer(folder: Path) -> int:
    """Byte pairs without a single merge, as CLIP has; gives the vocabulary's size."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(words)


# How LLaMA 3 cuts a text into words.
_LLAMA_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def llama_tokenizer(folder: Path, text: str, *, more: Sequence[str] = ()) -> int:
    """Byte-level pairs learnt from a text, as tokenizer.json; gives the vocabulary's size.

    Args:
        folder: where it is written.
        text: what is learnt.
        more: further special tokens, with the numbers from 6 on.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>"]
    special += ["<|end_header_id|>", "<|eot_id|>", "<pad>", *more]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_LLAMA_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text] * 8, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<pad>",
        padding_side="right",
    )
    wrapped.save_pretrained(folder)
    return tokenizer.get_vocab_size()


CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The conversation's form in Qwen's models."""


def qwen_tokenizer(folder: Path, text: str) -> int:
    """Qwen's byte pairs, learnt from a text until each word is a token, with its chat template.

    Gives the vocabulary's size.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learnt.train_from_iterator([text, "system", "user", "assistant"] * 8, trainer)
    model = json.loads(learnt.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        extra_special_tokens=special[1:],
        padding_side="right",
    )
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def byte_tokenizer(folder: Path) -> int:
    """ByT5's tokenizer, which has no vocabulary file; gives the vocabulary's size."""
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer()
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def siglip(folder: Path, *, image_side: int, patch: int) -> None:
    """Write SigLIP's ``image_encoder`` and ``feature_extractor`` into a model folder."""
    import torch
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = SiglipVisionModel(
            SiglipVisionConfig(
                hidden_size=24,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                image_size=image_side,
                patch_size=patch,
            )
        )
    encoder.save_pretrained(folder / "image_encoder")
    half = [0.5, 0.5, 0.5]
    processor = SiglipImageProcessor(
        size={"height": image_side, "width": image_side}, image_mean=half, image_std=half
    )
    processor.save_pretrained(folder / "feature_extractor")


def write_index(folder: Path, pipeline: str, parts: Mapping[str, object], **more: object) -> Path:
    """Writes ``model_index.json``; parts are ``library.Class``, or None. Gives the folder."""
    named = {
        name: [None, None] if kind is None else str(kind).split(".") for name, kind in parts.items()
    }
    index = {"_class_name": pipeline, **named, **more}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def copy_as(model: Path, folder: Path, *, pipeline: str) -> Path:
    """The same model as one of another pipeline class, by which its family is recognized."""
    shutil.copytree(model, folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": pipeline}))
    return folder


def tiny_qwen_vl(words: int) -> Any:
    """Return Qwen2.5-VL, which other families have, too; of the current seed.

    Args:
        words: the size of its vocabulary.
    """
    import transformers

    rotary = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": words,
            "rope_parameters": rotary,
        },
        vision_config={
            "depth": 1,
            "num_heads": 2,
            "hidden_size": 16,
            "intermediate_size": 16,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        tie_word_embeddings=False,
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config)
