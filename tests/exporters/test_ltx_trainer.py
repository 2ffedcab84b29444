"""Its dataset takes every .pt of latents/ and the file of the same name in conditions/."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
import yaml

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.exports import mean_of, names_of, store_of, transformed


def read(out: Path) -> list[dict[str, Any]]:
    latents = out / ".precomputed/latents"
    files = sorted(latents.glob("**/*.pt"))
    conditions = out / ".precomputed/conditions"
    return [
        torch.load(file, weights_only=True)
        | torch.load(conditions / file.relative_to(latents), weights_only=True)
        for file in files
    ]


def test_it_reads_back(stores: Stores, out: Path) -> None:
    data = stores("ltx")
    result = vp.export(store_of(data), to="ltx-trainer", output=out, posterior="mean")
    items = read(out)
    assert len(items) == len(data) == len(names_of(out))
    for item, their in zip(data, items, strict=True):
        stored = item["video_latents"]
        packed = transformed(data, mean_of(data, item, "video_latents")).to(stored.dtype)
        assert torch.equal(their["latents"], packed)
        frames, height, width = (their[name] for name in ("num_frames", "height", "width"))
        assert their["latents"].shape == (frames * height * width, stored.shape[0] // 2)
        assert (frames, height, width) == tuple(stored.shape[1:])
        assert all(type(side) is int for side in (frames, height, width))
        assert type(their["fps"]) is float
        assert their["fps"] == item["metadata"]["fps"]
        tokens = len(item["prompt_embeds"])
        assert their["prompt_embeds"].shape[0] == 256
        assert torch.equal(their["prompt_embeds"][:tokens], item["prompt_embeds"])
        assert their["prompt_attention_mask"].dtype == torch.bool
        assert their["prompt_attention_mask"].tolist() == [True] * tokens + [False] * (256 - tokens)
    config = shlex.split(result.command)[-1]
    loaded = yaml.safe_load(Path(config).read_text())
    assert loaded["data"]["preprocessed_data_root"] == str(out)
    assert loaded["model"]["model_source"] == data.info.model


def test_draws_are_the_familys(stores: Stores, out: Path) -> None:
    data = stores("ltx")
    vp.export(store_of(data), to="ltx-trainer", output=out)
    for item, their in zip(data, read(out), strict=True):
        mean, log_variance = item["video_latents"][None].float().chunk(2, dim=1)
        tokens = transformed(data, mean[0]), transformed(data, (mean + (log_variance / 2).exp())[0])
        noise = (their["latents"].float() - tokens[0]) / (tokens[1] - tokens[0])
        assert abs(noise.mean().item()) < 5 / noise.numel() ** 0.5
        assert 0.8 < noise.std().item() < 1.2
