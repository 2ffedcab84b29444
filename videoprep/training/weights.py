"""What is trained of a transformer, a LoRA by peft or all; by which optimiser; how it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from videoprep.errors import TrainError
from videoprep.fs.atomic import write_bytes
from videoprep.training.checkpoint import write_tensors
from videoprep.training.settings import TrainSettings

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

WEIGHTS_NAME = "pytorch_lora_weights.safetensors"
"""The file name that ``load_lora_weights`` looks for."""
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


def require_peft() -> None:
    """Checks that peft can be imported.

    Raises:
        TrainError: it is not installed.
    """
    if find_spec("peft") is None:
        raise TrainError("training needs peft", remedy="pip install 'videoprep[train]'")


def add_lora(transformer: CogVideoXTransformer3DModel, rank: int) -> list[torch.nn.Parameter]:
    """Freezes the transformer and adds a LoRA to its attention; gives the weights to train.

    ``alpha`` equals ``rank``, so the update is not scaled and the file needs no word about it.
    The LoRA's weights are float32 whatever the transformer's dtype.
    """
    from peft import LoraConfig

    transformer.requires_grad_(False)
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)))
    trained = [weight for weight in transformer.parameters() if weight.requires_grad]
    for weight in trained:
        weight.data = weight.data.float()
    return trained


def save_lora(
    transformer: CogVideoXTransformer3DModel, weights: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Writes the LoRA where and as ``CogVideoXPipeline.load_lora_weights`` reads it.

    The pipeline class itself is not used: it would import the VAE and the text encoder.

    Args:
        transformer: the model.
        weights: the trained ones, gathered from the processes.
        path: the file.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    trained = get_peft_model_state_dict(transformer, state_dict=dict(weights))
    named = {f"transformer.{name}": weight.contiguous() for name, weight in trained.items()}
    write_bytes(path, save(named, metadata={"format": "pt"}))


def save_full(
    transformer: CogVideoXTransformer3DModel, weights: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Writes a transformer folder as ``from_pretrained`` reads it.

    Args:
        transformer: the model, whose config is written.
        weights: all of it, gathered from the processes.
        path: the folder.
    """
    transformer.save_config(path)
    write_tensors(path / "diffusion_pytorch_model.safetensors", weights)


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
