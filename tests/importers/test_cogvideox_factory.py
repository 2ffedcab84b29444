"""`import` of what cogvideox-factory has precomputed, and what it refuses."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from videoprep.errors import ModelError, StoreError, VideoprepError

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(demo_store: Path, tmp_path: Path) -> Path:
    """The demo store as cogvideox-factory has it."""
    vp.export(demo_store, to="cogvideox-factory", output=tmp_path / "factory")
    return tmp_path / "factory"


def import_(folder: Path, model: Path, store: Path) -> vp.ImportResult:
    return vp.import_precomputed(folder, source="cogvideox-factory", model=model, output=store)


def stem(folder: Path, line: int) -> str:
    video = (folder / "videos.txt").read_text().splitlines()[line - 1]
    return Path(video).stem


def test_there_and_back(folder: Path, demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = import_(folder, tiny_model, tmp_path / "store")
    assert result.ok
    assert result.clips == result.samples == 12
    assert not result.differing
    ours, theirs = vp.LatentDataset(demo_store), vp.LatentDataset(tmp_path / "store", verify=True)
    assert theirs.components == ours.components
    for item, their in zip(ours, theirs, strict=True):
        assert their["caption"] == item["caption"]
        for component in ours.components:
            assert torch.equal(their[component], item[component])
        for name in ("frames", "height", "width"):
            assert their["metadata"][name] == item["metadata"][name]
    facts = dict(theirs.info.facts)
    assert facts == dict(ours.info.facts)
    report = vp.verify(tmp_path / "store")
    assert report.ok
    again = tmp_path / "again"
    vp.export(tmp_path / "store", to="cogvideox-factory", output=again)
    for kind in ("video_latents", "image_latents", "prompt_embeds"):
        for path, back in zip(
            sorted((folder / kind).iterdir()), sorted((again / kind).iterdir()), strict=True
        ):
            assert torch.equal(
                torch.load(path, weights_only=True), torch.load(back, weights_only=True)
            )


def test_it_trains(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    import_(folder, tiny_model, tmp_path / "store")
    data = vp.LatentDataset(tmp_path / "store")
    sampler = vp.BucketBatchSampler(data, batch_size=2)
    assert sum(map(len, sampler)) >= len(data)


@pytest.mark.parametrize(
    ("break_", "reason"),
    [
        (lambda f, s: (f / f"video_latents/{s}.pt").unlink(), "is missing"),
        (lambda f, s: (f / f"prompt_embeds/{s}.pt").write_bytes(b"nonsense"), "cannot be read"),
        (
            lambda f, s: (f / f"prompt_embeds/{s}.pt").write_bytes(pickle.dumps(print)),
            "cannot be read",
        ),
        (
            lambda f, s: torch.save({"a": 1}, f / f"video_latents/{s}.pt"),
            "holds no tensor",
        ),
        (
            lambda f, s: torch.save(torch.zeros(16, 3, 8, 12), f / f"video_latents/{s}.pt"),
            "its video_latents are [16, 3, 8, 12]",
        ),
        (
            lambda f, s: torch.save(torch.zeros(32, 3, 7, 12), f / f"video_latents/{s}.pt"),
            "which cogvideox does not take",
        ),
        (
            lambda f, s: torch.save(torch.zeros(3), f / f"video_latents/{s}.pt"),
            "have 1 dimensions instead of 4",
        ),
        (
            lambda f, s: torch.save(torch.zeros(226, 31), f / f"prompt_embeds/{s}.pt"),
            "its prompt_embeds are [226, 31]; this model's are",
        ),
        (
            lambda f, s: torch.save(
                torch.zeros(32, 3, 8, 12, dtype=torch.float64), f / f"video_latents/{s}.pt"
            ),
            "its latents are torch.float64; those of the first torch.float32",
        ),
    ],
)
def test_a_bad_file_costs_one_clip(
    break_: Callable[[Path, str], Any],
    reason: str,
    folder: Path,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    shutil.rmtree(folder / "image_latents")
    break_(folder, stem(folder, 5))
    result = import_(folder, tiny_model, tmp_path / "store")
    assert not result.ok
    assert result.clips == 11
    assert [one.line for one in result.left_out] == [5]
    assert result.left_out[0].code == "VP406"
    assert reason in result.left_out[0].reason
    assert len(vp.LatentDataset(tmp_path / "store")) == 11


def test_values_that_are_not_finite(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    path = folder / f"video_latents/{stem(folder, 3)}.pt"
    tensor = torch.load(path, weights_only=True)
    tensor[0, 0, 0, 0] = float("nan")
    torch.save(tensor, path)
    result = import_(folder, tiny_model, tmp_path / "store")
    assert [(one.line, one.code) for one in result.set_aside] == [(3, "VP406")]
    assert "not finite" in result.set_aside[0].reason
    assert result.clips == len(vp.LatentDataset(tmp_path / "store")) == 11


def test_lists_that_are_out_of_step(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    prompts = folder / "prompts.txt"
    prompts.write_text(prompts.read_text() + "one more\n")
    with pytest.raises(StoreError, match=r"prompts.txt has 13 lines and videos.txt 12"):
        import_(folder, tiny_model, tmp_path / "store")
    prompts.unlink()
    with pytest.raises(StoreError, match=r"has no prompts.txt"):
        import_(folder, tiny_model, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_stems_that_collide(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The ancestor cuts names at the first dot, and its files overwrite each other."""
    videos = (folder / "videos.txt").read_text().splitlines()
    name = Path(videos[0]).stem
    videos[0], videos[1] = f"videos/{name}.1.mp4", f"videos/{name}.2.mp4"
    (folder / "videos.txt").write_text("".join(f"{video}\n" for video in videos))
    result = import_(folder, tiny_model, tmp_path / "store")
    assert [one.line for one in result.left_out] == [1, 2]
    assert "their files overwrote each other" in result.left_out[0].reason
    assert result.clips == 10


def test_a_blank_caption(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    prompts = (folder / "prompts.txt").read_text().splitlines()
    prompts[6] = "  "
    (folder / "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts))
    result = import_(folder, tiny_model, tmp_path / "store")
    assert [(one.line, one.reason) for one in result.left_out] == [
        (7, "its line of prompts.txt is blank")
    ]


def test_one_caption_with_two_embeddings(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    prompts = (folder / "prompts.txt").read_text().splitlines()
    prompts[1] = prompts[0]
    (folder / "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts))
    result = import_(folder, tiny_model, tmp_path / "store")
    assert result.differing == 1
    data = vp.LatentDataset(tmp_path / "store")
    assert torch.equal(data[0]["prompt_embeds"], data[1]["prompt_embeds"])


def test_a_finished_store_and_a_wrong_source(
    folder: Path, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="is a finished store"):
        import_(folder, tiny_model, demo_store)
    with pytest.raises(VideoprepError, match="did you mean 'cogvideox-factory'"):
        vp.import_precomputed(
            folder, source="cogvideo-factory", model=tiny_model, output=tmp_path / "store"
        )


def test_a_model_of_another_family(folder: Path, tmp_path: Path) -> None:
    from tests.support.tiny_wan import build_wan

    with pytest.raises(ModelError, match="of the family 'wan'; cogvideox-factory precomputes cog"):
        import_(folder, build_wan(tmp_path / "wan"), tmp_path / "store")


def test_killed_it_goes_on(run_cli: Run, folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = ("import", folder, "--from", "cogvideox-factory", "--model", tiny_model, "-o", store)
    first = run_cli(*command, VIDEOPREP_FAILPOINTS="file.placed=kill*9")
    assert first.returncode == -signal.SIGKILL
    assert not (store / "catalogue.parquet").exists()
    committed = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    assert committed
    second = run_cli(*command)
    assert second.returncode == 0, second.stderr
    kept = [path for path, time in committed.items() if path.stat().st_mtime_ns == time]
    assert len(kept) >= len(committed) - 1
    assert len(vp.LatentDataset(store, verify=True)) == 12


def test_from_the_command_line(
    run_cli: Run, folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("import", folder, "--from", "cogvideox-factory", "--model", tiny_model)
    done = run_cli(*arguments, "-o", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "12 of 12 clips imported" in done.stdout
    (folder / f"video_latents/{stem(folder, 1)}.pt").unlink()
    done = run_cli(*arguments, "-o", tmp_path / "second", "--output-format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["left_out"][0]["code"] == "VP406"
