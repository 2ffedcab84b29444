"""HunyuanVideo-I2V: HunyuanVideo whose captions are read by LLaVA together with the first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.clip import pictures_of
from videoprep.families.component import (
    CAPTION_FIRST_FRAME,
    IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
)
from videoprep.families.contract import CaptionedVideoEncoder, ClipContext, VideoEncoder
from videoprep.families.hunyuan_video import (
    MAX_TOKENS,
    POOLED_EMBEDS,
    HunyuanVideo,
    load_llama_tokenizer,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import load_encoder
from videoprep.families.tokenizer import PromptTemplate

if TYPE_CHECKING:
    import torch

_TEXT = "text_encoder"
_PROCESSOR = "image_processor"
_PICTURE = "<image>"
# The tokens that start the assistant's answer are left out of the middle, too.
_ANSWER = 4
# Every so many of the picture's tokens is taken, by the transformer's kind of image condition.
_INTERLEAVE = {"latent_concat": 2, "token_replace": 4}


class LlavaText(CaptionedVideoEncoder):
    """A caption with the clip's first frame: ``[picture's and caption's tokens, features]``.

    What is padding to the pipeline is zeros here.

    Args:
        pipeline: diffusers' own, without a transformer and a VAE.
        interleave: every so many of the picture's tokens is taken.
    """

    def __init__(self, pipeline: Any, interleave: int) -> None:
        self._pipeline, self._interleave = pipeline, interleave

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("LLaVA reads captions with pictures")

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        import torch

        pairs = zip(pictures_of(pixels), clips, strict=True)
        # One by one: the pipeline finds where a caption that is too long ends in no other way.
        return torch.cat([self._encode(picture, clip.caption or "") for picture, clip in pairs])

    def _encode(self, picture: object, caption: str) -> torch.Tensor:
        import torch

        model = self._pipeline.text_encoder
        # It stands for another picture, at which the pipeline fails.
        caption = caption.replace(_PICTURE, "")
        with torch.inference_mode():
            embeds, mask = self._pipeline._get_llama_prompt_embeds(
                picture,
                [caption],
                _given(),
                device=model.device,
                dtype=model.dtype,
                max_sequence_length=MAX_TOKENS,
                image_embed_interleave=self._interleave,
            )
        padding = ~mask.bool()[..., None]
        filled: torch.Tensor = embeds.masked_fill(padding, 0)
        return filled

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Nothing can be saved: clips are encoded one by one."""


class HunyuanVideoI2V(HunyuanVideo):
    """HunyuanVideo-I2V: image-to-video, by concatenation or by replaced tokens."""

    pipeline = "HunyuanVideoImageToVideoPipeline"
    name = "hunyuan-video-i2v"
    published = "hunyuanvideo-community/HunyuanVideo-I2V"
    profile = replace(
        HunyuanVideo.profile,
        name="hunyuan-video-i2v",
        models="HunyuanVideo-I2V",
        components=(
            POOLED_EMBEDS,
            ComponentSpec(
                name="prompt_embeds",
                source=CAPTION_FIRST_FRAME,
                part=_TEXT,
                shape=(576 // 2 + MAX_TOKENS - _ANSWER, 4096),
            ),
            VIDEO_LATENTS,
            IMAGE_LATENTS,
        ),
        stills=False,
    )
    parts = (*HunyuanVideo.parts, _PROCESSOR)
    text_classes: ClassVar[Mapping[str, str]] = {
        **HunyuanVideo.text_classes,
        _TEXT: "LlavaForConditionalGeneration",
    }

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        model.file(f"{_PROCESSOR}/preprocessor_config.json")
        _require_picture_tokens(model)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        identity = super().identity(model, component)
        if self.component(model, component).part != _TEXT:
            return identity
        return {
            **identity,
            _PROCESSOR: model.files_identity(_PROCESSOR),
            "interleave": _interleave(model),
        }

    def template(self) -> PromptTemplate:
        given = _given()
        return PromptTemplate(given["template"], int(given["crop_start"]))

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {
            **super().facts(model),
            "image_posterior": "mode",
            "image_condition_type": _condition(model),
            "image_tokens": _picture_tokens() // _interleave(model),
        }

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if self.component(model, component).part != _TEXT:
            return super().embeds_shape(model, component)
        tokens = _picture_tokens() // _interleave(model) + MAX_TOKENS - _ANSWER
        return tokens, int(_llava_config(model).text_config.hidden_size)

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.part != _TEXT:
            return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)
        from diffusers import HunyuanVideoImageToVideoPipeline
        from transformers import CLIPImageProcessor

        pipeline = HunyuanVideoImageToVideoPipeline(
            text_encoder=load_encoder(self.text_classes[_TEXT], model, _TEXT, device, dtype),
            tokenizer=load_llama_tokenizer(model, self.tokenizers[_TEXT]),
            image_processor=CLIPImageProcessor.from_pretrained(str(model.path / _PROCESSOR)),
            transformer=None,
            vae=None,
            scheduler=None,
            text_encoder_2=None,
            tokenizer_2=None,
        )
        return LlavaText(pipeline, _interleave(model))


def _given() -> Mapping[str, Any]:
    """The pipeline's own template, with the place of the picture in it."""
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video_image2video as pipeline

    template: Mapping[str, Any] = pipeline.DEFAULT_PROMPT_TEMPLATE
    return template


def _picture_tokens() -> int:
    return int(_given()["image_emb_len"])


def _condition(model: ModelFolder) -> str:
    """How the transformer is given the first frame."""
    kind = model.config("transformer").get("image_condition_type")
    if kind not in _INTERLEAVE:
        raise ModelError(
            f"'image_condition_type' is {kind!r}, and neither of {', '.join(_INTERLEAVE)}",
            where=str(model.path / "transformer/config.json"),
            remedy="download the model again, or use the folder of an image-to-video model",
        )
    return str(kind)


def _interleave(model: ModelFolder) -> int:
    return _INTERLEAVE[_condition(model)]


def _llava_config(model: ModelFolder) -> Any:
    """The config with what it does not write down, which is as usual."""
    from transformers import LlavaConfig

    return LlavaConfig.from_pretrained(str(model.path / _TEXT))


def _require_picture_tokens(model: ModelFolder) -> None:
    seen = _llava_config(model).vision_config
    tokens = (seen.image_size // seen.patch_size) ** 2
    if tokens != _picture_tokens():
        raise ModelError(
            f"its text encoder makes {tokens} tokens of a picture; the pipeline takes "
            f"{_picture_tokens()}",
            where=str(model.path / _TEXT / "config.json"),
            remedy="use the text encoder of HunyuanVideo-I2V",
        )


FAMILY = HunyuanVideoI2V()
