"""The recipes of a run: what, besides the clip, decides each artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videoprep.errors import VideoprepError
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.media.clip import PIXELS
from videoprep.media.decode import DecoderName
from videoprep.store.recipe import Component, Recipe

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How this run encodes.

    Attributes:
        dtype: name of the torch dtype to compute and store in.
        decoder: which library decodes.
        tiling: whether the VAE works in tiles, which saves memory and changes the result.
    """

    dtype: str
    decoder: DecoderName
    tiling: bool


def choose_dtype(asked: str, device: torch.device) -> str:
    """Name of the torch dtype; ``auto`` is float32 on a CPU and bfloat16 elsewhere.

    Raises:
        VideoprepError: there is no such dtype.
    """
    if asked == "auto":
        return "float32" if device.type == "cpu" else "bfloat16"
    if asked not in DTYPES:
        raise VideoprepError(
            f"no dtype {asked!r}", remedy=f"choose one of: auto, {', '.join(DTYPES)}"
        )
    return DTYPES[asked]


def make_recipes(
    family: Family, model: ModelFolder, components: Iterable[Component], settings: Settings
) -> Mapping[Component, Recipe]:
    """One recipe a component. Reads the weights once to fingerprint them."""
    recipes: dict[Component, Recipe] = {}
    video = None
    for component in components:
        if component == "prompt_embeds":
            fields = {**family.text_identity(model), "dtype": settings.dtype}
        else:
            video = video or family.video_identity(model)
            fields = {
                **video,
                "dtype": settings.dtype,
                "decoder": settings.decoder,
                "pixels": PIXELS,
                "tiling": settings.tiling,
                "posterior": "moments",
            }
        recipes[component] = Recipe(component, {"family": family.name, **fields})
    return recipes
