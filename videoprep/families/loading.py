"""Loads the parts of a model folder that are transformers' own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videoprep.families.model_folder import ModelFolder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(model: ModelFolder, part: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer in a part of the model."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(model.path / part))
    return tokenizer


def load_encoder(
    name: str,
    model: ModelFolder,
    part: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    eight_bit: bool = False,
) -> PreTrainedModel:
    """Loads a part of the model as transformers' class of that name.

    Args:
        name: of the class.
        model: where it is.
        part: its folder.
        device: where it runs.
        dtype: what it computes in.
        eight_bit: whether its weights are held in 8 bits, by bitsandbytes.
    """
    transformers = importlib.import_module("transformers")
    how: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if eight_bit:
        how |= {"quantization_config": transformers.BitsAndBytesConfig(load_in_8bit=True)}
        how |= {"device_map": {"": str(device)}}
    encoder = getattr(transformers, name).from_pretrained(str(model.path / part), **how)
    if not eight_bit:
        encoder = encoder.to(device)
    loaded: PreTrainedModel = encoder.eval()
    return loaded
