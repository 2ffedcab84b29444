"""Parquet files of tensors: a row group a row, so that neither writer nor reader holds more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


def write_tables(file: BinaryIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Writes tables one after the other, as they come."""
    # Tensors neither repeat nor compress.
    with pq.ParquetWriter(
        file, schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        for table in tables:
            writer.write_table(table)
