"""T5 and UMT5 as text encoders, and families that have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import load_encoder, load_tokenizer

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
        masks = tokens.attention_mask.bool().to(embeds.device)
        return [embed[mask] for embed, mask in zip(embeds, masks, strict=True)]

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


class T5Family(DiffusersFamily):
    """A family with one text encoder, which gives an embedding a token.

    Attributes:
        masked: whether the encoder is told which tokens are padding.
        keeps_padding: whether embeddings of padding are stored: where the transformer sees them.
    """

    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "T5EncoderModel"}
    masked: ClassVar[bool]
    keeps_padding: ClassVar[bool] = False

    def masks_padding(self, model: ModelFolder) -> bool:
        """Return whether this model's encoder is told which tokens are padding."""
        del model
        return self.masked

    def clean(self, caption: str) -> str:
        """What the pipeline does to a caption before it is cut into tokens."""
        return caption

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        count = super().load_token_counter(model)
        return lambda caption: count(self.clean(caption))

    def text_settings(self, part: str) -> Mapping[str, Any]:
        return {
            "max_tokens": self.max_tokens,
            "attention_mask": self.masked,
            "padding": "kept" if self.keeps_padding else "left out",
        }

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        encoder = load_encoder(
            self.text_classes[part], model, part, device, dtype, eight_bit=eight_bit
        )
        return T5Text(
            load_tokenizer(model, self.tokenizers[part]),
            encoder,
            self.token_limit(model),
            masked=self.masks_padding(model),
            keep_padding=self.keeps_padding,
            clean=self.clean,
        )
