"""SigLIP's encoder of single frames."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.clip import pictures_of
from videoprep.families.component import FIRST_FRAME, FIRST_FRAMES, ComponentSpec
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, load_encoder

if TYPE_CHECKING:
    import torch

PART = "image_encoder"
PROCESSOR = "feature_extractor"
_CONFIG = "preprocessor_config.json"

SIGLIP_EMBEDS = ComponentSpec(
    name="image_embeds",
    source=FIRST_FRAME,
    part=PART,
    asked_by=FIRST_FRAMES,
    shape=(729, 1152),
)


class SiglipVision(VideoEncoder):
    """Single frames to ``[B, tokens, features]``: the last hidden state.

    Args:
        processor: scales and normalises pictures, as the model folder says.
        model: the encoder.
        fractions: whether pictures are scaled as fractions, and not as whole numbers of 8 bits,
            which are rounded after that.
    """

    def __init__(self, processor: Any, model: Any, *, fractions: bool) -> None:
        self._processor, self._model, self._fractions = processor, model, fractions

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        inputs = self._scaled(pixels).pixel_values
        with torch.inference_mode():
            embeds: torch.Tensor = self._model(
                inputs.to(self._model.device, self._model.dtype)
            ).last_hidden_state
        return embeds

    def _scaled(self, pixels: torch.Tensor) -> Any:
        if self._fractions:
            shown = (pixels[:, :, 0].float() + 1) / 2.0
            return self._processor(images=shown, do_rescale=False, return_tensors="pt")
        return self._processor(
            images=pictures_of(pixels), do_resize=True, do_convert_rgb=True, return_tensors="pt"
        )

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Nothing can be saved: a picture takes little."""


def siglip_shape(model: ModelFolder) -> tuple[int, int]:
    """Return tokens and features, from the encoder's config: one token a patch."""
    image, patch, features = (
        count_of(model, PART, key) for key in ("image_size", "patch_size", "hidden_size")
    )
    return (image // patch) ** 2, features


def siglip_identity(model: ModelFolder, *, fractions: bool = False) -> dict[str, Any]:
    """Return what decides the embeddings of a picture; see `SiglipVision`."""
    return {
        "class": "SiglipVisionModel",
        PART: model.identity(PART),
        PROCESSOR: model.files_identity(PROCESSOR),
        **({"scaled_as": "fractions"} if fractions else {}),
    }


def require_siglip(model: ModelFolder) -> None:
    """Check that a model folder has what SigLIP needs besides the encoder itself.

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


def load_siglip(
    model: ModelFolder, device: torch.device, dtype: torch.dtype, *, fractions: bool = False
) -> SiglipVision:
    """Load ``feature_extractor`` and ``image_encoder`` of a model folder; see `SiglipVision`."""
    from transformers import SiglipImageProcessor

    processor = SiglipImageProcessor.from_pretrained(str(model.path / PROCESSOR))
    encoder = load_encoder("SiglipVisionModel", model, PART, device, dtype)
    return SiglipVision(processor, encoder, fractions=fractions)
