"""Kandinsky 5 Video: HunyuanVideo's VAE, Qwen2.5-VL's hidden states, CLIP's pooled embedding."""

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
    text_count_of,
)
from videoprep.families.moments import draw
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.tokenizer import PromptTemplate, clean_caption

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 512
"""Tokens that the transformer gets: those of the caption, and of the template after it."""

_PIPELINES = ("Kandinsky5T2VPipeline", "Kandinsky5I2VPipeline")

# The pipeline's count of a caption's own tokens leaves these two out: of the template's end.
_END_TOKENS = 2


class TemplateText(TextEncoder):
    """A caption within the pipeline's template, whose beginning is left out again.

    The pipeline gives the language model no mask, so that padding would change all embeddings of a
    batch: captions are encoded one by one, without padding.

    Args:
        tokenizer: the model's own.
        model: the language model.
    """

    limit = MAX_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._template = prompt_template()

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        return [self._encode(caption) for caption in captions]

    def _encode(self, caption: str) -> torch.Tensor:
        import torch

        tokens = self._tokenizer(
            self._cut(self._template.wrap(clean_caption(caption))),
            max_length=self._template.skipped + MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = self._model(
                input_ids=tokens.input_ids.to(self._model.device), output_hidden_states=True
            ).hidden_states
        embeds: torch.Tensor = states[-1][0, self._template.skipped :]
        return embeds

    def _cut(self, text: str) -> str:
        """What the pipeline leaves of a text that is too long.

        It takes as many characters off the end of the text, the template's end included, as the
        tokens that are too many come to.
        """
        tokens = self._tokenizer(text, verbose=False).input_ids
        if len(tokens) <= self._template.skipped + MAX_TOKENS:
            return text
        surplus = tokens[self._template.skipped : -_END_TOKENS][MAX_TOKENS - _END_TOKENS :]
        removed = self._tokenizer.decode(surplus)
        return text[: -len(removed)] if removed else text

    def count_tokens(self, caption: str) -> int:
        count = self._template.counter(lambda text: len(self._tokenizer(text).input_ids))
        return count(clean_caption(caption))


class Kandinsky5(DiffusersFamily):
    """Kandinsky 5 Video, Lite and Pro: text-to-video, image-to-video."""

    name = "kandinsky5"
    published = "kandinskylab/Kandinsky-5.0-T2V-Lite-sft-5s-Diffusers"
    profile = Profile(
        "kandinsky5",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        components=(
            prompt_embeds(MAX_TOKENS, 3584),
            ComponentSpec(
                name="pooled_embeds", source=CAPTION, part="text_encoder_2", shape=(768,)
            ),
            VIDEO_LATENTS,
            IMAGE_LATENTS,
        ),
        fps=24,
        num_frames=121,
        models="Kandinsky 5 Video Lite, Pro",
        prominence=1,
        stills=True,
        caption_style=(
            "One paragraph: what happens in the order in which it happens, the place, the main "
            "characters or objects and their movement, how the camera moves, and the visual style."
        ),
    )
    parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2", "vae")
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLHunyuanVideo"
    tokenizers: ClassVar[Mapping[str, str]] = {
        "text_encoder": "tokenizer",
        "text_encoder_2": "tokenizer_2",
    }
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokenizer": ("tokenizer.json", "vocab.json"),
        "tokenizer_2": ("tokenizer.json", "vocab.json"),
    }
    text_classes: ClassVar[Mapping[str, str]] = {
        "text_encoder": "Qwen2_5_VLForConditionalGeneration",
        "text_encoder_2": "CLIPTextModel",
    }
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def text_settings(self, part: str) -> Mapping[str, Any]:
        import ftfy

        cleaned = f"ftfy {ftfy.__version__}, html, spaces"
        if part == "text_encoder_2":
            return {"max_tokens": CLIP_TOKENS, "attention_mask": True, "cleaned": cleaned}
        return {
            "max_tokens": MAX_TOKENS,
            "template": prompt_template().fingerprint,
            "hidden_state": -1,
            "attention_mask": False,
            "padding": "none",
            "cleaned": cleaned,
        }

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        return compression_ratios(model)

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return {"scaling_factor": factor_of(model, "vae", "scaling_factor")}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), "transformer_layout": "F H W C"}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if component == "pooled_embeds":
            return (count_of(model, "text_encoder_2", "hidden_size"),)
        return MAX_TOKENS, text_count_of(model, "text_encoder", "hidden_size")

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled, channels last: ``[B, F', H', W', C]``."""
        scaled: torch.Tensor = draw(moments, facts, generator) * facts["scaling_factor"]
        return scaled.permute(0, 2, 3, 4, 1)

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        count = prompt_template().counter(super().load_token_counter(model))
        return lambda caption: count(clean_caption(caption))

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
        tokenizer = load_tokenizer(model, self.tokenizers[part])
        if small:
            return ClipText(tokenizer, encoder, masked=True, clean=clean_caption)
        return TemplateText(tokenizer, encoder)


def prompt_template() -> PromptTemplate:
    """Return the pipeline's own template."""
    from diffusers import Kandinsky5T2VPipeline

    parts = ("transformer", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    empty = Kandinsky5T2VPipeline(**dict.fromkeys((*parts, "scheduler")))
    return PromptTemplate(empty.prompt_template, empty.prompt_template_encode_start_idx)


FAMILY = Kandinsky5()
