"""LatentDataset: tensors of a finished store, readable by other means too."""

from __future__ import annotations

import pickle
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.errors import StoreError
from videoprep.store import dataset as module


def test_items_have_all_components(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    assert len(data) == 12
    assert data.incomplete == 0
    item = data[0]
    assert item["video_latents"].shape == (32, 5, 8, 12)
    assert item["image_latents"].shape == (32, 1, 8, 12)
    assert item["prompt_embeds"].shape == (226, 32)
    assert item["caption"].startswith("A red ball")
    assert item["metadata"]["video"] == "videos/00000.mp4"
    assert (item["metadata"]["frames"], item["metadata"]["fps"]) == (17, 8.0)
    assert torch.equal(data[-1]["video_latents"], data[11]["video_latents"])
    with pytest.raises(IndexError):
        data[12]


def test_the_store_reads_with_pyarrow_and_safetensors_alone(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    rows = pq.read_table(demo_store / "catalogue.parquet").to_pylist()
    for item, row in zip(data, rows, strict=True):
        for component in ("video_latents", "image_latents", "prompt_embeds"):
            path = demo_store / row[f"{component}_shard"]
            with safe_open(path, framework="pt") as shard:
                assert torch.equal(item[component], shard.get_tensor(row[f"{component}_key"]))
            offset, size = row[f"{component}_offset"], row[f"{component}_bytes"]
            raw = torch.frombuffer(
                bytearray(path.read_bytes()[offset : offset + size]), dtype=torch.float32
            )
            assert torch.equal(raw.reshape(row[f"{component}_shape"]), item[component])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same(demo_store: Path, method: str) -> None:
    data = vp.LatentDataset(demo_store)
    _ = data[0]  # a shard is open before the fork
    loader = DataLoader(
        data, batch_size=None, num_workers=2, multiprocessing_context=method, shuffle=False
    )
    for item, expected in zip(loader, data, strict=True):
        assert torch.equal(item["video_latents"], expected["video_latents"])


def test_it_can_be_pickled(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    _ = data[3]
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3]["prompt_embeds"], data[3]["prompt_embeds"])


def test_open_shards_are_few(demo_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPEN_SHARDS", 2)
    data = vp.LatentDataset(demo_store)
    expected = vp.LatentDataset(demo_store)
    for number in (0, 1, 2, 3, 0):
        assert torch.equal(data[number]["video_latents"], expected[number]["video_latents"])
        assert len(data._open) <= 2


def test_batches_of_one_bucket(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    sampler = vp.BucketBatchSampler(data, batch_size=2, seed=1)

    def collate(items):
        return torch.stack([item["video_latents"] for item in items])

    shapes = Counter(
        tuple(batch.shape) for batch in DataLoader(data, batch_sampler=sampler, collate_fn=collate)
    )
    assert sum(shapes.values()) == len(sampler)
    assert len(shapes) == len(set(data.buckets)) == 4


def test_no_store_and_half_a_store(demo_store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        vp.LatentDataset(tmp_path)
    shutil.copytree(demo_store, tmp_path / "store")
    (tmp_path / "store/catalogue.parquet").unlink()
    with pytest.raises(StoreError, match="was not finished") as raised:
        vp.LatentDataset(tmp_path / "store")
    assert "videoprep encode" in str(raised.value.remedy)


def test_a_damaged_catalogue_is_named(demo_store: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_store, tmp_path / "store")
    (tmp_path / "store/catalogue.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    with pytest.raises(StoreError, match="the catalogue cannot be read"):
        vp.LatentDataset(tmp_path / "store")


def test_a_truncated_shard_is_named(demo_store: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_store, tmp_path / "store")
    for shard in (tmp_path / "store/video_latents").rglob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(StoreError, match="the shard cannot be read"):
        vp.LatentDataset(tmp_path / "store")[0]
