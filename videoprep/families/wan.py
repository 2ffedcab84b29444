"""Wan 2.1 and 2.2-A14B: `AutoencoderKLWan`, UMT5-XXL; CLIP for Wan 2.1's image-to-video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.clip import ClipVision, clip_vision_shape, load_clip_vision
from videoprep.families.component import (
    CONDITION_LATENTS,
    CONTROL_LATENTS,
    FIRST_FRAME,
    FIRST_LAST_LATENTS,
    LAST_FRAME,
    REFERENCE_LATENTS,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, list_of, statistics_of
from videoprep.families.moments import mode, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.t5 import T5Family
from videoprep.families.tokenizer import clean_caption

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 512
"""Captions are padded and cut to this many tokens. Padding is masked, and zeros afterwards."""

IMAGE_EMBEDS = ComponentSpec(
    name="image_embeds",
    source=FIRST_FRAME,
    part="image_encoder",
    asked_by=("image_latents", "last_frame"),
    shape=(257, 1280),
)
LAST_IMAGE_EMBEDS = ComponentSpec(
    name="last_image_embeds",
    source=LAST_FRAME,
    part="image_encoder",
    asked_by="last_frame",
    shape=(257, 1280),
)


class Wan(T5Family):
    """Wan 2.1 and 2.2-A14B: text-to-video, image-to-video, first and last frame to video.

    Attributes:
        pipelines: diffusers' classes of its pipelines.
        vision_class: transformers' class of the image encoder.
    """

    name = "wan"
    published = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
    profile = Profile(
        "wan",
        divisor=16,
        frame_rules=(FrameRule(4, 1),),
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            IMAGE_EMBEDS,
            LAST_IMAGE_EMBEDS,
            VIDEO_LATENTS,
            CONDITION_LATENTS,
            FIRST_LAST_LATENTS,
            CONTROL_LATENTS,
            REFERENCE_LATENTS,
        ),
        fps=16,
        num_frames=81,
        models="Wan 2.1, Wan 2.2-A14B",
        prominence=2,
        stills=True,
        caption_style=(
            "One paragraph of some 80 to 100 words if there is so much to tell: the visual style "
            "and the subject first, its appearance and its movement, then the surroundings and the "
            "light, and the size, angle and movement of the shot last."
        ),
    )
    parts: ClassVar[tuple[str, ...]] = (
        "tokenizer",
        "text_encoder",
        "vae",
        "image_encoder",
        "image_processor",
    )
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLWan"
    vae_keeps_state = True
    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": "UMT5EncoderModel"}
    masked = True
    posterior = "mode"
    pipelines: ClassVar[tuple[str, ...]] = (
        "WanPipeline",
        "WanImageToVideoPipeline",
        "WanVideoToVideoPipeline",
    )
    vision_class: ClassVar[str] = "CLIPVisionModel"

    def recognizes(self, model: ModelFolder) -> bool:
        return self.is_pipeline(model) and not has_patches(model)

    def is_pipeline(self, model: ModelFolder) -> bool:
        """Return whether the folder's pipeline is one of the family's."""
        return model.index.get("_class_name") in self.pipelines

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        seen = has_image_encoder(model)
        return [one for one in self.profile.components if seen or one.part != "image_encoder"]

    def check(self, model: ModelFolder) -> None:
        super().check(model)
        if has_image_encoder(model):
            self.require_class(model, "image_encoder", self.vision_class)
            model.file("image_processor/preprocessor_config.json")

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        if self.component(model, component).part != "image_encoder":
            return super().identity(model, component)
        return {
            "class": self.vision_class,
            "image_encoder": model.identity("image_encoder"),
            "image_processor": model.files_identity("image_processor"),
            "hidden_state": ClipVision.HIDDEN_STATE,
        }

    def clean(self, caption: str) -> str:
        return clean_caption(caption)

    def text_settings(self, part: str) -> Mapping[str, Any]:
        import ftfy

        return {**super().text_settings(part), "cleaned": f"ftfy {ftfy.__version__}, html, spaces"}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        config = model.config("vae")
        # Older checkpoints do not name the factors: they follow from the layers.
        steps = len(list_of(model, "vae", "dim_mult")) - 1
        patch = count_of(model, "vae", "patch_size") if has_patches(model) else 1
        halvings = sum(map(bool, list_of(model, "vae", "temperal_downsample")))
        spatial, temporal = (
            count_of(model, "vae", key) if config.get(key) is not None else derived
            for key, derived in (
                ("scale_factor_spatial", patch * 2**steps),
                ("scale_factor_temporal", 2**halvings),
            )
        )
        return spatial, temporal

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = self.channels(model)
        names = ("latents_mean", "latents_std")
        return {name: statistics_of(model, "vae", name, channels) for name in names}

    def channels(self, model: ModelFolder) -> int:
        return count_of(model, "vae", "z_dim")

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if self.component(model, component).part == "image_encoder":
            return clip_vision_shape(model)
        return super().embeds_shape(model, component)

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized ``[B, C, F', H', W']``; nothing is drawn."""
        del generator
        return standardize(mode(moments, facts), facts["latents_mean"], facts["latents_std"])

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.part == "image_encoder":
            return load_clip_vision(self.vision_class, model, device, dtype)
        return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)


def has_patches(model: ModelFolder) -> bool:
    """Whether the VAE takes patches of pixels, as that of Wan 2.2 TI2V-5B does."""
    return bool(model.config("vae").get("patch_size"))


def has_image_encoder(model: ModelFolder) -> bool:
    """Whether the pipeline shows the first frame to CLIP, as Wan 2.1's image-to-video does."""
    return model.class_of("image_encoder") is not None


FAMILY = Wan()
