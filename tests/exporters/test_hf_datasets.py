"""Read with Hugging Face's `datasets` itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.exports import mean_of, store_of
from videoprep.index.bucket import Bucket

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def read(out: Path, bucket: Bucket, tmp_path: Path) -> Any:
    return datasets.load_dataset(
        str(out), bucket.plain, split="train", cache_dir=str(tmp_path / "cache")
    ).with_format("torch")


@pytest.mark.parametrize(
    "name", ["cogvideox", "1.5-i2v", "wan-i2v", "wan-5b", "hunyuan", "hunyuan15-i2v", "ltx"]
)
def test_every_family(name: str, stores: Stores, out: Path, tmp_path: Path) -> None:
    data = stores(name)
    vp.export(store_of(data), to="hf-datasets", output=out)
    for item, bucket in zip(data, data.buckets, strict=True):
        (their,) = read(out, bucket, tmp_path)
        assert their["caption"] == item["caption"]
        assert (their["frames"], their["height"], their["width"]) == (
            bucket.frames, bucket.height, bucket.width,
        )  # fmt: skip
        for component in data.components:
            if not len(item[component]):  # which `datasets` gives as a list
                assert their[component] == []
                continue
            assert torch.equal(their[component].float(), item[component].float())


def test_it_streams(demo_store: Path, out: Path, tmp_path: Path) -> None:
    vp.export(demo_store, to="hf-datasets", output=out, posterior="mean")
    data = vp.LatentDataset(demo_store)
    seen = 0
    for bucket in data.buckets.counts():
        members = [item for item, of in zip(data, data.buckets, strict=True) if of == bucket]
        streamed = datasets.load_dataset(str(out), bucket.plain, split="train", streaming=True)
        for item, their in zip(members, streamed.with_format("torch"), strict=True):
            mean = mean_of(data, item, "video_latents").to(item["video_latents"].dtype)
            assert torch.equal(torch.as_tensor(their["video_latents"]).float(), mean.float())
            seen += 1
    assert seen == len(data)


def test_bfloat16_keeps_its_values(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    vp.encode(dataset, model=tiny_model, output=store, dtype="bf16", progress="none")
    data = vp.LatentDataset(store)
    assert data[0]["video_latents"].dtype == torch.bfloat16
    result = vp.export(store, to="hf-datasets", output=out)
    assert "bfloat16" in result.loses
    their = read(out, data.buckets[0], tmp_path)[0]
    assert torch.equal(their["video_latents"], data[0]["video_latents"].float())


def test_its_command_runs(demo_store: Path, tmp_path: Path) -> None:
    result = vp.export(demo_store, to="hf-datasets", output=tmp_path / "a folder's name")
    command = f"HF_HOME={tmp_path}/home " + result.command.replace("python", sys.executable, 1)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "video_latents" in done.stdout
