"""HunyuanVideo 1.5: `AutoencoderKLHunyuanVideo15`, Qwen2.5-VL, ByT5 for quoted text, SigLIP."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.component import (
    CAPTION,
    IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import TextEncoder, VideoEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import (
    compression_ratios,
    count_of,
    factor_of,
    load_encoder,
    load_tokenizer,
)
from videoprep.families.moments import mode
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.siglip import (
    PART,
    SIGLIP_EMBEDS,
    load_siglip,
    require_siglip,
    siglip_identity,
    siglip_shape,
)
from videoprep.families.tokenizer import require_chat_template

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 1000
"""Tokens of a caption that Qwen2.5-VL takes, besides those of the template before it."""
MAX_BYTES = 256
"""Tokens, which are bytes, of the quoted text that ByT5 takes."""

# Which of Qwen2.5-VL's hidden states is taken: the third from the end.
_HIDDEN_STATE = -3
# What becomes of it tells which quotes are found, how often, and what is said of them.
_QUOTES = "“a” 'b' \"c\" “a”"
_IMAGE_TO_VIDEO = "HunyuanVideo15ImageToVideoPipeline"
_PIPELINES = ("HunyuanVideo15Pipeline", _IMAGE_TO_VIDEO, "HunyuanVideo15ModularPipeline")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The conversation into which the pipeline puts a caption."""

    system: str
    """What the system says first."""
    skipped: int
    """How many tokens are left out at the beginning."""

    @classmethod
    def of_pipeline(cls) -> ChatTemplate:
        """Return that of diffusers' pipeline."""
        from diffusers import HunyuanVideo15Pipeline

        given = inspect.signature(HunyuanVideo15Pipeline._get_mllm_prompt_embeds).parameters
        return cls(given["system_message"].default, given["crop_start"].default)

    def count(self, tokenizer: PreTrainedTokenizerBase, caption: str) -> int:
        """Return how many tokens a caption has, with those that close the conversation."""
        from diffusers.pipelines.hunyuan_video1_5 import pipeline_hunyuan_video1_5 as pipeline

        tokens = tokenizer.apply_chat_template(
            pipeline.format_text_input([caption], self.system),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        return len(tokens["input_ids"][0]) - self.skipped

    @property
    def fingerprint(self) -> str:
        """Stands for the conversation in recipes: 16 hexadecimal digits."""
        from diffusers.pipelines.hunyuan_video1_5 import pipeline_hunyuan_video1_5 as pipeline

        said = [pipeline.format_text_input(["{}", ""], self.system), self.skipped]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


class QwenChatText(TextEncoder):
    """A caption within the pipeline's conversation; its beginning and the padding are left out.

    Args:
        tokenizer: the model's own.
        model: the language model.
    """

    limit = MAX_TOKENS

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._template = ChatTemplate.of_pipeline()

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch
        from diffusers import HunyuanVideo15Pipeline

        with torch.inference_mode():
            embeds, masks = HunyuanVideo15Pipeline._get_mllm_prompt_embeds(
                self._model,
                self._tokenizer,
                list(captions),
                self._model.device,
                tokenizer_max_length=MAX_TOKENS,
                num_hidden_layers_to_skip=-_HIDDEN_STATE - 1,
                system_message=self._template.system,
                crop_start=self._template.skipped,
            )
        return _without_padding(embeds, masks)

    def count_tokens(self, caption: str) -> int:
        return self._template.count(self._tokenizer, caption)


class QuotedText(TextEncoder):
    """The quoted text of a caption, which the video is to show; nothing if it has no quotes.

    Args:
        tokenizer: the model's own, whose tokens are bytes.
        model: the encoder.
    """

    limit = MAX_BYTES

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
        self._tokenizer, self._model = tokenizer, model

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch
        from diffusers import HunyuanVideo15Pipeline

        with torch.inference_mode():
            embeds, masks = HunyuanVideo15Pipeline._get_byt5_prompt_embeds(
                self._tokenizer,
                self._model,
                list(captions),
                self._model.device,
                tokenizer_max_length=MAX_BYTES,
            )
        return _without_padding(embeds, masks)

    def count_tokens(self, caption: str) -> int:
        said = _quoted(caption)
        return 0 if said is None else len(self._tokenizer(said, verbose=False).input_ids)


def _without_padding(embeds: torch.Tensor, masks: torch.Tensor) -> list[torch.Tensor]:
    return [embed[mask.bool()] for embed, mask in zip(embeds, masks, strict=True)]


def _quoted(caption: str) -> str | None:
    """What the pipeline tells ByT5 of a caption's quoted text; None if there is none."""
    from diffusers.pipelines.hunyuan_video1_5 import pipeline_hunyuan_video1_5 as pipeline

    said: str | None = pipeline.extract_glyph_texts(caption)
    return said


_GLYPH_EMBEDS = ComponentSpec(
    name="glyph_embeds", source=CAPTION, part="text_encoder_2", shape=(MAX_BYTES, 1472)
)


class HunyuanVideo15(DiffusersFamily):
    """HunyuanVideo 1.5: text-to-video and image-to-video."""

    name = "hunyuan-video-1.5"
    profile = Profile(
        "hunyuan-video-1.5",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        compression=16,
        patch=1,
        latent_channels=32,
        components=(
            prompt_embeds(MAX_TOKENS, 3584),
            _GLYPH_EMBEDS,
            SIGLIP_EMBEDS,
            VIDEO_LATENTS,
            IMAGE_LATENTS,
        ),
        fps=24,
        num_frames=121,
        models="HunyuanVideo 1.5",
        prominence=1,
        stills=True,
        caption_style=(
            "One paragraph in this order: the main content of the video; the colours, shapes, "
            "sizes, textures and number of the objects, where they are, and any written text in "
            "double quotes; the actions and how they follow one another; the background, the "
            "light, the style and the mood; the angle and the movement of the camera. Each only as "
            "far as it is stated."
        ),
    )
    parts = (
        "tokenizer",
        "text_encoder",
        "tokenizer_2",
        "text_encoder_2",
        "vae",
        "image_encoder",
        "feature_extractor",
    )
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLHunyuanVideo15"
    tokenizers: ClassVar[Mapping[str, str]] = {
        "text_encoder": "tokenizer",
        "text_encoder_2": "tokenizer_2",
    }
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokenizer": ("tokenizer.json", "vocab.json"),
        "tokenizer_2": ("tokenizer_config.json",),  # a tokenizer of bytes has no vocabulary
    }
    text_classes: ClassVar[Mapping[str, str]] = {
        "text_encoder": "Qwen2_5_VLTextModel",
        "text_encoder_2": "T5EncoderModel",
    }
    posterior = "mode"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        seen = _has_image_encoder(model)
        return [one for one in self.profile.components if seen or one.part != PART]

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        self.require_class(model, "tokenizer_2", "ByT5Tokenizer")
        require_chat_template(model.path / "tokenizer")
        if _has_image_encoder(model):
            self.require_class(model, PART, "SiglipVisionModel")
            require_siglip(model)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if self.component(model, component).part == PART:
            return siglip_identity(model)
        return super().identity(model, component)

    def text_settings(self, part: str) -> Mapping[str, Any]:
        if part == "text_encoder_2":
            return {"max_tokens": MAX_BYTES, "quoted": _quoted(_QUOTES), "padding": "left out"}
        return {
            "max_tokens": MAX_TOKENS,
            "template": ChatTemplate.of_pipeline().fingerprint,
            "hidden_state": _HIDDEN_STATE,
            "padding": "left out",
        }

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        return compression_ratios(model)

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return {"scaling_factor": factor_of(model, "vae", "scaling_factor")}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {
            **super().facts(model),
            "image_posterior": "mode",
            "prompt_tokens": MAX_TOKENS,
            "glyph_tokens": MAX_BYTES,
            "padding_side": "right",
        }

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        part = self.component(model, component).part
        if part == PART:
            return siglip_shape(model)
        if part == "text_encoder_2":
            return MAX_BYTES, count_of(model, part, "d_model")
        return MAX_TOKENS, count_of(model, part, "hidden_size")

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Scaled ``[B, C, F', H', W']``; nothing is drawn."""
        del generator
        scaled: torch.Tensor = mode(moments, facts) * facts["scaling_factor"]
        return scaled

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        tokenizer = load_tokenizer(model, self.tokenizers["text_encoder"])
        template = ChatTemplate.of_pipeline()
        return lambda caption: template.count(tokenizer, caption)

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
        kind = QuotedText if small else QwenChatText
        return kind(load_tokenizer(model, self.tokenizers[part]), encoder)

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.part == PART:
            return load_siglip(model, device, dtype)
        return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)


def _has_image_encoder(model: ModelFolder) -> bool:
    """Whether the pipeline shows the first frame to SigLIP, as image-to-video does."""
    asked = model.index.get("_class_name") == _IMAGE_TO_VIDEO
    return asked or model.class_of(PART) is not None


FAMILY = HunyuanVideo15()
