"""How `train` trains."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from videoprep.errors import TrainError
from videoprep.options import Cli, checked

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Interval = Annotated[int, Field(ge=0)]
Optimizer = Literal["adamw", "adamw8bit"]
DType = Literal["auto", "fp32", "bf16"]
OnNonfinite = Literal["stop", "skip"]

# What may be another one when a run goes on.
_OF_THE_RUN = {
    "steps", "checkpoint_every", "keep", "validate_every", "sample_every", "workers",
    "on_nonfinite", "loss_mask",  # for which the recipe of the masks stands
}  # fmt: skip


class TrainSettings(BaseModel):
    """The options of a training run. Intervals are in steps; 0 is never."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    split: str | None = None
    """Train on this split. Default: train if there are splits, else everything."""
    regularization: Annotated[float, Field(ge=0), Cli(metavar="RATIO")] = 0.0
    """Number of clips of datasets for regularization for each other clip; they are not trained on
    by default."""
    steps: Count = 1000
    """Number of optimizer steps."""
    batch_size: Count = 1
    """Clips in a batch of one process."""
    accumulate: Count = 1
    """Batches in a step."""
    learning_rate: Annotated[Annotated[float, Field(ge=0)] | None, Cli(example=1e-4)] = None
    """Learning rate. Default: 1e-3 for a LoRA, 1e-5 for all weights."""
    warmup: Interval = 0
    """Steps until the learning rate is reached."""
    optimizer: Optimizer = "adamw"
    """Optimizer: `adamw`, or `adamw8bit` by bitsandbytes."""
    full: bool = False
    """Train all weights instead of a LoRA."""
    rank: Count = 64
    """Rank of the LoRA."""
    dtype: DType = "auto"
    """Precision to compute in: `auto`, `fp32` or `bf16`. Default: `auto`, which is fp32 on a CPU
    and bf16 elsewhere."""
    gradient_checkpointing: bool = False
    """Take less memory and more time."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Maximum norm of the gradient, which is clipped to it."""
    min_snr: Annotated[Annotated[float, Field(gt=0)] | None, Cli(example=5.0)] = None
    """Weigh timesteps by min-SNR with this gamma; 5 is usual."""
    captions: Annotated[
        Literal["random", "first"] | tuple[Annotated[float, Field(ge=0)], ...],
        Cli(example=(2.0, 1.0)),
    ] = "random"
    """Which caption of a clip that has several to train on at a step: `random`, the `first`, or a
    weight for each position."""
    caption_dropout: Share = 0.0
    """Fraction of captions that are replaced by the empty one."""
    image_dropout: Share = 0.05
    """Fraction of clips that get zeros for an image in image-to-video."""
    loss_mask: Annotated[str | None, Cli(metavar="COMPONENT")] = None
    """Component of the masks that weigh the loss: white counts, black does not, and clips without a
    mask count as a whole; `none` for no masks. Default: the store's own, if it has one that is
    meant for the loss."""
    on_nonfinite: Annotated[OnNonfinite, Cli(metavar="HOW")] = "stop"
    """What to do at a step whose loss or gradient is not finite: `stop` or `skip` it."""
    checkpoint_every: Interval = 500
    """Steps between checkpoints; 0 is never."""
    keep: Count = 2
    """Number of checkpoints to keep."""
    validate_every: Interval = 0
    """Steps between losses on the split called validation; 0 is never."""
    sample_every: Interval = 0
    """Steps between videos by the model, which needs its VAE; 0 is never."""
    workers: Interval = 0
    """Number of processes that read batches ahead."""
    seed: Interval = 0
    """Seed of weights, order, noise and dropout."""

    @field_validator("captions")
    @classmethod
    def _has_a_weight(cls, value: Any) -> Any:
        if isinstance(value, tuple) and not any(value):
            raise ValueError("no caption has a weight above 0")
        return value

    @classmethod
    def of(cls, **options: Any) -> TrainSettings:
        """Checks options.

        Raises:
            TrainError: one is unknown or out of bounds.
        """
        return checked(cls, options, TrainError)

    @property
    def rate(self) -> float:
        """The learning rate that is reached."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-5 if self.full else 1e-3

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from 1."""
        return self.rate * min(1.0, step / max(1, self.warmup))

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same when a run goes on."""
        # As in runs from before there was a choice.
        usual = {
            *(["captions"] if self.captions == "random" else []),
            *([] if self.regularization else ["regularization"]),
        }
        return self.model_dump(mode="json", exclude={*_OF_THE_RUN, *usual})
