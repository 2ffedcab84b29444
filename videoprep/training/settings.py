"""How `train` trains."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from videoprep.errors import TrainError
from videoprep.options import checked

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Interval = Annotated[int, Field(ge=0)]
Optimizer = Literal["adamw", "adamw8bit"]
DType = Literal["auto", "fp32", "bf16"]
OnNonfinite = Literal["stop", "skip"]

# What may be another one when a run goes on.
_OF_THE_RUN = {
    "steps", "checkpoint_every", "keep", "validate_every", "sample_every", "workers", "on_nonfinite"
}  # fmt: skip


class TrainSettings(BaseModel):
    """The options of a training run. Intervals are in steps; 0 is never."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    split: str | None = Field(
        None, description="Train on this split. Default: train where there are splits, else all."
    )
    steps: Count = Field(1000, description="Optimiser steps.")
    batch_size: Count = Field(1, description="Clips in a batch of one process.")
    accumulate: Count = Field(1, description="Batches a step.")
    learning_rate: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Default: 1e-3 for a LoRA, 1e-5 for all weights."
    )
    warmup: Interval = Field(0, description="Steps until the learning rate is reached.")
    optimizer: Optimizer = Field("adamw", description="adamw, or adamw8bit by bitsandbytes.")
    full: bool = Field(False, description="Train all weights instead of a LoRA.")
    rank: Count = Field(64, description="Of the LoRA.")
    dtype: DType = Field("auto", description="What is computed in: fp32 on a CPU, bf16 elsewhere.")
    gradient_checkpointing: bool = Field(False, description="Less memory, more time.")
    max_gradient_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="Clipped to it.")
    min_snr: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Weigh timesteps by min-SNR with this gamma; usual is 5."
    )
    caption_dropout: Share = Field(
        0.0, description="How often a caption makes way for the empty one."
    )
    image_dropout: Share = Field(0.05, description="How often image-to-video gets no image: zeros.")
    on_nonfinite: OnNonfinite = Field(
        "stop", description="What to do at a step whose loss or gradient is not finite."
    )
    checkpoint_every: Interval = Field(500, description="Save a checkpoint.")
    keep: Count = Field(2, description="How many checkpoints stay.")
    validate_every: Interval = Field(0, description="Loss on the split called validation.")
    sample_every: Interval = Field(0, description="A video; needs the model's VAE.")
    workers: Interval = Field(0, description="Processes that read batches ahead.")
    seed: Interval = Field(0, description="Of weights, order, noise and dropout.")

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
        return self.model_dump(exclude=_OF_THE_RUN)
