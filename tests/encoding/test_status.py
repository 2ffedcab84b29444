"""Status: counts that add up, and a reason for everything that is to be made."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import fsspec
import pytest

import videoprep as vp
from tests.conftest import need
from tests.encoding.test_encode import contents, encode
from tests.support.assets import damage_video, spoil_video, write_dataset, write_lists, write_video
from videoprep.encoding.status import Status
from videoprep.engine.claims import Claims
from videoprep.engine.sessions import Session
from videoprep.errors import StoreError, VideoprepError
from videoprep.fs import LocalFiles
from videoprep.store.layout import CATALOGUE, INDEX

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with ``dataset`` and ``store``, with first frames; do not change it."""
    folder = tmp_path_factory.mktemp("status")
    write_dataset(folder / "dataset")
    encode(folder / "dataset", tiny_model, folder / "store", image_latents=True)
    return folder


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "dataset", tmp_path / "dataset")


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """The dataset encoded."""
    return shutil.copytree(made / "store", tmp_path / "store")


def counts(status: Status) -> dict[str, tuple[int | None, int, int, int, int]]:
    """Planned, done, failed, to do, stale."""
    for one in status.components.values():
        if one.planned is not None:
            assert one.planned == one.done + one.set_aside + one.to_do
            assert sum(one.why.values()) == one.to_do
            assert one.stale <= one.to_do
    return {
        name: (one.planned, one.done, one.set_aside, one.to_do, one.stale)
        for name, one in status.components.items()
    }


def captions(*edited: str) -> list[str]:
    return [*edited, *(f"A grey clip named {name}." for name in NAMES[len(edited) :])]


def test_a_finished_store(store: Path, dataset: Path, tiny_model: Path) -> None:
    before = contents(store)
    for status in (
        vp.status(store),
        vp.status(store, dataset),
        vp.status(store, store / INDEX, tiny_model),
        vp.status(store, vp.BucketIndex.build(dataset), dtype="fp32", posterior="moments"),
    ):
        assert status.ok
        assert set(counts(status).values()) == {(3, 3, 0, 0, 0)}
        assert (status.redo, status.gone, status.earlier, status.set_aside) == ((), (), (), ())
        assert (status.clips, status.catalogue) == (3, "current")
        json.dumps(status.to_json())
    assert contents(store) == before, "it only reads"


def test_what_has_changed_is_told_sample_by_sample(store: Path, dataset: Path) -> None:
    write_video(dataset / "videos/b.mp4", frames=9, lift=7)
    write_video(dataset / "videos/d.mp4", frames=5)
    videos = [f"videos/{name}.mp4" for name in ("a", "b", "d")]
    write_lists(dataset, ["edited", "A grey clip named b.", "new"], videos)
    status = vp.status(store, dataset)
    assert not status.ok
    assert counts(status) == {
        "video_latents": (3, 1, 0, 2, 1),
        "image_latents": (3, 1, 0, 2, 1),
        "prompt_embeds": (3, 1, 0, 2, 1),
    }
    assert status.components["video_latents"].why == {"contents": 1, "new sample": 1}
    assert status.components["prompt_embeds"].why == {"caption": 1, "new sample": 1}
    assert status.components["prompt_embeds"].orphans == 2
    assert status.components["video_latents"].orphan_bytes > 0
    everything = ("video_latents", "image_latents", "prompt_embeds")
    assert [(r.video, r.line, r.components, r.why) for r in status.redo] == [
        ("videos/a.mp4", 1, ("prompt_embeds",), ("caption",)),
        ("videos/b.mp4", 2, ("video_latents", "image_latents"), ("contents",)),
        ("videos/d.mp4", 3, everything, ("new sample",)),
    ]
    assert [(gone.video, gone.line) for gone in status.gone] == [("videos/c.mp4", 3)]
    assert [Path(gone.file).name for gone in status.gone] == ["videos.txt"]
    assert vp.status(store).ok, "the store itself is as complete as before"


def test_another_crop_and_other_frames(store: Path, dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(
        dataset, reshape="center-crop", height_buckets=(64,), width_buckets=(64,), max_num_frames=5
    )
    status = vp.status(store, spec)
    assert {(r.video, r.why) for r in status.redo} == {
        ("videos/a.mp4", ("frames", "picture")),
        ("videos/b.mp4", ("frames", "picture")),
        ("videos/c.mp4", ("picture",)),
    }
    assert all("prompt_embeds" not in redo.components for redo in status.redo)
    assert counts(status)["prompt_embeds"] == (3, 3, 0, 0, 0)


def test_another_model_is_told_by_component(store: Path, tmp_path: Path, tiny_model: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "vae/config.json").read_text())
    (model / "vae/config.json").write_text(json.dumps({**config, "shift_factor": 0.5}))
    status = vp.status(store, model=model)
    assert counts(status) == {
        "video_latents": (3, 0, 0, 3, 3),
        "image_latents": (3, 0, 0, 3, 3),
        "prompt_embeds": (3, 3, 0, 0, 0),
    }
    latents = status.components["video_latents"]
    assert latents.why == {"recipe": 3}
    assert [text.partition(":")[0] for text in latents.recipe_changed] == ["vae"]
    assert status.model == str(model)
    assert [one.component for one in status.earlier] == ["video_latents", "image_latents"]
    half = vp.status(store, dtype="bf16")
    assert half.components["prompt_embeds"].recipe_changed == (
        "computed_in: 'float32' there, 'bfloat16' asked for",
        "dtype: 'float32' there, 'bfloat16' asked for",
    )
    tiled = vp.status(store, use_tiling=True, posterior="mean")
    assert counts(tiled)["prompt_embeds"] == (3, 3, 0, 0, 0)
    assert len(tiled.components["video_latents"].recipe_changed) == 2
    with pytest.raises(VideoprepError, match=r"`dtype`: expected .* got 'half'"):
        vp.status(store, dtype="half")


def test_recipes_that_the_store_still_has(store: Path, dataset: Path, tiny_model: Path) -> None:
    encode(dataset, tiny_model, store, dtype="bf16", image_latents=True)
    status = vp.status(store)
    assert status.ok
    assert sorted(one.component for one in status.earlier) == [
        "image_latents", "prompt_embeds", "video_latents",
    ]  # fmt: skip
    assert all(one.artifacts == 3 and one.bytes for one in status.earlier)
    again = vp.status(store, dtype="fp32")
    assert counts(again)["prompt_embeds"] == (3, 3, 0, 0, 0), "they are taken up again"


def test_components_that_were_never_asked_for(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    encode(dataset, tiny_model, tmp_path / "store")
    assert "image_latents" not in vp.status(tmp_path / "store").components
    status = vp.status(tmp_path / "store", image_latents=True)
    assert counts(status)["image_latents"] == (3, 0, 0, 3, 0)
    assert status.components["image_latents"].why == {"not made yet": 3}


def test_what_was_set_aside(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    store = tmp_path / "store"
    spoil_video(dataset / "videos/b.mp4")
    encode(dataset, tiny_model, store)
    encode(dataset, tiny_model, store, retry_failed=True)
    status = vp.status(store)
    assert not status.ok
    assert counts(status)["video_latents"] == (3, 2, 1, 0, 0)
    [group] = status.set_aside
    assert (group.component, group.code, group.artifacts) == ("video_latents", "VP401", 1)
    assert (group.clips, group.attempts) == (1, 2)
    assert group.examples[0].startswith("videos/b.mp4 (videos.txt:2): ")


def test_damaged_clips_are_taken_up_and_named(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    store = tmp_path / "store"
    damage_video(dataset / "videos/b.mp4")
    spoil_video(dataset / "videos/c.mp4")
    encode(dataset, tiny_model, store)
    status = vp.status(store)
    assert {group.code for group in status.set_aside} == {"VP407", "VP401"}
    assert (status.only_failed, status.is_hopeless, status.damaged) == (True, False, ())
    assert encode(dataset, tiny_model, store).encoded == 0
    assert encode(dataset, tiny_model, store, allow_damaged=True).encoded == 1
    status = vp.status(store)
    assert [group.code for group in status.set_aside] == ["VP401"]
    assert [(clip.video, clip.component) for clip in status.damaged] == [
        ("videos/b.mp4", "video_latents")
    ]
    assert encode(dataset, tiny_model, store, allow_damaged=True).encoded == 0
    page = tmp_path / "report.html"
    vp.report(dataset, page, store=store, previews=0)
    assert "Encoded with damaged frames: 1 artifact<" in page.read_text()


def test_damaged_clips_are_exported_as_media_if_asked(dataset: Path, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    damage_video(dataset / "videos/b.mp4")
    left_out = vp.export_media(dataset, output=tmp_path / "out").left_out
    assert [sample.code for sample in left_out] == ["VP407"]
    assert vp.export_media(dataset, output=tmp_path / "out", allow_damaged=True).written > 0
    assert not vp.export_media(dataset, output=tmp_path / "out").left_out


def test_a_store_whose_encoding_was_not_finished(store: Path, dataset: Path) -> None:
    for name in (INDEX, CATALOGUE):
        (store / name).unlink()
    receipt = sorted((store / "video_latents").rglob("*.json"))[0]
    receipt.unlink()
    status = vp.status(store)
    assert not status.ok
    assert status.plan is None
    assert status.catalogue == "missing"
    assert counts(status)["video_latents"] == (None, 2, 0, 0, 0)
    status = vp.status(store, dataset)
    assert counts(status)["video_latents"] == (3, 2, 0, 1, 0)
    assert status.components["video_latents"].why == {"not made yet": 1}


def test_a_catalogue_that_lags_behind(store: Path, dataset: Path) -> None:
    index = vp.BucketIndex.load(store / INDEX)
    whole = (store / CATALOGUE).read_bytes()
    index.filter(line=[1, 2]).save(store / INDEX)
    assert vp.status(store).catalogue == "outdated"
    index.save(store / INDEX)
    (store / CATALOGUE).write_bytes(whole[:100])
    assert vp.status(store).catalogue == "damaged"
    (store / CATALOGUE).write_bytes(whole)
    next((store / "prompt_embeds").rglob("*.safetensors")).unlink()
    status = vp.status(store)
    assert status.catalogue == "outdated"
    assert "the shard is missing" in status.components["prompt_embeds"].damages[0]


def test_who_is_at_work_and_who_died(store: Path) -> None:
    files = LocalFiles(store)
    folder = next((store / "video_latents").iterdir()).relative_to(store)
    dead = f"{socket.gethostname()}-4194304-00000000"
    (store / ".sessions").mkdir()
    (store / f".sessions/{dead}.lock").touch()
    with Session(files) as session:
        claims = Claims(files, session)
        claims.take(str(folder), "9x64x96-0123456789abcdef")
        status = vp.status(store)
        claims.release_all()
    [one] = status.at_work
    assert (one.host, one.pid) == (socket.gethostname(), os.getpid())
    assert one.units == (f"{folder}/9x64x96-0123456789abcdef",)
    assert status.leftovers == (f".sessions/{dead}.lock",)
    assert vp.status(store).at_work == ()


def test_samples_left_out_are_told(store: Path, dataset: Path) -> None:
    write_video(dataset / "videos/odd.mp4", width=90)
    write_lists(dataset, captions(), ["videos/a.mp4", "videos/odd.mp4", "videos/c.mp4"])
    status = vp.status(store, dataset)
    assert [(s.video, s.code) for s in status.left_out] == [("videos/odd.mp4", "VP101")]
    assert status.ok, "all that is planned is there"


def test_a_store_behind_a_url(store: Path, tmp_path: Path) -> None:
    name = f"status-{tmp_path.name}"
    for path, data in contents(store).items():
        fsspec.filesystem("memory").pipe_file(f"/{name}/{path}", data)
    status = vp.status(f"memory://{name}")
    assert status.ok
    assert set(counts(status).values()) == {(3, 3, 0, 0, 0)}


def test_no_store_and_damaged_ones(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        vp.status(tmp_path / "nowhere")
    (store / INDEX).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="cannot be relied on"):
        vp.status(store)
