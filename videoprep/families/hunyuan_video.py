"""HunyuanVideo: `AutoencoderKLHunyuanVideo`, LLaMA's hidden states and CLIP's pooled embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.clip import CLIP_TOKENS, ClipText
from videoprep.families.component import (
    CAPTION,
    IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import (
    compression_ratios,
    count_of,
    factor_of,
    load_encoder,
    load_tokenizer,
)
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.tokenizer import PromptTemplate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 256
"""Tokens of a caption that LLaMA takes, besides those of the template around it."""

# Which of LLaMA's hidden states is taken: the third from the end.
_HIDDEN_STATE = -3


class LlamaText(TextEncoder):
    """A caption within the pipeline's template; the template and the padding are left out.

    Args:
        tokenizer: the model's own.
        model: the language model.
    """

    limit = MAX_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._template = _template()

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch

        skipped = self._template.skipped
        tokens = self._tokenizer(
            [self._template.wrap(caption) for caption in captions],
            padding="max_length",
            max_length=MAX_TOKENS + skipped,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.inference_mode():
            states = self._model(
                input_ids=tokens.input_ids,
                attention_mask=tokens.attention_mask,
                output_hidden_states=True,
            ).hidden_states[_HIDDEN_STATE]
        embeds, masks = states[:, skipped:], tokens.attention_mask[:, skipped:]
        return [embed[mask.bool()] for embed, mask in zip(embeds, masks, strict=True)]

    def count_tokens(self, caption: str) -> int:
        return self._template.counter(self._count)(caption)

    def _count(self, text: str) -> int:
        return len(self._tokenizer(text, verbose=False).input_ids)


POOLED_EMBEDS = ComponentSpec(
    name="pooled_embeds", source=CAPTION, part="text_encoder_2", shape=(768,)
)


CAPTION_STYLE = (
    "One paragraph in this order: the main subject and its action, the scene and what is in its "
    "background, the type of shot and the movement of the camera, the light, and the visual style, "
    "each only as far as it is stated."
)


class HunyuanVideo(DiffusersFamily):
    """HunyuanVideo, text-to-video; first frames for image-to-video by its latents.

    Attributes:
        pipeline: diffusers' class of the pipeline.
    """

    pipeline: ClassVar[str] = "HunyuanVideoPipeline"
    name = "hunyuan-video"
    published: ClassVar[str | None] = "hunyuanvideo-community/HunyuanVideo"
    profile = Profile(
        "hunyuan-video",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            POOLED_EMBEDS,
            VIDEO_LATENTS,
            IMAGE_LATENTS,
        ),
        fps=24,
        num_frames=129,
        models="HunyuanVideo",
        prominence=2,
        stills=True,
        caption_style=CAPTION_STYLE,
    )
    parts: ClassVar[tuple[str, ...]] = (
        "tokenizer",
        "text_encoder",
        "tokenizer_2",
        "text_encoder_2",
        "vae",
    )
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLHunyuanVideo"
    tokenizers: ClassVar[Mapping[str, str]] = {
        "text_encoder": "tokenizer",
        "text_encoder_2": "tokenizer_2",
    }
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokenizer": ("tokenizer.json",),
        "tokenizer_2": ("tokenizer.json", "vocab.json"),
    }
    text_classes: ClassVar[Mapping[str, str]] = {
        "text_encoder": "LlamaModel",
        "text_encoder_2": "CLIPTextModel",
    }
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == self.pipeline

    def text_settings(self, part: str) -> Mapping[str, Any]:
        if part == "text_encoder_2":
            return {"max_tokens": CLIP_TOKENS}
        return {
            "max_tokens": MAX_TOKENS,
            "template": self.template().fingerprint,
            "hidden_state": _HIDDEN_STATE,
        }

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        return compression_ratios(model)

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return {"scaling_factor": factor_of(model, "vae", "scaling_factor")}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if component == "pooled_embeds":
            return (count_of(model, "text_encoder_2", "hidden_size"),)
        return MAX_TOKENS, count_of(model, "text_encoder", "hidden_size")

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled ``[B, C, F', H', W']``."""
        scaled: torch.Tensor = draw(moments, facts, generator) * facts["scaling_factor"]
        return scaled

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        return self.template().counter(super().load_token_counter(model))

    def template(self) -> PromptTemplate:
        """Return the words around a caption: the pipeline's own."""
        return _template()

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        small = part == "text_encoder_2"  # nothing is saved by holding it in 8 bits
        encoder = load_encoder(
            self.text_classes[part], model, part, device, dtype, eight_bit=eight_bit and not small
        )
        if small:
            return ClipText(load_tokenizer(model, self.tokenizers[part]), encoder)
        return LlamaText(load_llama_tokenizer(model, self.tokenizers[part]), encoder)


def load_llama_tokenizer(model: ModelFolder, part: str) -> PreTrainedTokenizerBase:
    """LLaMA 3's, from tokenizer.json as it is.

    Not by the class that folders name, LlamaTokenizerFast: from transformers 5 on it cuts words in
    the way of LLaMA 2.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(
        str(model.path / part)
    )
    return tokenizer


def _template() -> PromptTemplate:
    """The pipeline's own."""
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video

    template: Mapping[str, Any] = pipeline_hunyuan_video.DEFAULT_PROMPT_TEMPLATE
    return PromptTemplate(template["template"], int(template["crop_start"]))


FAMILY = HunyuanVideo()
