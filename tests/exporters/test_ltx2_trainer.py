"""Its dataset takes every .pt of latents/ and the files of the same name in other folders."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import videoprep as vp
from tests.support import tiny_ltx2
from tests.support.exports import names_of
from tests.support.mixed_dataset import OPTIONS, write_mixed_dataset
from videoprep.families.ltx2 import FAMILY

KINDS = {
    "latents": "video_latents",
    "control_depth_latents": "control_depth_latents",
    "reference_latents": "reference_latents",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of an LTX-2.3 with all that a sample may have."""
    root = tmp_path_factory.mktemp("ltx2")
    index = vp.BucketIndex.build(
        write_mixed_dataset(root / "data"), profile="ltx-2", **{**OPTIONS, "multi_bucket": False}
    )
    result = vp.encode(
        index, model=tiny_ltx2.build_ltx23(root / "model"), output=root / "store",
        image_latents=True, mask_meaning="inpaint", device="cpu", progress="none",
    )  # fmt: skip
    assert result is not None
    assert result.complete == len(index)
    return root / "store"


@pytest.fixture(scope="module")
def out(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "out"
    vp.export(store, to="ltx2-trainer", output=folder)
    return folder


def read(out: Path, folder: str, name: str) -> dict[str, Any] | None:
    path = out / ".precomputed" / folder / f"{name}.pt"
    loaded: dict[str, Any] | None = torch.load(path, weights_only=True) if path.exists() else None
    return loaded


def clips(store: Path, out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from zip(names_of(out), vp.LatentDataset(store), strict=True)


def test_latents_are_standardized_means(store: Path, out: Path) -> None:
    facts = vp.LatentDataset(store).info.facts
    found = dict.fromkeys(KINDS, 0)
    for name, item in clips(store, out):
        for folder, component in KINDS.items():
            theirs = read(out, folder, name)
            assert (theirs is not None) == (component in item)
            if theirs is None:
                continue
            found[folder] += 1
            stored = item[component]
            frames, height, width = stored.shape[1:]
            assert (theirs["num_frames"], theirs["height"], theirs["width"]) == (
                frames, height, width,
            )  # fmt: skip
            assert theirs["latents"].shape == (stored.shape[0] // 2, frames, height, width)
            assert theirs["latents"].dtype == stored.dtype
            assert theirs["fps"] == float(item["metadata"]["fps"] or 1.0)
            ours = FAMILY.condition_to_transformer(stored[None], facts)[0]
            assert torch.equal(theirs["latents"].flatten(1).T, ours)
    clips_there = len(vp.LatentDataset(store))
    assert found["latents"] == clips_there
    assert 0 < found["control_depth_latents"] < clips_there
    assert 0 < found["reference_latents"] < clips_there


def test_sound_is_standardized_as_it_is_packed(store: Path, out: Path) -> None:
    facts = vp.LatentDataset(store).info.facts
    there = 0
    for name, item in clips(store, out):
        theirs = read(out, "audio_latents", name)
        assert (theirs is not None) == ("audio_latents" in item)
        if theirs is None:
            continue
        there += 1
        latents = theirs["latents"]
        packed = FAMILY.audio_to_transformer(item["audio_latents"][None], facts)[0]
        assert torch.equal(latents.transpose(0, 1).flatten(1), packed)
        assert (theirs["num_time_steps"], theirs["frequency_bins"]) == tuple(latents.shape[1:])
        assert theirs["duration"] == item["metadata"]["frames"] / item["metadata"]["fps"]
        assert theirs["num_time_steps"] == round(theirs["duration"] * 25)
    assert there


def test_captions_are_padded_on_the_left(store: Path, out: Path) -> None:
    for name, item in clips(store, out):
        theirs = read(out, "conditions", name)
        assert theirs is not None
        tokens = len(item["prompt_embeds"])
        mask = theirs["prompt_attention_mask"]
        assert mask.tolist() == [0] * (1024 - tokens) + [1] * tokens
        for key, component in (
            ("video_prompt_embeds", "prompt_embeds"),
            ("audio_prompt_embeds", "audio_prompt_embeds"),
        ):
            embeds = theirs[key]
            assert embeds.shape == (1024, item[component].shape[1])
            assert torch.equal(embeds[mask.bool()], item[component])
            assert not embeds[~mask.bool()].any()


def test_masks_say_what_is_given(store: Path, out: Path) -> None:
    """The store's say what is generated."""
    there = 0
    for name, item in clips(store, out):
        theirs = read(out, "video_masks", name)
        assert (theirs is not None) == ("mask" in item)
        if theirs is not None:
            there += 1
            assert theirs["mask"].shape == item["video_latents"].shape[1:]
            assert torch.equal(theirs["mask"], 1.0 - (item["mask"][0] > 0.5).float())
    assert there


def test_the_config_names_what_there_is(store: Path, out: Path) -> None:
    result = vp.export(store, to="ltx2-trainer", output=out)
    assert result.written == 0
    config = yaml.safe_load(Path(shlex.split(result.command)[-1]).read_text())
    assert config["data"]["preprocessed_data_root"] == str(out / ".precomputed")
    video, audio = (config["training_strategy"][name] for name in ("video", "audio"))
    named = {one.get("latents_dir", one.get("mask_dir")) for one in video["conditions"]}
    assert named == {"control_depth_latents", "reference_latents", "video_masks"}
    folders = {video["latents_dir"], audio["latents_dir"], *named, "conditions"}
    assert {path.name for path in (out / ".precomputed").iterdir()} == folders
