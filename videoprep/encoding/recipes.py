"""The recipes of a run: what, besides the clip, decides each artifact."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from videoprep.encoding.image_noise import NOISE
from videoprep.encoding.posterior import Posterior
from videoprep.errors import VideoprepError
from videoprep.families.component import IS_LATENTS, MADE_FROM, Component
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.media.clip import PIXELS
from videoprep.media.decode import DecoderName
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

EIGHT_BIT = "int8"
"""A text encoder whose weights are held in 8 bits, by bitsandbytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this run encodes.

    Attributes:
        dtype: name of the torch dtype to compute the VAE and to store in.
        text_dtype: name of the torch dtype to compute the text encoder in, or `EIGHT_BIT`.
        decoder: which library decodes.
        tiling: whether the VAE works in tiles, which saves memory and changes the result.
        posterior: what of the VAE's posterior is stored.
        image_noise: how many draws of noise on each first frame are encoded.
    """

    dtype: str
    text_dtype: str
    decoder: DecoderName
    tiling: bool
    posterior: Posterior
    image_noise: int = 0


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


def choose_text_dtype(asked: str, dtype: str) -> str:
    """Name of what the text encoder computes in; ``auto`` is what all is stored in.

    Raises:
        VideoprepError: there is no such dtype, or bitsandbytes is not installed.
    """
    if asked == "auto":
        return dtype
    if asked in DTYPES:
        return DTYPES[asked]
    if asked != EIGHT_BIT:
        raise VideoprepError(
            f"no dtype {asked!r} for the text encoder",
            remedy=f"choose one of: auto, {', '.join(DTYPES)}, {EIGHT_BIT}",
        )
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise VideoprepError(
                f"a text encoder in 8 bits needs {package}",
                remedy="pip install bitsandbytes accelerate, or choose another "
                "--text-encoder-dtype",
            )
    return EIGHT_BIT


def choose_posterior(asked: str) -> Posterior:
    """What of the posterior is stored.

    Raises:
        VideoprepError: there is no such choice.
    """
    if asked not in get_args(Posterior):
        raise VideoprepError(
            f"no posterior {asked!r}", remedy=f"choose one of: {', '.join(get_args(Posterior))}"
        )
    return asked  # type: ignore[return-value]


def make_recipes(
    family: Family, model: ModelFolder, components: Iterable[Component], settings: Settings
) -> Mapping[Component, Recipe]:
    """One recipe a component. Reads the weights once to fingerprint them."""
    recipes: dict[Component, Recipe] = {}
    for component in components:
        fields = {**family.identity(model, component), "dtype": settings.dtype}
        if MADE_FROM[component] == "caption":
            fields |= {"computed_in": settings.text_dtype}
        else:
            fields |= {"decoder": settings.decoder, "pixels": PIXELS}
        if IS_LATENTS[component]:
            fields |= {"tiling": settings.tiling, "posterior": settings.posterior}
        if component == "condition_latents":
            fields |= {"after_first": "zeros"}
        if component == "noisy_image_latents":
            fields |= {"noise": NOISE, "draws": settings.image_noise}
        recipes[component] = Recipe(component, {"family": family.name, **fields})
    return recipes
