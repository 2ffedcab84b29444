"""Files of tensors: Parquet; what ``torch.load(weights_only=True)`` reads; safetensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.fs.atomic import Writer

if TYPE_CHECKING:
    import torch


def write_tables(file: BinaryIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Writes tables as they come, a row group each: neither writer nor reader holds more."""
    # Tensors neither repeat nor compress.
    with pq.ParquetWriter(
        file, schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        for table in tables:
            writer.write_table(table)


def pt_file(make: Callable[[], Any]) -> Writer:
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


def safetensors_file(
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
