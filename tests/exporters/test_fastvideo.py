"""Its reader takes every tensor for float32 of the shape beside it, one bucket a batch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.exports import mean_of, require_draws, store_of, transformed


def read(out: Path) -> list[dict[str, Any]]:
    """The rows in the order of the clips' names."""
    rows = []
    for file in sorted(out.glob("**/*.parquet")):
        for row in pq.read_table(file).to_pylist():
            tensors = {
                name.removesuffix("_bytes"): np.frombuffer(data, np.float32).reshape(
                    row[name.replace("_bytes", "_shape")]
                )
                for name, data in row.items()
                if name.endswith("_bytes") and data
            }
            named = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
            rows.append({**row, **named, "folder": file.parent.name})
    return sorted(rows, key=lambda row: str(row["id"]))


def test_wan(stores: Stores, out: Path) -> None:
    data = stores("wan-t2v")
    result = vp.export(store_of(data), to="fastvideo", output=out)
    assert result.posterior == "mean"
    rows = read(out)
    assert len(rows) == len(data)
    for item, row, bucket in zip(data, rows, data.buckets, strict=True):
        assert torch.equal(row["vae_latent"], mean_of(data, item, "video_latents"))
        assert torch.equal(row["text_embedding"], item["prompt_embeds"].float())
        assert row["vae_latent_dtype"] == row["text_embedding_dtype"] == "float32"
        assert row["folder"] == bucket.plain
        assert (row["num_frames"], row["height"], row["width"]) == (
            bucket.frames, bucket.height, bucket.width,
        )  # fmt: skip
        assert math.isclose(row["duration_sec"] * row["fps"], bucket.frames)
        assert row["caption"] == item["caption"]
        assert row["media_type"] == "video"
        assert "first_frame_latent_bytes" not in row
    # A row group a row: its map-style reader reads a whole group for each clip.
    for file in out.glob("**/*.parquet"):
        opened = pq.ParquetFile(file)
        assert opened.num_row_groups == opened.metadata.num_rows
    assert len(result.command.splitlines()) == len(data.buckets.counts())


def test_wan_image_to_video(stores: Stores, out: Path) -> None:
    data = stores("wan-i2v")
    vp.export(store_of(data), to="fastvideo", output=out)
    for item, row in zip(data, read(out), strict=True):
        first = transformed(data, mean_of(data, item, "condition_latents"))
        assert torch.equal(row["first_frame_latent"], first)
        assert torch.equal(row["clip_feature"], item["image_embeds"].float())
        assert row["pil_image_bytes"] == b""


def test_hunyuan_video(stores: Stores, tmp_path: Path) -> None:
    data = stores("hunyuan")
    for name, seed in (("0", 0), ("1", 0), ("2", 1)):
        out = tmp_path / name
        vp.export(store_of(data), to="fastvideo", output=out, posterior="sample", seed=seed)
    runs = [read(tmp_path / name) for name in "012"]
    for item, *rows in zip(data, *runs, strict=True):
        require_draws(data, item, [row["vae_latent"] for row in rows])
        pooled, embeds = rows[0]["text_embedding"][0], rows[0]["text_embedding"][1:]
        size = len(item["pooled_embeds"])
        assert torch.equal(pooled[:size], item["pooled_embeds"].float())
        assert not pooled[size:].any()
        assert torch.equal(embeds, item["prompt_embeds"].float())
