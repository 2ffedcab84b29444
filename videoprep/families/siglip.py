"""SigLIP's encoder of single frames."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.clip import pictures_of
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, load_encoder

if TYPE_CHECKING:
    import torch

PART = "image_encoder"
PROCESSOR = "feature_extractor"
_CONFIG = "preprocessor_config.json"


class SiglipVision(VideoEncoder):
    """Single frames to ``[B, tokens, features]``: the last hidden state.

    Args:
        processor: scales and normalises pictures, as the model folder says.
        model: the encoder.
    """

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor, self._model = processor, model

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        inputs = self._processor.preprocess(
            images=pictures_of(pixels), do_resize=True, do_convert_rgb=True, return_tensors="pt"
        ).pixel_values
        with torch.inference_mode():
            embeds: torch.Tensor = self._model(
                inputs.to(self._model.device, self._model.dtype)
            ).last_hidden_state
        return embeds

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Nothing can be saved: a picture takes little."""


def siglip_shape(model: ModelFolder) -> tuple[int, int]:
    """Return tokens and features, from the encoder's config: one token a patch."""
    image, patch, features = (
        count_of(model, PART, key) for key in ("image_size", "patch_size", "hidden_size")
    )
    return (image // patch) ** 2, features


def siglip_identity(model: ModelFolder) -> dict[str, Any]:
    """Return what decides the embeddings of a picture."""
    return {
        "class": "SiglipVisionModel",
        PART: model.identity(PART),
        PROCESSOR: model.files_identity(PROCESSOR),
    }


def require_siglip(model: ModelFolder) -> None:
    """Check that a model folder has all that SigLIP needs.

    Raises:
        ModelError: something is missing, of the folder or of what is installed.
    """
    model.file(f"{PROCESSOR}/{_CONFIG}")
    if find_spec("torchvision") is None:
        raise ModelError(
            "SigLIP's pictures are scaled by torchvision, which is not installed",
            where=str(model.path / PROCESSOR),
            remedy="pip install torchvision",
        )


def load_siglip(model: ModelFolder, device: torch.device, dtype: torch.dtype) -> SiglipVision:
    """Load ``feature_extractor`` and ``image_encoder`` of a model folder."""
    from transformers import SiglipImageProcessor

    processor = SiglipImageProcessor.from_pretrained(str(model.path / PROCESSOR))
    return SiglipVision(processor, load_encoder("SiglipVisionModel", model, PART, device, dtype))
