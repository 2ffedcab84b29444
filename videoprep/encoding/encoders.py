"""Loading the model parts that encode, each tried out before it gets work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError

from videoprep.encoding.recipes import EIGHT_BIT
from videoprep.encoding.unit_work import EncodeContext
from videoprep.errors import ModelError
from videoprep.families.component import ComponentSpec
from videoprep.families.contract import ClipContext
from videoprep.families.masks import MaskEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.gc_pause import gc_paused

if TYPE_CHECKING:
    from videoprep.families.contract import SoundEncoder, TextEncoder, VideoEncoder

# For a trial, if the family has no rate of its own.
_ANY_FPS = 24.0


def load_text(context: EncodeContext, part: str) -> TextEncoder:
    """Return the text encoder of a part of the model, once it has proved that it can compute.

    Raises:
        ModelError: It cannot be loaded, or overflows in the dtype.
    """
    settings = context.job.settings
    eight_bit = settings.text_dtype == EIGHT_BIT and part not in context.family.fp32_parts
    # What is not held in 8 bits: float16, which bitsandbytes computes in, overflows in T5.
    asked = "bfloat16" if settings.text_dtype == EIGHT_BIT else settings.text_dtype
    dtype = context.family.dtype_of(part, getattr(torch, asked))
    with _loading(context.job.model, part):
        encoder = context.family.load_text_encoder(
            context.job.model, part, context.device, dtype, eight_bit=eight_bit
        )
        if dtype != torch.float32:  # a smaller type may overflow
            made = encoder.encode(["A dog runs."])[0]
            _require_finite(made, context, part, "text_encoder_dtype")
    return encoder


def load_video(context: EncodeContext, spec: ComponentSpec) -> VideoEncoder:
    """Return what encodes the frames of a component, once it has proved that it can compute.

    Raises:
        ModelError: It cannot be loaded, or overflows in the dtype.
    """
    family, model, settings = context.family, context.job.model, context.job.settings
    if not spec.part:
        return MaskEncoder(family, model)
    dtype = family.dtype_of(spec.part, getattr(torch, settings.dtype))
    tiling = family.works_in_tiles(spec.part, asked=settings.tiling)
    with _loading(model, spec.part):
        encoder = family.load_frame_encoder(model, spec, context.device, dtype, tiling=tiling)
        if dtype != torch.float32:  # a smaller type may overflow
            side = 2 * family.profile.divisor
            picture = torch.rand(1, 3, 1, side, side, generator=torch.Generator().manual_seed(0))
            fps = family.profile.fps or _ANY_FPS
            told = ClipContext("A dog runs.", fps, size=(side, side))
            made = encoder.encode_clips(spec.pixels.scale(picture), [told])
            _require_finite(made, context, spec.part, "dtype")
    return encoder


def load_sound(context: EncodeContext, spec: ComponentSpec) -> SoundEncoder:
    """Return what encodes the sound of a component, once it has proved that it can compute.

    Raises:
        ModelError: It cannot be loaded, or overflows in the dtype.
    """
    model = context.job.model
    dtype = context.family.dtype_of(spec.part, getattr(torch, context.job.settings.dtype))
    assert spec.sound is not None  # noqa: S101 (`components_of` checks it)
    with _loading(model, spec.part):
        encoder = context.family.load_sound_encoder(model, spec, context.device, dtype)
        if dtype != torch.float32:  # a smaller type may overflow
            noise = torch.rand(
                1,
                spec.sound.channels,
                spec.sound.sample_rate,
                generator=torch.Generator().manual_seed(0),
            )
            _require_finite(encoder.encode(2 * noise - 1), context, spec.part, "dtype")
    return encoder


def _require_finite(made: torch.Tensor, context: EncodeContext, part: str, option: str) -> None:
    """If a model overflows, every clip would fail."""
    if not made.isfinite().all():
        dtype = str(made.dtype).removeprefix("torch.")
        raise ModelError(
            f"the {part} gives values that are not finite in {dtype}",
            where=str(context.job.model.path / part),
            remedy=f"use `{option}='bf16'` or `{option}='fp32'`",
            option=option,
        )


@contextmanager
def _loading(model: ModelFolder, what: str) -> Iterator[None]:
    """Say which model failed to load; the libraries' own errors often do not."""
    try:
        with gc_paused():  # libraries are imported, too
            yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"the {what} cannot be loaded: {type(error).__name__}: {error}",
            where=str(model.path),
            remedy="download the model again; if memory ran out, use another device or dtype",
        ) from error
