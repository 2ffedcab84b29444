"""The optimiser: AdamW, with its moments in 32 or in 8 bits."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

import torch

from videoprep.errors import TrainError
from videoprep.training.settings import TrainSettings


def make_optimizer(
    weights: list[torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.Optimizer:
    """The optimiser that was asked for.

    Raises:
        TrainError: it needs bitsandbytes, which is not installed.
    """
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(weights, lr=settings.rate)
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            "adamw8bit needs bitsandbytes",
            remedy="pip install bitsandbytes, or leave --optimizer out",
        )
    eight_bit = import_module("bitsandbytes.optim").AdamW8bit
    return cast("torch.optim.Optimizer", eight_bit(weights, lr=settings.rate))
