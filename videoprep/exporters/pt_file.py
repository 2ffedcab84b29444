"""Tensors as files that ``torch.load(weights_only=True)`` reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from videoprep.fs.atomic import Writer


def saving(make: Callable[[], Any]) -> Writer:
    """Writes a tensor, or a dict of tensors and numbers, each with memory of its own size.

    Args:
        make: gives it; not called where the file is there already.
    """

    def write(file: BinaryIO) -> None:
        import torch

        torch.save(_owned(make()), file)

    return write


def _owned(content: Any) -> Any:
    """A part of a mapped shard would be saved with all of the shard."""
    import torch

    if isinstance(content, torch.Tensor):
        return content.clone(memory_format=torch.contiguous_format)
    if isinstance(content, dict):
        return {name: _owned(value) for name, value in content.items()}
    return content
