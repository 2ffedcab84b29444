"""The recipes of a run: what, besides the clip, decides each artifact."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from videoprep.encoding.draws import NOISE, Posterior
from videoprep.encoding.options import EncodeOptions, MaskMeaning
from videoprep.errors import StoreError, VideoprepError
from videoprep.families.component import Component, ComponentSpec, Source
from videoprep.families.contract import Family
from videoprep.families.masks import identity_of
from videoprep.families.model_folder import ModelFolder
from videoprep.media.audio import SAMPLES
from videoprep.media.clip import PIXELS, MaskChannel, MaskReading
from videoprep.store.layout import StoreInfo
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

_DECODER = "pyav"

MASK_OPTIONS = ("mask_meaning", "invert_masks", "mask_channel")
"""The options that decide masks. Their recipes say them."""

EIGHT_BIT = "int8"
"""A text encoder whose weights are held in 8 bits, by bitsandbytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this run encodes.

    Attributes:
        dtype: name of the torch dtype to compute the VAE and to store in.
        text_dtype: name of the torch dtype to compute the text encoder in, or `EIGHT_BIT`.
        decoder: what a store's recipes name as the library that decodes. Stores of earlier versions
            may name torchcodec, which gave the same pixels.
        tiling: whether the VAE works in tiles, which saves memory and changes the result.
        posterior: what of the VAE's posterior is stored.
        image_noise: how many draws of noise on each first frame are encoded.
        mask_meaning: what masks say.
        invert_masks: whether black in masks is 1.
        mask_channel: what of a mask's pictures is read.
    """

    dtype: str
    text_dtype: str
    decoder: str
    tiling: bool
    posterior: Posterior
    image_noise: int = 0
    mask_meaning: MaskMeaning = "loss"
    invert_masks: bool = False
    mask_channel: MaskChannel = "luma"

    @property
    def mask_reading(self) -> MaskReading:
        """How masks are read from pictures."""
        return MaskReading(self.mask_channel, self.invert_masks)


def choose_settings(options: EncodeOptions, device: torch.device) -> Settings:
    """Return how a run encodes on a device; ``auto`` is float32 on a CPU and bfloat16 elsewhere.

    Raises:
        VideoprepError: bitsandbytes is asked for and cannot be used.
    """
    usual = "float32" if device.type == "cpu" else "bfloat16"
    dtype = DTYPES.get(options.dtype, usual)
    return Settings(
        dtype=dtype,
        text_dtype=dtype
        if options.text_encoder_dtype == "auto"
        else _text_dtype(options.text_encoder_dtype),
        decoder=_DECODER,
        tiling=options.use_tiling,
        posterior=options.posterior,
        image_noise=options.image_noise,
        mask_meaning=options.mask_meaning,
        invert_masks=options.invert_masks,
        mask_channel=options.mask_channel,
    )


def changed_settings(own: Settings, options: EncodeOptions) -> Settings:
    """Return a store's own settings with the options that were given; ``auto`` keeps its."""
    given = {name: getattr(options, name) for name in options.model_fields_set}
    changed: dict[str, Any] = {}
    if given.get("dtype", "auto") != "auto":
        changed["dtype"] = DTYPES[given["dtype"]]
    if given.get("text_encoder_dtype", "auto") != "auto":
        asked = given["text_encoder_dtype"]
        changed["text_dtype"] = DTYPES.get(asked, asked)
    elif "dtype" in changed and own.text_dtype == own.dtype:
        changed["text_dtype"] = changed["dtype"]  # as `choose_settings` has it
    if "posterior" in given:
        changed["posterior"] = given["posterior"]
    if "use_tiling" in given:
        changed["tiling"] = given["use_tiling"]
    changed |= {name: given[name] for name in MASK_OPTIONS if name in given}
    return replace(own, **changed)


def _text_dtype(asked: str) -> str:
    if asked != EIGHT_BIT:
        return DTYPES[asked]
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise VideoprepError(
                f"a text encoder in 8 bits needs {package}",
                remedy="pip install bitsandbytes accelerate, or choose another "
                "`text_encoder_dtype`",
                option="text_encoder_dtype",
            )
    return EIGHT_BIT


def make_recipes(
    family: Family, model: ModelFolder, components: Iterable[ComponentSpec], settings: Settings
) -> Mapping[Component, Recipe]:
    """One recipe a component. Reads the weights once to fingerprint them."""
    recipes: dict[Component, Recipe] = {}
    for spec in components:
        own = {name: getattr(settings, name) for name in _mask_options(spec.source)}
        fields = {**identity_of(family, model, spec), "dtype": settings.dtype, **own}
        if spec.mask:
            fields |= {"dtype": "uint8", "mask": True}
        elif spec.source.frames:
            fields |= {"decoder": settings.decoder, "pixels": PIXELS}
        elif spec.source.sound:
            fields |= {"decoder": settings.decoder, "samples": SAMPLES}
        elif spec.part not in family.fp32_parts:
            fields |= {"computed_in": settings.text_dtype}
        if spec.part in family.fp32_parts and not spec.mask:
            fields |= {"kept_in": "float32"}
        if spec.posterior is not None:
            fields |= {"tiling": family.works_in_tiles(spec.part, asked=settings.tiling)}
        if spec.posterior is not None and spec.posterior.spread is not None:
            fields |= {"posterior": settings.posterior}
        if spec.noise:
            fields |= {"noise": NOISE, "draws": settings.image_noise}
        recipes[spec.name] = Recipe(spec.name, {"family": family.name, **fields, **spec.recipe})
    return recipes


def _mask_options(source: Source) -> tuple[str, ...]:
    """Those that decide what is made of a source; there is one meaning of masks beside others."""
    if source.masked:
        return tuple(name for name in MASK_OPTIONS if name != "mask_meaning")
    return MASK_OPTIONS if source.is_mask else ()


def make_facts(
    family: Family, model: ModelFolder, settings: Settings, recipes: Mapping[Component, Recipe]
) -> Mapping[str, Any]:
    """Return what a trainer must know of a store's latents, and what of the posterior is stored."""
    taken = any("posterior" in recipe.fields for recipe in recipes.values())
    posterior = settings.posterior if taken else "moments"
    facts = {**family.facts(model), "posterior": posterior}
    if posterior != "moments":
        facts["moments"] = f"not stored: the {posterior} alone, unscaled"
    return facts


def settings_of(info: StoreInfo, where: str) -> Settings:
    """The settings that give the store's own recipes again.

    Args:
        info: what ``store.json`` says.
        where: the store, for the message.

    Raises:
        StoreError: the recipes lack something.
    """
    recipes: Iterable[Recipe] = info.recipes.values()
    recipes = [one for one in recipes if "mask" not in one.fields]  # which no setting decides
    try:
        videos = [one.fields for one in recipes if "tiling" in one.fields]
        video = videos[0]
        texts = (one.fields["computed_in"] for one in recipes if "computed_in" in one.fields)
        reduced = (one.fields["posterior"] for one in recipes if "posterior" in one.fields)
        masks: dict[str, Any] = {}
        for one in recipes:
            masks |= {name: one.fields[name] for name in _mask_options(one.source)}
        return Settings(
            dtype=video["dtype"],
            text_dtype=next(texts, video["dtype"]),
            decoder=video["decoder"],
            tiling=all(fields["tiling"] for fields in videos),  # some parts always are
            posterior=next(reduced, "moments"),
            image_noise=draws_of(recipes),
            **masks,
        )
    except (KeyError, IndexError) as error:
        raise StoreError(
            "its recipes do not say how it was made: another version of videoprep made it",
            where=where,
            remedy="use that version, or encode again into another store",
        ) from error


def draws_of(recipes: Iterable[Recipe]) -> int:
    """Return how many draws of noise on first frames a store has; 0: it has none."""
    return max((int(one.fields.get("draws", 0)) for one in recipes), default=0)
