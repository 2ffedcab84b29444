"""A family with a component of sound, defined for tests alone, from the film to the tensors."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

import videoprep as vp
from tests.media.sounds import floats, noise, write_film
from tests.support.assets import write_lists
from tests.support.plans import write_version_2
from tests.support.tiny_sonic import CHANNELS, HOP, RATE, SOUND_LATENTS, Sonic, build_sonic
from videoprep.errors import Code, ModelError, PlanError, VideoprepError
from videoprep.families.component import VIDEO_LATENTS
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of
from videoprep.index.role_counts import count_roles
from videoprep.index.schema import FILE_SCHEMA
from videoprep.index.summary import summarize
from videoprep.index.table import BucketIndex

pytestmark = pytest.mark.usefixtures("sonic")


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return build_sonic(tiny_model, tmp_path / "model")


def write_films(folder: Path, names: Sequence[str] = ("stereo", "mono", "silent")) -> Path:
    """Films of 17 frames at 8 fps: with sound, with mono sound, without any."""
    made = {
        "stereo": {"tracks": [noise(3, RATE)]},
        "mono": {"tracks": [noise(3, RATE, channels=1, seed=1)]},
        "silent": {"tracks": []},
        "short": {"tracks": [noise(1, RATE, seed=2)]},
        "after": {"tracks": [noise(3, RATE, seed=3)], "late": 4.0},
    }
    for name in names:
        tracks = made[name].pop("tracks")
        film = folder / f"{name}.mov"
        write_film(film, *tracks, rate=RATE, frames=17, fps=8, **made[name])  # type: ignore[arg-type]
    write_lists(folder, [f"A film, {name}." for name in names], [f"{name}.mov" for name in names])
    return folder


def encode(dataset: object, model: Path, store: Path, **options: Any) -> vp.EncodeResult:
    result = vp.encode(dataset, model=model, output=store, device="cpu", **options)  # type: ignore[arg-type]
    assert result is not None
    return result


def test_sound_of_exactly_the_frames(model: Path, tmp_path: Path, sonic: Sonic) -> None:
    """The latents are those of the samples from the first frame to the end of the last."""
    result = encode(write_films(tmp_path / "data"), model, tmp_path / "store")
    assert result.ok
    assert (result.clips, result.complete, result.pending) == (3, 3, 0)
    assert result.components["sound_latents"].encoded == 2
    data = vp.LatentDataset(tmp_path / "store")
    assert (len(data), data.incomplete) == (3, 0)
    encoder = sonic.load_sound_encoder(
        ModelFolder(model, "sonic"), SOUND_LATENTS, torch.device("cpu"), torch.float32
    )
    count = round(17 / 8 * RATE)
    samples = torch.from_numpy(floats(noise(3, RATE)))[:, :count]
    stereo, mono, silent = (data[number] for number in range(3))
    assert torch.equal(stereo["sound_latents"], encoder.encode(samples[None])[0])
    assert mono["sound_latents"].shape == stereo["sound_latents"].shape == (CHANNELS, count // HOP)
    assert "sound_latents" not in silent
    assert set(silent) == {"video_latents", "prompt_embeds", "caption", "metadata", "absent"}
    assert [item["absent"] for item in (stereo, mono, silent)] == [[], [], ["sound_latents"]]


def test_clips_without_sound_are_in_batches_of_their_own(model: Path, tmp_path: Path) -> None:
    """Of the store as of the plan; what is stacked says what all of the batch lack."""
    dataset = write_films(tmp_path / "data", ("stereo", "silent", "mono", "after"))
    index = BucketIndex.build(dataset, profile="sonic")
    assert index.has_audio.tolist() == [True, False, True, False]
    assert [clip.has_audio for clip in index.clips()] == index.has_audio.tolist()
    encode(dataset, model, tmp_path / "store")
    data = vp.LatentDataset(tmp_path / "store")
    wanted = {frozenset({0, 2}), frozenset({1, 3})}
    for source in (data, index):
        sampler = vp.BucketBatchSampler(source, batch_size=2)
        assert {frozenset(batch) for batch in sampler} == wanted
    loader = DataLoader(
        data, batch_sampler=vp.BucketBatchSampler(data, batch_size=2), collate_fn=vp.collate
    )
    batches = {tuple(batch["absent"]): batch for batch in loader}
    assert batches.keys() == {(), ("sound_latents",)}
    assert batches[()]["sound_latents"].shape == (2, CHANNELS, round(17 / 8 * RATE) // HOP)
    assert "sound_latents" not in batches[("sound_latents",)]
    mixing = vp.BucketBatchSampler(data, batch_size=4, mix_absent=True)
    with pytest.raises(VideoprepError, match="lack different components"):
        list(DataLoader(data, batch_sampler=mixing, collate_fn=vp.collate))


def test_without_the_component_there_is_nothing_to_lack(model: Path, tmp_path: Path) -> None:
    dataset, store = write_films(tmp_path / "data"), tmp_path / "store"
    encode(dataset, model, store)
    data = vp.LatentDataset(store, components=["video_latents", "prompt_embeds"])
    assert data.presence is None
    assert [item["absent"] for item in map(data.__getitem__, range(3))] == [[], [], []]
    assert BucketIndex.build(dataset).presence is None, "no part of the family hears"


def test_what_is_there_is_found_and_mended(model: Path, tmp_path: Path) -> None:
    dataset, store = write_films(tmp_path / "data"), tmp_path / "store"
    encode(dataset, model, store)
    again = encode(dataset, model, store)
    assert again.encoded == 0
    assert vp.verify(store).ok
    shard, _ = sorted((store / "sound_latents").glob("*/*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    assert not vp.verify(store).ok
    mended = vp.verify(store, repair=True, progress="none")
    assert mended.ok
    assert mended.repair is not None
    assert mended.repair.encoded == {"sound_latents": 1}
    status = vp.status(store, dataset)
    assert status.components["sound_latents"].to_do == 0
    assert status.components["sound_latents"].planned == 2


def test_another_caption_keeps_the_sound(model: Path, tmp_path: Path) -> None:
    dataset, store = write_films(tmp_path / "data"), tmp_path / "store"
    encode(dataset, model, store)
    write_lists(dataset, ["New.", "B.", "C."], ["stereo.mov", "mono.mov", "silent.mov"])
    result = encode(dataset, model, store)
    assert result.components["prompt_embeds"].encoded == 3
    assert result.components["sound_latents"].encoded == 0


def test_sound_that_is_too_short_fails_alone(model: Path, tmp_path: Path) -> None:
    dataset, store = write_films(tmp_path / "data", ("stereo", "short")), tmp_path / "store"
    result = encode(dataset, model, store)
    assert not result.ok
    ((failed,)) = result.set_aside
    assert (failed.video, failed.component) == ("short.mov", "sound_latents")
    assert failed.code == Code.DAMAGED_SOUND.value
    assert failed.reason == "the sound does not span the clip: it ends 1.125 s early"
    assert (result.complete, result.failed) == (1, 1)
    taken = encode(dataset, model, store, allow_damaged=True)
    assert taken.ok
    assert [one.video for one in taken.damaged] == ["short.mov"]
    data = vp.LatentDataset(store)
    assert data[0]["sound_latents"].shape == data[1]["sound_latents"].shape


def test_a_repair_keeps_what_it_could_not_make_again(model: Path, tmp_path: Path) -> None:
    dataset, store = write_films(tmp_path / "data"), tmp_path / "store"
    encode(dataset, model, store)
    shard, _ = sorted((store / "sound_latents").glob("*/*.safetensors"))
    spoiled = bytearray(shard.read_bytes())
    spoiled[-1] ^= 1
    shard.write_bytes(bytes(spoiled))
    before = sorted(path.name for path in store.rglob("*"))
    for name in ("stereo", "mono"):
        (dataset / f"{name}.mov").unlink()
    report = vp.verify(store, repair=True, progress="none")
    assert not report.ok
    assert sorted(path.name for path in store.rglob("*")) == before


def test_counts_add_up_everywhere(model: Path, tmp_path: Path) -> None:
    """What has no sound is encoded once all else of it is, and is never said to be missing."""
    dataset, store = write_films(tmp_path / "data"), tmp_path / "store"
    index = BucketIndex.build(dataset, profile="sonic")
    counts = count_roles(index)
    assert (dict(counts.clips), dict(counts.files)) == ({"audio": 2}, {})
    assert [*counts.sentences(3)] == ["clips with sound: 2 of 3"]
    encode(dataset, model, store)
    counted = vp.status(store, dataset).components["sound_latents"]
    assert (counted.planned, counted.done, counted.absent, counted.to_do) == (2, 2, 1, 0)
    report = vp.report(store, tmp_path / "report.html", previews=0)
    assert "clips with sound: 2 of 3" in (tmp_path / "report.html").read_text()
    assert report.facts.clips == {"encoded": 3}
    assert report.ok
    assert vp.verify(store).ok


def test_is_exported_and_trained_on(model: Path, tmp_path: Path) -> None:
    """Clips without sound lie in files of their own, and a trainer that is deaf takes all."""
    store = tmp_path / "store"
    encode(write_films(tmp_path / "data", ("silent", "stereo", "mono")), model, store)
    kinds = ("17x64x64", "17x64x64-without-sound_latents")
    vp.export(store, to="webdataset", output=tmp_path / "tar")
    members: dict[str, set[str]] = {}
    for path in (tmp_path / "tar").glob("*/*.tar"):
        with tarfile.open(path) as tar:
            members[path.parent.name] = {name.partition(".")[2] for name in tar.getnames()}
    assert members.keys() == {*kinds}
    assert members[kinds[0]] - members[kinds[1]] == {"sound_latents.pth"}
    vp.export(store, to="hf-datasets", output=tmp_path / "hf")
    tables = {
        kind: pq.read_table(next((tmp_path / "hf" / kind).glob("*.parquet"))) for kind in kinds
    }
    assert [len(tables[kind]) for kind in kinds] == [2, 1]
    assert {*tables[kinds[0]].column_names} - {*tables[kinds[1]].column_names} == {"sound_latents"}
    card = (tmp_path / "hf/README.md").read_text()
    assert all(f"config_name: {kind}" in card for kind in kinds)
    trained = vp.train(
        store, model=model, output=tmp_path / "run", steps=3, rank=2, batch_size=2, device="cpu"
    )
    assert trained.steps == 3


def test_an_index_is_summarized(model: Path, tmp_path: Path) -> None:
    index = BucketIndex.build(write_films(tmp_path / "data"), profile="sonic")
    (sound,) = (one for one in summarize(index).components if one.name == "sound_latents")
    assert sound.artifacts == 2


def test_sound_behind_the_clip_is_none(model: Path, tmp_path: Path) -> None:
    """The file has a sound track, but not while the clip lasts."""
    dataset = write_films(tmp_path / "data", ("stereo", "after"))
    result = encode(dataset, model, tmp_path / "store")
    assert result.ok
    assert result.components["sound_latents"].encoded == 1


def test_an_index_of_before_says_so(model: Path, tmp_path: Path) -> None:
    """Version 2 had no sound: such an index is read, and is not enough for this family."""
    index = BucketIndex.build(write_films(tmp_path / "data"), profile="sonic")
    assert index.knows_sound
    index.save(tmp_path / "index.parquet")
    write_version_2(tmp_path / "index.parquet", tmp_path / "older.parquet")
    read = BucketIndex.load(tmp_path / "older.parquet")
    assert not read.knows_sound
    assert {clip.has_audio for clip in read.clips()} == {None}
    with pytest.raises(PlanError, match="does not say which clips have sound"):
        read.has_audio  # noqa: B018
    assert read.table.drop_columns(["audio_key"]).equals(index.table.drop_columns(["audio_key"]))
    with pytest.raises(PlanError, match="does not say which clips have sound"):
        encode(tmp_path / "older.parquet", model, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    read.save(tmp_path / "saved.parquet")
    assert pq.read_schema(tmp_path / "saved.parquet").names == FILE_SCHEMA.names
    assert not BucketIndex.load(tmp_path / "saved.parquet").knows_sound


def test_the_key_is_that_of_the_sound(tmp_path: Path) -> None:
    """Other frames or another rate are other sound; crop and caption are not."""
    folder = write_films(tmp_path / "data", ("stereo",))

    def key(**options: Any) -> str | None:
        (clip,) = BucketIndex.build(folder, profile="sonic", **options).clips()
        return clip.audio_key

    assert key() == key(reshape="center-crop", height_buckets=(32,), width_buckets=(32,))
    assert key() != key(frame_buckets=(9,))
    assert len({key(), key(frame_buckets=(9,)), key(target_fps=4, frame_buckets=(5,))}) == 3


def test_a_declaration_without_a_format_is_refused(
    monkeypatch: pytest.MonkeyPatch, model: Path, sonic: Sonic
) -> None:
    wrong = replace(SOUND_LATENTS, sound=None)
    monkeypatch.setattr(Sonic, "profile", replace(Sonic.profile, components=(VIDEO_LATENTS, wrong)))
    with pytest.raises(ModelError, match="sound_latents has a sound format if and only if"):
        components_of(sonic, ModelFolder(model, "sonic"))


def test_the_known_noise_is_not_silence() -> None:
    """Otherwise equal sound would prove nothing."""
    assert np.abs(floats(noise(1, RATE))).max() > 0.05
