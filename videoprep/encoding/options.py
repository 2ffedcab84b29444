"""`EncodeOptions`: the options of `encode`, defined once for Python, command line and docs."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field

from videoprep.engine.execution import ExecutionKeywords, ExecutionOptions
from videoprep.families.component import Condition
from videoprep.media.clip import MaskChannel
from videoprep.options import Cli, cli_of
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.workers.pool import Limits

Dtype = Literal["auto", "fp32", "fp16", "bf16"]
TextDtype = Literal["auto", "fp32", "fp16", "bf16", "int8"]
PosteriorChoice = Literal["moments", "mean", "sample"]
MaskMeaning = Literal["loss", "inpaint"]

_LIMITS = Limits()

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
"""The options that ask for components of conditions."""


class _RecipeOptions(BaseModel, use_attribute_docstrings=True):
    """What is made of the clips."""

    image_latents: bool = False
    """Also encode the first frame of each clip, for image-to-video."""
    last_frame: bool = False
    """Also encode the last frame of each clip together with the first, for models that are
    conditioned on both, such as Wan 2.1 FLF2V."""
    image_noise: Annotated[int, Field(ge=0), Cli(metavar="DRAWS")] = 0
    """Number of noise draws to encode on each first frame, which CogVideoX's image-to-video is
    trained with."""
    dtype: Dtype = "auto"
    """Precision of the VAE and of everything that is stored. Default: `auto`, which is fp32 on a
    CPU and bf16 elsewhere."""
    text_encoder_dtype: TextDtype = "auto"
    """Precision of the text encoder; `int8` needs bitsandbytes. Default: `auto`, which is the same
    as `dtype`."""
    posterior: Annotated[PosteriorChoice, Cli(metavar="WHAT")] = "moments"
    """What to store of the VAE's posterior: `moments`, `mean` or `sample`."""
    use_tiling: bool = False
    """Let the VAE work in tiles, which saves memory and changes the result."""
    mask_meaning: Annotated[MaskMeaning, Cli(metavar="WHAT")] = "loss"
    """What masks say, as the store tells trainers: `loss`, how much each part of a clip counts in
    the loss; or `inpaint`, which part is generated. White is 1, which counts or is generated."""
    invert_masks: bool = False
    """Take black in masks for 1 and white for 0."""
    mask_channel: Annotated[MaskChannel, Cli(metavar="CHANNEL")] = "luma"
    """What of a mask's pictures is read: `luma`, how bright they are, or `alpha`, how opaque."""
    revision: str | None = None
    """Revision of the model on the hub."""

    @property
    def conditions(self) -> frozenset[Condition]:
        """The options that ask for components of conditions."""
        return frozenset(name for name in CONDITIONS if getattr(self, name))


class EncodeOptions(ExecutionOptions, _RecipeOptions):
    """The options of an encode run, besides its source, model and output."""

    device: Annotated[str, Cli(completion="devices")] = "auto"
    """Device to encode on: `auto`, `cpu`, `cuda`, or any name that torch knows."""
    batch_size: Annotated[Annotated[int, Field(ge=1)] | None, Cli(example=4)] = None
    """Maximum number of clips or captions in a micro-batch; a CPU takes one at a time. Default:
    found by trial."""
    allow_damaged: bool = False
    """Also encode clips with damaged frames; `damaged.jsonl` in the store lists them. Those
    that failed for it in earlier runs are taken up again. Default: they fail."""
    decode_workers: Annotated[Annotated[int, Field(ge=1)] | None, Cli(example=4)] = None
    """Number of processes that decode. Default: as the machine allows."""
    time_limit: Annotated[float, Field(ge=0.1)] = _LIMITS.seconds
    """Seconds that decoding a small clip may take; a large one gets more."""
    memory_limit: Annotated[int, Field(ge=1)] = _LIMITS.memory_mib
    """MiB that decoding one clip may take."""
    yes: bool = False
    """Go on without asking, even if clips that the store holds are encoded again or no longer
    used."""

    @property
    def limits(self) -> Limits:
        """What decoding one clip may take."""
        return Limits(self.time_limit, self.memory_limit)


class StatusKeywords(DatasetOptions, total=False):
    """The fields of `EncodeOptions` that `status` accepts, and those of `DatasetSpec`, for editors.

    None stands for the default, which for `status` is as the store has it.
    """

    image_latents: bool | None
    last_frame: bool | None
    dtype: Dtype | None
    text_encoder_dtype: TextDtype | None
    posterior: PosteriorChoice | None
    use_tiling: bool | None
    mask_meaning: MaskMeaning | None
    invert_masks: bool | None
    mask_channel: MaskChannel | None
    revision: str | None


class EncodeKeywords(StatusKeywords, ExecutionKeywords, total=False):
    """The fields of `EncodeOptions`, and those of `DatasetSpec`, for editors and mypy."""

    image_noise: int | None
    device: str | None
    batch_size: int | None
    decode_workers: int | None
    allow_damaged: bool | None
    time_limit: float | None
    memory_limit: int | None
    yes: bool | None


_FORMER = {
    former: name
    for name, field in EncodeOptions.model_fields.items()
    for former in cli_of(field).also
}
"""Names that options had before; they are still taken."""

STATUS_OPTIONS = frozenset(EncodeOptions.model_fields) & frozenset(StatusKeywords.__annotations__)
"""The options of `EncodeOptions` that `status` takes."""


def divided(
    options: Mapping[str, Any], own: Container[str] = EncodeOptions.model_fields
) -> tuple[EncodeOptions, dict[str, Any]]:
    """Return the options of a run, checked, and the others, which a dataset may know.

    Args:
        options: as they were given; None: not at all.
        own: the fields of `EncodeOptions` that there are.
    """
    given = {_FORMER.get(name, name): value for name, value in options.items() if value is not None}
    mine = {name: value for name, value in given.items() if name in own}
    return EncodeOptions.of(**mine), {n: value for n, value in given.items() if n not in mine}
