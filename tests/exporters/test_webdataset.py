"""Read with webdataset itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import webdataset

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.exports import mean_of, store_of


def read(out: Path) -> list[dict[str, Any]]:
    """The clips in the order of their names."""
    files = sorted(map(str, out.glob("*/*.tar")))
    items = list(webdataset.WebDataset(files, shardshuffle=False).decode())
    return sorted(items, key=lambda item: str(item["__key__"]))


@pytest.mark.parametrize(
    "name", ["cogvideox", "1.5-i2v", "wan-i2v", "wan-5b", "hunyuan", "hunyuan15-i2v", "ltx"]
)
def test_every_family(name: str, stores: Stores, out: Path) -> None:
    data = stores(name)
    result = vp.export(store_of(data), to="webdataset", output=out)
    assert not result.loses
    items = read(out)
    assert len(items) == len(data)
    for item, their in zip(data, items, strict=True):
        assert their["txt"] == item["caption"]
        assert their["json"]["video"] == item["metadata"]["video"]
        for component in data.components:
            tensor = their[f"{component}.pth"]
            assert tensor.dtype == item[component].dtype
            assert torch.equal(tensor, item[component])


def test_the_mean(stores: Stores, out: Path) -> None:
    data = stores("wan-i2v")
    vp.export(store_of(data), to="webdataset", output=out, posterior="mean")
    for item, their in zip(data, read(out), strict=True):
        for component in ("video_latents", "condition_latents"):
            assert torch.equal(their[f"{component}.pth"], mean_of(data, item, component))
        assert torch.equal(their["image_embeds.pth"], item["image_embeds"])


def test_the_same_clips_give_the_same_file(demo_store: Path, tmp_path: Path) -> None:
    for name in "ab":
        vp.export(demo_store, to="webdataset", output=tmp_path / name)
    files = [sorted((tmp_path / name).glob("*/*.tar")) for name in "ab"]
    assert files[0]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_its_command_runs(demo_store: Path, tmp_path: Path) -> None:
    result = vp.export(demo_store, to="webdataset", output=tmp_path / "a folder's [name]")
    command = result.command.replace("python", sys.executable, 1)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "video_latents.pth" in done.stdout
