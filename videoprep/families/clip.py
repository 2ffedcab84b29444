"""CLIP's encoders: of captions, and of single frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.families.contract import TextEncoder, VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, load_encoder

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CLIP_TOKENS = 77
"""Captions are padded and cut to this many tokens."""


class ClipText(TextEncoder):
    """CLIP's pooled embedding of a caption: ``[features]``.

    Args:
        tokenizer: the model's own.
        model: the encoder.
        masked: whether the encoder is told which tokens are padding.
        clean: what is done to a caption before.
    """

    limit = CLIP_TOKENS

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        *,
        masked: bool = False,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._masked, self._clean = masked, clean

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        import torch

        tokens = self._tokenizer(
            [self._clean(caption) for caption in captions],
            padding="max_length",
            max_length=CLIP_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        device = self._model.device
        mask = {"attention_mask": tokens.attention_mask.to(device)} if self._masked else {}
        with torch.inference_mode():
            return list(self._model(tokens.input_ids.to(device), **mask).pooler_output)

    def count_tokens(self, caption: str) -> int:
        return len(self._tokenizer(self._clean(caption), verbose=False).input_ids)


class ClipVision(VideoEncoder):
    """Single frames to ``[B, tokens, features]``: the last hidden state but one.

    Args:
        processor: scales and normalises pictures, as the model folder says.
        model: the encoder.
    """

    HIDDEN_STATE = -2

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor, self._model = processor, model

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        inputs = self._processor(images=pictures_of(pixels), return_tensors="pt").pixel_values
        with torch.inference_mode():
            hidden = self._model(
                inputs.to(self._model.device, self._model.dtype), output_hidden_states=True
            ).hidden_states
        embeds: torch.Tensor = hidden[self.HIDDEN_STATE]
        return embeds

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Nothing can be saved: a picture takes little."""


def pictures_of(pixels: torch.Tensor) -> list[Image]:
    """Return the first frame of each clip as a picture of 8 bits, as image processors take it.

    Args:
        pixels: ``[B, 3, F, H, W]`` in −1…1, of values that 8 bits have: nothing is lost.
    """
    import torch
    from PIL import Image

    shown = ((pixels[:, :, 0].float() + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(one) for one in shown.permute(0, 2, 3, 1).cpu().numpy()]


def clip_vision_shape(model: ModelFolder) -> tuple[int, int]:
    """Tokens and features, from the encoder's config: one token a patch, and one for all."""
    image, patch, features = (
        count_of(model, "image_encoder", key) for key in ("image_size", "patch_size", "hidden_size")
    )
    return (image // patch) ** 2 + 1, features


def load_clip_vision(
    name: str, model: ModelFolder, device: torch.device, dtype: torch.dtype
) -> ClipVision:
    """Load ``image_processor`` and ``image_encoder`` of a model folder.

    Args:
        name: transformers' class of the encoder.
        model: where they are.
        device: where the encoder runs.
        dtype: what it computes in.
    """
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor.from_pretrained(str(model.path / "image_processor"))
    encoder = load_encoder(name, model, "image_encoder", device, dtype)
    return ClipVision(processor, encoder)
