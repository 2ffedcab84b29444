"""The optimiser: AdamW, with its moments in 32 or in 8 bits."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

import torch

from videoprep.errors import TrainError
from videoprep.training.settings import TrainSettings


def require_optimizer(settings: TrainSettings, processes: int) -> None:
    """Checks, before anything is loaded, that the optimiser can be had.

    Raises:
        TrainError: it needs bitsandbytes, which is not installed, or weights that are not shared
            out among processes.
    """
    if settings.optimizer == "adamw":
        return
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            "adamw8bit needs bitsandbytes",
            remedy="pip install bitsandbytes, or leave `optimizer` out",
        )
    if settings.full and processes > 1:
        raise TrainError(
            "bitsandbytes cannot step weights that are shared out among processes, as `full` does",
            remedy="leave `optimizer='adamw8bit'` out: each process holds a part of the moments "
            "anyway; or train a LoRA",
        )


def make_optimizer(
    weights: list[torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.Optimizer:
    """The optimiser that was asked for, and checked by `require_optimizer`."""
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(weights, lr=settings.rate)
    eight_bit = import_module("bitsandbytes.optim").AdamW8bit
    return cast("torch.optim.Optimizer", eight_bit(weights, lr=settings.rate))
