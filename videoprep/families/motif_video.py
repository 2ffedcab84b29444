"""Motif-Video: Wan's VAE, and T5Gemma 2, which reads captions and sees first frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.component import (
    FIRST_FRAME,
    IMAGE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import load_encoder, value_of
from videoprep.families.moments import draw, standardize
from videoprep.families.siglip import PROCESSOR, require_siglip
from videoprep.families.t5 import T5Family
from videoprep.families.wan import Wan

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 512
"""Captions are padded and cut to this many tokens. Padding is masked."""

IMAGE_EMBEDS = ComponentSpec(
    name="image_embeds",
    source=FIRST_FRAME,
    part="text_encoder",
    asked_by="image_latents",
    shape=(4096, 1152),
)


class VisionTower(VideoEncoder):
    """The image encoder of T5Gemma 2: the last hidden state of single frames.

    Args:
        processor: resizes and normalizes pictures, as the model folder says.
        model: the image encoder.
    """

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor, self._model = processor, model

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        pictures = ((pixels[:, :, 0].float() + 1) / 2).clamp(0, 1)
        inputs = self._processor.preprocess(
            images=pictures, do_rescale=False, return_tensors="pt"
        ).pixel_values
        weights = next(self._model.parameters())
        with torch.inference_mode():
            seen: torch.Tensor = self._model(
                pixel_values=inputs.to(weights.device, weights.dtype)
            ).last_hidden_state
        return seen

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """See `VideoEncoder`: a picture takes little."""


class MotifVideo(Wan):
    """Motif-Video: text-to-video and image-to-video."""

    name = "motif-video"
    published = "Motif-Technologies/Motif-Video-2B"
    profile = replace(
        Wan.profile,
        name="motif-video",
        fps=24,
        num_frames=121,
        models="Motif-Video",
        components=(
            prompt_embeds(MAX_TOKENS, 2560),
            IMAGE_EMBEDS,
            VIDEO_LATENTS,
            IMAGE_LATENTS,
        ),
    )
    parts = ("tokenizer", "text_encoder", "vae", PROCESSOR)
    max_tokens = MAX_TOKENS
    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "T5Gemma2Encoder"}
    posterior = "sample"
    pipelines = ("MotifVideoPipeline", "MotifVideoImage2VideoPipeline")

    def recognizes(self, model: ModelFolder) -> bool:
        return self.is_pipeline(model)

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        require_siglip(model)

    def clean(self, caption: str) -> str:
        return caption

    def text_settings(self, part: str) -> Mapping[str, Any]:
        return T5Family.text_settings(self, part)

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if component != IMAGE_EMBEDS.name:
            return super().identity(model, component)
        return {
            "class": self.text_classes["text_encoder"],
            "vision_tower": model.identity("text_encoder"),
            PROCESSOR: model.files_identity(PROCESSOR),
        }

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        config = model.file("tokenizer/tokenizer_config.json")
        return {**super().facts(model), "padding_side": config.get("padding_side", "right")}

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if component != IMAGE_EMBEDS.name:
            return MAX_TOKENS, _count(model, "text_config", "hidden_size")
        image, patch, features = (
            _count(model, "vision_config", key)
            for key in ("image_size", "patch_size", "hidden_size")
        )
        return (image // patch) ** 2, features

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Drawn and standardized ``[B, C, F', H', W']``."""
        drawn = draw(moments, facts, generator)
        return standardize(drawn, facts["latents_mean"], facts["latents_std"], divided=True)

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.name != IMAGE_EMBEDS.name:
            return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)
        import torch
        from transformers import SiglipImageProcessor

        processor = SiglipImageProcessor.from_pretrained(str(model.path / PROCESSOR))
        # The rest, which is much larger, does not go to the device.
        whole: Any = load_encoder(
            self.text_classes["text_encoder"], model, "text_encoder", torch.device("cpu"), dtype
        )
        return VisionTower(processor, whole.vision_tower.to(device))


def _count(model: ModelFolder, section: str, key: str) -> int:
    """A positive whole number in a section of the text encoder's config.

    Raises:
        ModelError: there is none.
    """
    found = value_of(model, "text_encoder", section)
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, int) or value < 1:
        raise ModelError(
            f"{section!r} has {key!r}: {value!r}, and no positive whole number",
            where=str(model.path / "text_encoder/config.json"),
            remedy="download the model again",
        )
    return value


FAMILY = MotifVideo()
