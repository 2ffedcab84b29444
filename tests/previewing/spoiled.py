"""Other latents in a store than were encoded, so that its hashes still fit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import xxhash

import videoprep as vp

KIND = "video_latents"


def replace_latents(store: Path, latents: dict[int, torch.Tensor]) -> None:
    """Puts latents of the same shape in the place of those of some clips, by their numbers."""
    table = pq.read_table(store / "catalogue.parquet")
    hashes = table[f"{KIND}_xxh3"].to_pylist()
    for number, tensor in latents.items():
        row = table.slice(number, 1).to_pylist()[0]
        data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
        assert len(data) == row[f"{KIND}_bytes"]
        with (store / row[f"{KIND}_shard"]).open("r+b") as shard:
            shard.seek(row[f"{KIND}_offset"])
            shard.write(data)
        hashes[number] = xxhash.xxh3_64_hexdigest(data)
    at = table.schema.get_field_index(f"{KIND}_xxh3")
    field = table.schema.field(at)
    pq.write_table(
        table.set_column(at, field, pa.array(hashes, field.type)), store / "catalogue.parquet"
    )


def latents_of(store: Path) -> list[torch.Tensor]:
    """A copy of the video latents of each clip."""
    return [item[KIND].clone() for item in vp.LatentDataset(store, components=KIND)]
