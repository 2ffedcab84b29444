"""Its datasets look up a clip's file by its video's stem and a prompt's by the hash of its line."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import videoprep as vp
from tests.exporters.conftest import Stores
from tests.support.assets import write_lists, write_video
from tests.support.exports import require_draws, store_of
from videoprep.errors import StoreError


def read(out: Path, bucket: str, model: str) -> list[dict[str, Any]]:
    """What its reader does: lines without spaces around them, empty ones skipped."""
    lists = [(out / f"{kind}-{bucket}.txt").read_text() for kind in ("prompts", "videos")]
    prompts, videos = (
        [line.strip() for line in text.split("\n") if line.strip()] for text in lists
    )
    assert len(prompts) == len(videos)
    items: list[dict[str, Any]] = []
    for prompt, video in zip(prompts, videos, strict=True):
        assert (out / video).is_file()
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        folder = out / "cache/video_latent" / model / bucket
        items.append(
            {
                **load_file(out / f"cache/prompt_embeddings/{digest}.safetensors"),
                **load_file(folder / f"{Path(video).stem}.safetensors"),
                "prompt": prompt,
            }
        )
    return items


def test_it_reads_back(demo_store: Path, tmp_path: Path) -> None:
    data = vp.LatentDataset(demo_store)
    factor = data.info.facts["scaling_factor"]
    result = vp.export(demo_store, to="cogvideo-finetune", output=tmp_path / "0")
    vp.export(demo_store, to="cogvideo-finetune", output=tmp_path / "1")
    vp.export(demo_store, to="cogvideo-finetune", output=tmp_path / "2", seed=1)
    assert result.posterior == "sample"
    seen = 0
    for bucket, count in data.buckets.counts().items():
        members = [item for item, of in zip(data, data.buckets, strict=True) if of == bucket]
        runs = [read(tmp_path / str(n), bucket.plain, "cogvideox-t2v") for n in range(3)]
        assert len(runs[0]) == len(members) == count
        for item, *theirs in zip(members, *runs, strict=True):
            assert theirs[0]["prompt"] == item["caption"]
            assert torch.equal(theirs[0]["prompt_embedding"], item["prompt_embeds"])
            latents = [their["encoded_video"] for their in theirs]
            assert latents[0].dtype == item["video_latents"].dtype
            require_draws(data, item, [one / factor for one in latents])
            seen += 1
    assert seen == len(data)
    commands = [shlex.split(line) for line in result.command.splitlines()]
    sizes = [words[words.index("--train_resolution") + 1] for words in commands]
    assert sizes == [bucket.plain for bucket in data.buckets.counts()]


def test_the_mean_of_1_5(stores: Stores, out: Path) -> None:
    data = stores("1.5")
    vp.export(store_of(data), to="cogvideo-finetune", output=out, posterior="mean")
    for item, bucket in zip(data, data.buckets, strict=True):
        (read_item,) = read(out, bucket.plain, "cogvideox1.5-t2v")
        mean = item["video_latents"].float().chunk(2)[0] * data.info.facts["scaling_factor"]
        assert torch.equal(
            read_item["encoded_video"],
            mean.to(item["video_latents"].dtype),
        )


def test_frames_that_it_refuses(tiny_model: Path, tmp_path: Path, out: Path) -> None:
    write_video(tmp_path / "data/a.mp4", width=96, height=64, frames=13)
    write_lists(tmp_path / "data", ["A clip."], ["a.mp4"])
    vp.encode(tmp_path / "data", model=tiny_model, output=tmp_path / "store", progress="none")
    with pytest.raises(StoreError, match=r"13×64×96 have not 8k \+ 1 frames"):
        vp.export(tmp_path / "store", to="cogvideo-finetune", output=out)
    assert not out.exists()


def test_captions_that_are_one_line_stay_apart(tiny_model: Path, tmp_path: Path, out: Path) -> None:
    captions = ["two lines", "two\nlines", "two\n\nlines", "another", "another"]
    rows = []
    for number, caption in enumerate(captions):
        write_video(
            tmp_path / f"data/{number}.mp4", width=96, height=64, frames=9, lift=20 * number
        )
        rows.append(f'{number}.mp4,"{caption}"\n')
    (tmp_path / "data/list.csv").write_text("video,caption\n" + "".join(rows))
    store = tmp_path / "store"
    vp.encode(tmp_path / "data/list.csv", model=tiny_model, output=store, progress="none")
    result = vp.export(store, to="cogvideo-finetune", output=out)
    assert len(result.notes) == 1
    assert result.notes[0].startswith("2 captions differ from another one in spaces")
    items = read(out, "9x64x96", "cogvideox-t2v")
    lines = [str(item["prompt"]) for item in items]
    assert lines[0] == "two lines"
    assert lines[3] == lines[4] == "another"
    assert len(set(lines)) == 4
    assert all(line.startswith("two lines [") for line in lines[1:3])
    for item, stored in zip(items, vp.LatentDataset(store), strict=True):
        assert torch.equal(item["prompt_embedding"], stored["prompt_embeds"])
    assert len(list((out / "cache/prompt_embeddings").iterdir())) == 4
