"""Cosmos Predict 2.5 and Transfer 2.5: Wan's VAE, and all hidden states of Qwen2.5-VL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.component import (
    CONTROL_LATENTS,
    IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import load_encoder, load_tokenizer, text_count_of
from videoprep.families.moments import draw, mode, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.tokenizer import require_chat_template
from videoprep.families.wan import FAMILY as WAN

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 512
"""Captions, within their conversation, are padded and cut to this many tokens.

Neither the language model nor the transformer is told which of them are padding.
"""

_PREDICT = "Cosmos2_5_PredictBasePipeline"
_TRANSFER = "Cosmos2_5_TransferPipeline"


class ConversationText(TextEncoder):
    """A caption within the pipeline's conversation: the states of all layers side by side.

    An embedding takes 100 MB: captions are encoded one by one.

    Args:
        tokenizer: the model's own.
        model: the language model.
    """

    limit = MAX_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        return [self._encode(caption) for caption in captions]

    def _encode(self, caption: str) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            embeds: torch.Tensor = _embeds_of_pipeline(
                caption, self._tokenizer, self._model, self._model.device, self._model.dtype
            )
        return embeds[0]

    def count_tokens(self, caption: str) -> int:
        return count_tokens(self._tokenizer, caption)


class Cosmos25(DiffusersFamily):
    """Cosmos Predict 2.5 from text, images and videos; Transfer 2.5 from control videos, too."""

    name = "cosmos2.5"
    profile = Profile(
        "cosmos2.5",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        components=(
            prompt_embeds(MAX_TOKENS, 28 * 3584),
            VIDEO_LATENTS,
            IMAGE_LATENTS,
            CONTROL_LATENTS,
        ),
        fps=16,
        num_frames=93,
        models="Cosmos Predict 2.5, Transfer 2.5",
        stills=True,
        caption_style=(
            "One long, factual paragraph: the setting first, the objects and their materials, what "
            "moves and how it obeys physics, in the order of time, and what the camera does."
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLWan"
    vae_keeps_state = True
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokenizer": ("tokenizer.json", "vocab.json")
    }
    text_classes: ClassVar[Mapping[str, str]] = {
        "text_encoder": "Qwen2_5_VLForConditionalGeneration"
    }
    posterior = "mode"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in (_PREDICT, _TRANSFER)

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        every = self.profile.components
        return every if is_transfer(model) else [one for one in every if one is not CONTROL_LATENTS]

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        require_chat_template(model.path / "tokenizer")

    def text_settings(self, part: str) -> Mapping[str, Any]:
        del part
        asked = json.dumps(conversation("{}"), sort_keys=True)
        return {
            "max_tokens": MAX_TOKENS,
            "conversation": hashlib.sha256(asked.encode()).hexdigest()[:16],
            "hidden_states": "all, standardized",
            "attention_mask": False,
            "padding": "kept",
        }

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        return WAN.compression(model)

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return WAN.scales(model)

    def channels(self, model: ModelFolder) -> int:
        return WAN.channels(model)

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        drawn = {"training_posterior": "sample"} if is_transfer(model) else {}
        return {**super().facts(model), **drawn}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        del component
        layers, features = (
            text_count_of(model, "text_encoder", key)
            for key in ("num_hidden_layers", "hidden_size")
        )
        return MAX_TOKENS, layers * features

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized ``[B, C, F', H', W']``: the mean for Predict, a draw for Transfer."""
        scales = facts["latents_mean"], facts["latents_std"]
        if facts["training_posterior"] == "sample":
            return standardize(draw(moments, facts, generator), *scales, divided=True)
        return standardize(mode(moments, facts), *scales)

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        tokenizer = load_tokenizer(model, "tokenizer")
        return lambda caption: count_tokens(tokenizer, caption)

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
        return ConversationText(load_tokenizer(model, "tokenizer"), encoder)


def is_transfer(model: ModelFolder) -> bool:
    """Return whether the pipeline is the one that follows control videos."""
    return model.index.get("_class_name") == _TRANSFER


def count_tokens(tokenizer: PreTrainedTokenizerBase, caption: str) -> int:
    """Return how many tokens the conversation with a caption has before it is cut."""
    messages, settings = conversation(caption)
    uncut = {**settings, "truncation": False, "padding": False, "max_length": None}
    tokens = tokenizer.apply_chat_template(messages, **{**uncut, "return_dict": True})
    return len(tokens["input_ids"])


def conversation(caption: str) -> tuple[Any, dict[str, Any]]:
    """Return the messages into which the pipeline puts a caption, and how it cuts them into tokens.

    The pipeline's own code is asked, with a tokenizer that goes no further.
    """
    try:
        _embeds_of_pipeline(caption, _Listener(), None, "cpu", "float32")
    except _AskedError as asked:
        return asked.messages, asked.settings
    raise RuntimeError("this version of diffusers uses no chat template; use 0.42")


class _AskedError(Exception):
    """Ends the pipeline's work where its tokenizer is asked."""

    def __init__(self, messages: Any, settings: dict[str, Any]) -> None:
        self.messages, self.settings = messages, settings


class _Listener:
    """Stands in the place of a tokenizer."""

    def apply_chat_template(self, messages: Any, **settings: Any) -> None:
        raise _AskedError(messages, settings)


def _embeds_of_pipeline(
    caption: str, tokenizer: Any, model: Any, device: Any, dtype: Any
) -> torch.Tensor:
    """What the pipeline makes of a caption, ``[1, tokens, features]``; it needs two parts alone."""
    from diffusers import Cosmos2_5_PredictBasePipeline

    parts = SimpleNamespace(tokenizer=tokenizer, text_encoder=model)
    embeds: torch.Tensor = Cosmos2_5_PredictBasePipeline._get_prompt_embeds(
        parts, caption, max_sequence_length=MAX_TOKENS, device=device, dtype=dtype
    )
    return embeds


FAMILY = Cosmos25()
