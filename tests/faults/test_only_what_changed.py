"""Only what must be redone is; all else keeps its bytes, and is not even written again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoprep as vp
from tests.support.assets import write_video
from tests.support.small_store import (
    COMPONENTS,
    Small,
    counts,
    hidden,
    receipts,
    result_of,
    shards,
    visible,
    write_captions,
)

ALL, NONE, ONE, TWO = (3, 0, 0), (0, 3, 0), (1, 2, 0), (2, 1, 0)


@pytest.fixture
def done(undisturbed: Small, tmp_path: Path) -> Iterator[Small]:
    """A whole store and its dataset, copied for each test."""
    dataset = shutil.copytree(undisturbed.dataset, tmp_path / "dataset")
    store = shutil.copytree(undisturbed.store, tmp_path / "store")
    yield replace(undisturbed, dataset=dataset, store=store, whole=tmp_path / "whole")
    undisturbed.warm.end_all()


def _stamps(store: Path) -> dict[str, tuple[int, int, bytes]]:
    """Of each shard and receipt: when and as what it was written, and its contents."""
    paths = [*receipts(store), *shards(store)]
    return {
        str(path.relative_to(store)): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
            path.read_bytes(),
        )
        for path in paths
    }


def _require(
    small: Small,
    *more: object,
    expected: tuple[tuple[int, int, int], ...],
    model: Path | None = None,
) -> dict[str, Any]:
    """Encodes again, and looks what was made: video latents, image latents, prompt embeddings."""
    before = _stamps(small.store)
    arguments = [*more, *(["--model", model] if model else [])]
    run = small.run(*arguments)
    assert run.returncode == 0, run.stderr
    result = result_of(run)
    assert counts(result) == dict(zip(COMPONENTS, expected, strict=True))
    after = _stamps(small.store)
    assert before.items() <= after.items(), "what was there is not touched"
    made = sum(counted[0] for counted in expected)
    assert len(after) - len(before) == 2 * made
    assert hidden(small.store) == []
    again = result_of(small.run(*arguments))
    assert again["encoded"] == 0
    return result


def _require_as_if_new(small: Small, *more: object, model: Path | None = None) -> None:
    """A reader sees the same as if all had been encoded anew."""
    anew = small.at(small.whole)
    assert anew.run(*more, *(["--model", model] if model else [])).returncode == 0
    one, other = vp.LatentDataset(small.store), vp.LatentDataset(small.whole)
    assert len(one) == len(other) == 3
    for here, there in zip(one, other, strict=True):
        assert here["caption"] == there["caption"]
        for component in COMPONENTS:
            assert torch.equal(here[component], there[component])


def test_nothing(own_small: Small) -> None:
    assert own_small.run().returncode == 0
    before = visible(own_small.store)
    _require(own_small, expected=(NONE, NONE, NONE))
    assert visible(own_small.store) == before


def test_a_caption(done: Small) -> None:
    write_captions(done.dataset, ["A grey clip named a.", "changed", "A grey clip named c."])
    _require(done, expected=(NONE, NONE, ONE))
    _require_as_if_new(done)


def test_the_order_of_the_lists(done: Small) -> None:
    captions = [f"A grey clip named {name}." for name in "cab"]
    write_captions(done.dataset, captions, list("cab"))
    _require(done, expected=(NONE, NONE, NONE))


def test_a_source(done: Small) -> None:
    write_video(done.dataset / "videos/b.mp4", frames=5, lift=33)
    _require(done, expected=(ONE, ONE, NONE))
    _require_as_if_new(done)


def test_a_source_that_was_moved(done: Small) -> None:
    (done.dataset / "videos/b.mp4").rename(done.dataset / "videos/moved.mp4")
    write_captions(done.dataset, [f"A grey clip named {n}." for n in "abc"], ["a", "moved", "c"])
    _require(done, expected=(NONE, NONE, NONE))


def test_later_frames(done: Small) -> None:
    """First frames stay as they are."""
    _require(done, "--max-num-frames", 4, expected=(ALL, NONE, NONE))
    _require_as_if_new(done, "--max-num-frames", 4)


def test_the_crop_of_two_clips(done: Small) -> None:
    options = ["--reshape", "center-crop", "--buckets", "5x32x96,5x96x64"]
    _require(done, *options, expected=(TWO, TWO, NONE))
    _require_as_if_new(done, *options)


def _changed(model: Path, folder: Path, part: str, weight: str) -> Path:
    other = shutil.copytree(model, folder)
    path = next((other / part).glob("*.safetensors"))
    weights = load_file(path)
    weights[weight] += 0.25
    save_file(weights, path, metadata={"format": "pt"})
    return other


def test_another_vae(done: Small, tmp_path: Path) -> None:
    model = _changed(done.model, tmp_path / "model", "vae", "encoder.conv_out.conv.bias")
    _require(done, model=model, expected=(ALL, ALL, NONE))
    _require_as_if_new(done, model=model)
    # What the first one made is still there.
    _require(done, expected=(NONE, NONE, NONE))


def test_another_text_encoder(done: Small, tmp_path: Path) -> None:
    model = _changed(
        done.model, tmp_path / "model", "text_encoder", "encoder.final_layer_norm.weight"
    )
    _require(done, model=model, expected=(NONE, NONE, ALL))
    _require_as_if_new(done, model=model)


def test_a_copy_of_the_model(done: Small, tmp_path: Path) -> None:
    """It is what the weights are that counts, not where."""
    model = shutil.copytree(done.model, tmp_path / "copy")
    _require(done, model=model, expected=(NONE, NONE, NONE))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--dtype", "bf16"], (ALL, ALL, ALL), marks=pytest.mark.slow),
        (["--text-encoder-dtype", "bf16"], (NONE, NONE, ALL)),
        pytest.param(["--posterior", "mean"], (ALL, ALL, NONE), marks=pytest.mark.slow),
        (["--posterior", "sample"], (ALL, ALL, NONE)),
        (["--use-tiling"], (ALL, ALL, NONE)),
    ],
)
def test_an_option(
    done: Small, options: list[str], expected: tuple[tuple[int, int, int], ...]
) -> None:
    _require(done, *options, expected=expected)
    _require_as_if_new(done, *options)
    _require(done, expected=(NONE, NONE, NONE))


def test_options_that_change_nothing(done: Small) -> None:
    options = ["--batch-size", 2, "--decode-workers", 2, "--time-limit", 60]
    options += ["--watchdog", 0, "--max-failures", 3]
    _require(done, *options, expected=(NONE, NONE, NONE))


def test_image_latents_are_added_later(own_small: Small) -> None:
    small = own_small
    command = ["encode", small.dataset, "-o", small.store, "--model", small.model]
    first = small.warm.run(*command, "--device", "cpu")
    assert first.returncode == 0
    assert len(receipts(small.store)) == 6
    _require(small, expected=(NONE, ALL, NONE))
    _require_as_if_new(small)


def test_a_clip_more(done: Small) -> None:
    """Of a dataset that grows only what is new is made."""
    write_video(done.dataset / "videos/d.mp4", frames=5, lift=5)
    names = list("abcd")
    write_captions(done.dataset, [f"A grey clip named {name}." for name in names], names)
    more = (1, 3, 0)
    _require(done, expected=(more, more, more))


def test_a_change_and_a_kill(done: Small, tmp_path: Path) -> None:
    """What is made by another recipe is as safe."""
    model = _changed(done.model, tmp_path / "model", "vae", "encoder.conv_out.conv.bias")
    killed = done.run("--model", model, VIDEOPREP_FAILPOINTS="unit.committed=kill*3")
    assert killed.returncode == -9
    finished = done.run("--model", model)
    assert finished.returncode == 0
    assert counts(result_of(finished))["prompt_embeds"] == NONE
    _require_as_if_new(done, model=model)
