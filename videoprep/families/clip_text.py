"""CLIP's text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoprep.families.contract import TextEncoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CLIP_TOKENS = 77
"""Captions are padded and cut to this many tokens."""


class ClipText(TextEncoder):
    """CLIP's pooled embedding of a caption: ``[features]``.

    Args:
        tokenizer: the model's own.
        model: the encoder.
    """

    limit = CLIP_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch

        tokens = self._tokenizer(
            list(captions),
            padding="max_length",
            max_length=CLIP_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            return list(self._model(tokens.input_ids.to(self._model.device)).pooler_output)

    def count_tokens(self, caption: str) -> int:
        return len(self._tokenizer(caption, verbose=False).input_ids)
