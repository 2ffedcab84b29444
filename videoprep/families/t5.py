"""T5 and UMT5 as text encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from videoprep.families.contract import TextEncoder

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase


class T5Text(TextEncoder):
    """Captions padded to the limit and encoded.

    Args:
        tokenizer: the model's own.
        model: the encoder.
        limit: tokens that a caption is padded and cut to.
        masked: whether the encoder is told which tokens are padding.
        keep_padding: whether embeddings of padding are part of the result.
        clean: what is done to a caption before.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        limit: int,
        *,
        masked: bool,
        keep_padding: bool,
        clean: Callable[[str], str] = str,
    ) -> None:
        self.limit = limit
        self._tokenizer, self._model = tokenizer, model
        self._masked, self._keep_padding, self._clean = masked, keep_padding, clean

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch

        tokens = self._tokens(captions)
        device = self._model.device
        mask = {"attention_mask": tokens.attention_mask.to(device)} if self._masked else {}
        with torch.inference_mode():
            embeds = self._model(tokens.input_ids.to(device), **mask)[0]
        if self._keep_padding:
            return list(embeds)
        lengths = tokens.attention_mask.sum(dim=1).tolist()
        return [embed[:length] for embed, length in zip(embeds, lengths, strict=True)]

    def mask(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch

        return list(self._tokens(captions).attention_mask.to(torch.uint8))

    def _tokens(self, captions: Sequence[str]) -> BatchEncoding:
        return self._tokenizer(
            [self._clean(caption) for caption in captions],
            padding="max_length",
            max_length=self.limit,
            truncation=True,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        )

    def count_tokens(self, caption: str) -> int:
        tokens = self._tokenizer(self._clean(caption), add_special_tokens=True, verbose=False)
        return len(tokens.input_ids)
