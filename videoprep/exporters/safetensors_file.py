"""Tensors as a safetensors file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from videoprep.fs.atomic import Writer

if TYPE_CHECKING:
    import torch


def saving(
    make: Callable[[], Mapping[str, torch.Tensor]], metadata: Mapping[str, str] | None = None
) -> Writer:
    """Writes tensors by name, and text about them.

    Args:
        make: gives the tensors; not called where the file is there already.
        metadata: the text.
    """

    def write(file: BinaryIO) -> None:
        from safetensors.torch import save

        tensors = {name: tensor.contiguous() for name, tensor in make().items()}
        file.write(save(tensors, dict(metadata) if metadata else None))

    return write
