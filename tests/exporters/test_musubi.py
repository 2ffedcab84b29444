"""Its reader tells a clip's size by its file's name and a tensor's meaning by its key."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.assets import write_video
from tests.support.exports import mean_of, names_of, require_draws, store_of, transformed
from tests.support.tiny_wan import build_wan


def read(out: Path, arch: str) -> dict[str, dict[str, Any]]:
    """By a clip's name: its tensors by their keys without type and size, and what names say."""
    cache = out / "cache"
    found = {}
    for file in glob.glob(os.path.join(cache, f"*_{arch}.safetensors")):
        tokens = os.path.basename(file).split("_")
        width, height = map(int, tokens[-2].split("x"))
        start, frames = map(int, tokens[-3].split("-"))
        name = "_".join(tokens[:-3])
        tensors: dict[str, Any] = {"bucket": (frames, height, width), "start": start}
        for path in (file, cache / f"{name}_{arch}_te.safetensors"):
            with safe_open(path, "pt") as opened:
                tensors |= {f"metadata{len(tensors)}": opened.metadata()}
                for key in opened.keys():  # noqa: SIM118
                    tensor = opened.get_tensor(key)
                    tensors[_plain(key, tensor)] = tensor
        found[name] = tensors
    return found


def _plain(key: str, tensor: torch.Tensor) -> str:
    if key.endswith("_mask"):
        return key
    key, _, dtype = key.removeprefix("varlen_").rpartition("_")
    assert dtype == str(tensor.dtype).removeprefix("torch.")
    if key.startswith("latents"):
        key, _, size = key.rpartition("_")
        assert size == "x".join(map(str, tensor.shape[1:]))
    return key


def toml_of(out: Path) -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    loaded: dict[str, Any] = tomllib.loads((out / "musubi.toml").read_text())
    return loaded


def test_wan(stores: Stores, out: Path) -> None:
    data = stores("wan-i2v")
    result = vp.export(store_of(data), to="musubi", output=out, posterior="mean")
    theirs = read(out, "wan")
    assert set(theirs) == set(names_of(out))
    for item, name, bucket in zip(data, names_of(out), data.buckets, strict=True):
        their = theirs[name]
        stored = item["video_latents"]
        assert their["bucket"] == (bucket.frames, bucket.height, bucket.width)
        latents = transformed(data, mean_of(data, item, "video_latents"))
        assert torch.equal(their["latents"], latents.to(stored.dtype))
        condition = transformed(data, mean_of(data, item, "condition_latents"))
        assert torch.equal(their["latents_image"][4:], condition.to(stored.dtype))
        mask = their["latents_image"][:4]
        assert mask[:, 0].eq(1).all()
        assert not mask[:, 1:].any()
        assert torch.equal(their["clip"], item["image_embeds"])
        assert torch.equal(their["t5"], item["prompt_embeds"])
    assert "i2v-14B" in result.command


def test_the_config_keeps_every_size(stores: Stores, out: Path) -> None:
    data = stores("wan-t2v")
    vp.export(store_of(data), to="musubi", output=out)
    (config,) = toml_of(out)["datasets"]
    assert Path(config["cache_directory"]) == out / "cache"
    assert Path(config["video_directory"]).is_dir()
    assert config["enable_bucket"] is config["bucket_no_upscale"] is True
    width, height = config["resolution"]
    for bucket in data.buckets.counts():
        assert bucket.height * bucket.width <= width * height
        assert bucket.height % 16 == bucket.width % 16 == 0
        assert bucket.frames in config["target_frames"]


def test_hunyuan_video(stores: Stores, tmp_path: Path) -> None:
    data = stores("hunyuan")
    for name, seed in (("0", 0), ("1", 0), ("2", 1)):
        vp.export(store_of(data), to="musubi", output=tmp_path / name, seed=seed)
    runs = [read(tmp_path / name, "hv") for name in "012"]
    for item, name in zip(data, names_of(tmp_path / "0"), strict=True):
        require_draws(data, item, [run[name]["latents"] for run in runs])
        their = runs[0][name]
        tokens = len(item["prompt_embeds"])
        assert their["llm"].shape[0] == 256
        assert torch.equal(their["llm"][:tokens], item["prompt_embeds"])
        assert their["llm_mask"].tolist() == [1] * tokens + [0] * (256 - tokens)
        assert torch.equal(their["clipL"], item["pooled_embeds"])
        captions = {text.get("caption1") for key, text in their.items() if "metadata" in key}
        assert item["caption"] in captions


def test_wan_with_control(tmp_path: Path) -> None:
    """Fun-Control: the control's latents beside the target's."""
    model = build_wan(tmp_path / "model")
    data_root = tmp_path / "data"
    for name, lift in (("a", 40), ("b", 41), ("line_a", 90), ("line_b", 91)):
        write_video(data_root / f"{name}.mp4", frames=17, width=96, height=64, fps=16, lift=lift)
    rows = "video,caption,control\na.mp4,one,line_a.mp4\nb.mp4,two,line_b.mp4\n"
    (data_root / "list.csv").write_text(rows)
    result = vp.encode(
        data_root, model=model, output=tmp_path / "store", device="cpu", progress="none",
        profile="wan", reshape="center-crop",
    )  # fmt: skip
    assert result is not None
    assert result.ok
    data = vp.LatentDataset(tmp_path / "store")
    out = tmp_path / "out"
    exported = vp.export(tmp_path / "store", to="musubi", output=out, posterior="mean")
    theirs = read(out, "wan")
    for item, name in zip(data, names_of(out), strict=True):
        control = transformed(data, mean_of(data, item, "control_latents"))
        stored = item["video_latents"]
        assert torch.equal(theirs[name]["latents_control"], control.to(stored.dtype))
    assert "t2v-14B-FC" in exported.command


def test_hunyuan_video_15(stores: Stores, out: Path) -> None:
    data = stores("hunyuan15-i2v")
    result = vp.export(store_of(data), to="musubi", output=out, posterior="mean")
    theirs = read(out, "hv15")
    for item, name in zip(data, names_of(out), strict=True):
        their, stored = theirs[name], item["video_latents"]
        mean = mean_of(data, item, "video_latents")
        assert torch.equal(their["latents"], mean.to(stored.dtype))
        first = mean_of(data, item, "image_latents").to(stored.dtype)
        assert torch.equal(their["latents_image"][:-1, :1], first)
        assert not their["latents_image"][:-1, 1:].any()
        assert their["latents_image"][-1, 0].eq(1).all()
        assert not their["latents_image"][-1, 1:].any()
        assert torch.equal(their["siglip"], item["image_embeds"])
        assert torch.equal(their["vl_embed"], item["prompt_embeds"])
        assert torch.equal(their["byt5_embed"], item["glyph_embeds"])
    assert "hv_1_5_train_network.py --task i2v" in result.command


def test_kandinsky5(stores: Stores, out: Path) -> None:
    data = stores("kandinsky5")
    result = vp.export(store_of(data), to="musubi", output=out, posterior="mean")
    theirs = read(out, "k5")
    for item, name in zip(data, names_of(out), strict=True):
        their, stored = theirs[name], item["video_latents"]
        mean = mean_of(data, item, "video_latents") * data.info.facts["scaling_factor"]
        latents = mean.to(stored.dtype)
        assert torch.equal(their["latents"], latents)
        assert torch.equal(their["latents_image"], latents[:, [0, -1]])
        assert torch.equal(their["text_embeds"], item["prompt_embeds"])
        assert torch.equal(their["pooled_embed"], item["pooled_embeds"])
        assert their["attention_mask"].tolist() == [True] * len(item["prompt_embeds"])
    assert "kandinsky5_train_network.py --task k5-pro-i2v-5s-sd" in result.command
