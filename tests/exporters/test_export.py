"""`export` itself: what is refused, going on, names, and the two targets' contracts."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_ltx_video, tiny_wan
from tests.support.assets import write_video
from videoprep.errors import StoreError, VideoprepError
from videoprep.exporters.folder import STATE
from videoprep.exporters.names import stems
from videoprep.exporters.run import goes_on
from videoprep.families import ltx_video, wan

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


# What is refused


def test_an_unknown_target_is_told_with_those_there_are(demo_store: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoprepError, match="there is no target 'finetrainer'") as raised:
        vp.export(demo_store, to="finetrainer", output=tmp_path / "out")
    assert "did you mean 'finetrainers'? the targets are: cogvideo-finetune" in str(raised.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(VideoprepError, match="there is no target 'simpletuner'") as raised:
        vp.export(demo_store, to="simpletuner", output=tmp_path / "out")
    assert "for a trainer that reads videos itself, export with `to='media'`" in str(raised.value)


def test_a_family_that_the_target_does_not_know(tmp_path: Path) -> None:
    model = tiny_wan.build_wan(tmp_path / "model")
    data = fidelity.encode_store(tmp_path, model, wan.FAMILY)
    with pytest.raises(StoreError, match="of the family 'wan'; cogvideox-factory takes cogvideox"):
        vp.export(tmp_path / "store", to="cogvideox-factory", output=tmp_path / "out")
    assert len(data) == 2


def test_a_store_without_moments(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    vp.encode(dataset, model=tiny_model, output=store, device="cpu", posterior="sample")
    with pytest.raises(StoreError, match="made with `posterior='sample'`; finetrainers takes mom"):
        vp.export(store, to="finetrainers", output=tmp_path / "out")


def test_a_folder_that_holds_something_else(demo_store: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not an export, and not empty"):
        vp.export(demo_store, to="finetrainers", output=tmp_path / "full")
    vp.export(demo_store, to="finetrainers", output=tmp_path / "out")
    with pytest.raises(StoreError, match="holds an export to finetrainers"):
        vp.export(demo_store, to="cogvideox-factory", output=tmp_path / "out")
    vp.export(demo_store, to="webdataset", output=tmp_path / "tars")
    with pytest.raises(StoreError, match="made otherwise: posterior moments, not mean"):
        vp.export(demo_store, to="webdataset", output=tmp_path / "tars", posterior="mean")


def test_a_store_that_has_changed_since(
    dataset: Path, tiny_model: Path, demo_store: Path, tmp_path: Path
) -> None:
    """It is not taken for another one, and the next folder to export to is free or of the same."""
    store, out = tmp_path / "store", tmp_path / "out"
    how = {"model": tiny_model, "output": store, "device": "cpu", "reshape": "center-crop"}
    vp.encode(dataset, **how)
    vp.export(store, to="finetrainers", output=out)
    assert goes_on(store, to="finetrainers", output=out)
    captions = (dataset / "prompt.txt").read_text().splitlines()
    (dataset / "prompt.txt").write_text("\n".join(["another caption", *captions[1:]]) + "\n")
    vp.encode(dataset, **how)
    assert not goes_on(store, to="finetrainers", output=out)
    total = len(vp.LatentDataset(store))
    told = f"the store as it was; since then: 1 of {total} clips new or changed"
    with pytest.raises(StoreError, match=told) as raised:
        vp.export(store, to="finetrainers", output=out)
    assert "remove the folder, and run the same command again" in str(raised.value.remedy)
    with pytest.raises(StoreError, match="holds the export of another store"):
        vp.export(demo_store, to="finetrainers", output=out)


def test_a_half_finished_store(demo_store: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(demo_store, tmp_path / "store"))
    (store / "catalogue.parquet").unlink()
    with pytest.raises(StoreError, match="its encoding was not finished"):
        vp.export(store, to="finetrainers", output=tmp_path / "out")


# Going on


def test_it_goes_on_where_it_was(demo_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = vp.export(demo_store, to="cogvideox-factory", output=out)
    assert whole.clips == 12
    before = {path: path.read_bytes() for path in out.rglob("*.pt")}
    assert whole.written == len(before) == 36
    again = vp.export(demo_store, to="cogvideox-factory", output=out)
    assert again.written == 0
    lost = sorted(before)[::5]
    for path in lost:
        path.unlink()
    (out / "prompts.txt").unlink()
    assert vp.export(demo_store, to="cogvideox-factory", output=out).written == len(lost)
    assert {path: path.read_bytes() for path in out.rglob("*.pt")} == before
    assert (out / "prompts.txt").read_text().count("\n") == 12
    assert json.loads((out / STATE).read_text())["target"] == "cogvideox-factory"


def test_names_are_unique_and_plain() -> None:
    videos = ["a/clip.1.mp4", "b/clip.1.mp4", "früh am Morgen.mkv", "....mp4", "x" * 300 + ".mp4"]
    found = list(stems({"video": video} for video in videos))
    assert len(set(found)) == len(videos)
    assert found[0] == "00000000_clip_1"
    assert all("." not in stem and "/" not in stem and len(stem) < 100 for stem in found)
    assert all(stem.isascii() for stem in found)


# The targets


def test_cogvideox_factory(demo_store: Path, tmp_path: Path) -> None:
    """Its reader takes the file of a video's name up to the first dot, two folders up."""
    out = tmp_path / "out"
    result = vp.export(demo_store, to="cogvideox-factory", output=out)
    data = vp.LatentDataset(demo_store)
    videos = (out / "videos.txt").read_text().splitlines()
    captions = (out / "prompts.txt").read_text().splitlines()
    assert len(videos) == len(captions) == len(data)
    for item, video, caption in zip(data, videos, captions, strict=True):
        assert caption == item["caption"]
        path = out / video
        for component in ("video_latents", "image_latents", "prompt_embeds"):
            file = path.parent.parent / component / f"{path.name.split('.')[0]}.pt"
            assert torch.equal(load(file), item[component])
            assert file.stat().st_size < item[component].nbytes + 4000
    words = shlex.split(result.command)
    assert words[words.index("--data_root") + 1] == str(out)
    assert "--load_tensors" in words


def test_finetrainers_cogvideox(demo_store: Path, tmp_path: Path) -> None:
    vp.export(demo_store, to="finetrainers", output=tmp_path / "out")
    folder = tmp_path / "out/finetrainers-precomputed-data"
    data = vp.LatentDataset(demo_store)
    assert len(list(folder.iterdir())) == 2 * len(data)
    for number, item in enumerate(data):
        latent, condition = (
            load(folder / f"{kind}-{number}.pt") for kind in ("latent", "condition")
        )
        assert set(latent) == {"latents"}
        assert torch.equal(latent["latents"], item["video_latents"][None].transpose(1, 2))
        assert torch.equal(condition["encoder_hidden_states"], item["prompt_embeds"][None])


def test_finetrainers_wan_and_ltx(tmp_path: Path) -> None:
    for family, build in (
        (wan.FAMILY, tiny_wan.build_wan),
        (ltx_video.FAMILY, tiny_ltx_video.build),
    ):
        root = tmp_path / family.name
        data = fidelity.encode_store(root, build(root / "model"), family)
        vp.export(root / "store", to="finetrainers", output=root / "out")
        folder = root / "out/finetrainers-precomputed-data"
        for number, item in enumerate(data):
            latent = load(folder / f"latent-{number}.pt")
            condition = load(folder / f"condition-{number}.pt")
            moments = item["video_latents"][None]
            assert torch.equal(latent["latents"], moments)
            embeds = condition["encoder_hidden_states"]
            tokens = len(item["prompt_embeds"])
            assert embeds.shape == (1, family.max_tokens, 32)
            assert torch.equal(embeds[0, :tokens], item["prompt_embeds"])
            assert not embeds[0, tokens:].any()
            if family is wan.FAMILY:
                mean = moments.chunk(2, dim=1)[0]
                shape = (1, -1, 1, 1, 1)
                theirs = (mean - latent["latents_mean"].view(shape)) * latent["latents_std"].view(
                    shape
                )
                assert torch.equal(theirs, family.to_transformer(moments, data.info.facts))
            else:
                assert condition["encoder_attention_mask"].sum() == tokens
                sides = [latent[name] for name in ("num_frames", "height", "width")]
                assert sides == list(moments.shape[2:])


# From the command line, and killed


def test_from_the_command_line(run_cli: Run, demo_store: Path, tmp_path: Path) -> None:
    done = run_cli("export", demo_store, "--to", "cogvideox-factory", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "12 clips for cogvideox-factory" in done.stdout
    assert "--load_tensors" in done.stdout
    done = run_cli("export", demo_store, "--to", "nothing", "-o", tmp_path / "other")
    assert done.returncode == 2
    assert "the targets are:" in " ".join(done.stderr.split())


def test_captions_of_several_lines_keep_the_lists_in_step(tmp_path: Path, tiny_model: Path) -> None:
    for name in "ab":
        write_video(tmp_path / f"data/{name}.mp4", width=96, height=64, frames=5, lift=ord(name))
    table = tmp_path / "data/list.csv"
    table.write_text('video,caption\na.mp4,one\nb.mp4,"two\n\nlines"\n')
    store = tmp_path / "store"
    result = vp.encode(table, model=tiny_model, output=store, device="cpu", progress="none")
    assert result is not None
    vp.export(store, to="cogvideox-factory", output=tmp_path / "out")
    assert (tmp_path / "out/prompts.txt").read_text() == "one\ntwo lines\n"
    assert (tmp_path / "out/videos").is_dir()
