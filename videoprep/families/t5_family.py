"""Families whose text encoder is T5 or UMT5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.loading import load_encoder, load_tokenizer
from videoprep.families.model_folder import ModelFolder
from videoprep.families.t5 import T5Text

if TYPE_CHECKING:
    import torch


class T5Family(DiffusersFamily):
    """A family with one text encoder, which gives an embedding a token.

    Attributes:
        masked: whether the encoder is told which tokens are padding.
        keeps_padding: whether embeddings of padding are stored: where the transformer sees them.
    """

    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "T5EncoderModel"}
    masked: ClassVar[bool]
    keeps_padding: ClassVar[bool] = False

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
            self.max_tokens,
            masked=self.masked,
            keep_padding=self.keeps_padding,
            clean=self.clean,
        )
