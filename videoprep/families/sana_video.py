"""Sana-Video: Wan's VAE, and Gemma 2 that is told to enhance the caption before it reads it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.component import IMAGE_LATENTS, VIDEO_LATENTS, Component, prompt_embeds
from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, load_encoder, load_tokenizer
from videoprep.families.wan import Wan

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 300
"""Tokens of a caption, with the one at the beginning and the last one of the instruction."""


class Gemma2Text(TextEncoder):
    """Captions after an instruction, of which only its first and its last token are kept.

    The empty caption has no instruction: it is what the pipeline takes for a negative prompt.

    Args:
        tokenizer: the model's own.
        model: Gemma 2.
    """

    limit = MAX_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._instruction = instruction()
        self._before = len(tokenizer.encode(self._instruction))

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """Return the embeddings of what is no padding: ``[tokens, features]`` each."""
        cleaned = [clean(caption) for caption in captions]
        texts = [self._instruction + text for text in cleaned if text]
        told = iter(self._encoded(texts, self._before + MAX_TOKENS - 2) if texts else ())
        alone = iter(self._encoded([""] * cleaned.count(""), MAX_TOKENS) if "" in cleaned else ())
        return [next(told) if text else next(alone) for text in cleaned]

    def _encoded(self, texts: Sequence[str], length: int) -> Sequence[torch.Tensor]:
        import torch

        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            padding_side="right",
            max_length=length,
            truncation=True,
            add_special_tokens=True,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.inference_mode():
            embeds = self._model(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        kept = [0, *range(length - MAX_TOKENS + 1, length)]
        pairs = zip(embeds[:, kept], tokens.attention_mask[:, kept].bool(), strict=True)
        return [embed[mask] for embed, mask in pairs]

    def count_tokens(self, caption: str) -> int:
        count = _count_after(self._instruction, self._before)
        return count(caption, lambda text: len(self._tokenizer(text, verbose=False).input_ids))


def clean(caption: str) -> str:
    """Return a caption as the pipeline prepares it."""
    return caption.lower().strip()


def instruction() -> str:
    """Return what the pipeline puts before prompts."""
    from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline

    given = inspect.signature(SanaVideoPipeline.__call__).parameters["complex_human_instruction"]
    return "\n".join(given.default)


def _count_after(before: str, tokens: int) -> Callable[[str, Callable[[str], int]], int]:
    """What counts the tokens of a caption and the two that are kept of what is before it."""

    def count(caption: str, of: Callable[[str], int]) -> int:
        text = clean(caption)
        return of(before + text) - tokens + 2 if text else of("")

    return count


class SanaVideo(Wan):
    """Sana-Video with Wan's VAE: text-to-video and image-to-video."""

    name = "sana-video"
    published = "Efficient-Large-Model/SANA-Video_2B_480p_diffusers"
    profile = replace(
        Wan.profile,
        name="sana-video",
        divisor=32,
        patch=1,
        models="Sana-Video",
        components=(prompt_embeds(MAX_TOKENS, 2304), VIDEO_LATENTS, IMAGE_LATENTS),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "Gemma2Model"}
    pipelines = ("SanaVideoPipeline", "SanaImageToVideoPipeline")

    def recognizes(self, model: ModelFolder) -> bool:
        return self.is_pipeline(model)

    def text_settings(self, part: str) -> Mapping[str, Any]:
        digest = hashlib.sha256(instruction().encode()).hexdigest()[:16]
        return {"max_tokens": MAX_TOKENS, "instruction": digest, "empty_caption": "alone"}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        return MAX_TOKENS, count_of(model, "text_encoder", "hidden_size")

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        of = DiffusersFamily.load_token_counter(self, model)
        before = instruction()
        count = _count_after(before, of(before))
        return lambda caption: count(caption, of)

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
        return Gemma2Text(load_tokenizer(model, self.tokenizers[part]), encoder)


FAMILY = SanaVideo()
