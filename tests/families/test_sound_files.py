"""Sound from a file of its own: named by a list, encoded, checked, encoded again if it changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import videoprep as vp
from tests.families.test_sound_component import encode
from tests.media.sounds import Samples, ffmpeg, floats, noise, write_film, write_wav
from tests.support.tiny_sonic import CHANNELS, HOP, RATE, SOUND_LATENTS, Sonic, build_sonic
from videoprep.errors import Code, PlanError
from videoprep.families.model_folder import ModelFolder
from videoprep.index.summary import summarize
from videoprep.media.audio import load_audio
from videoprep.media.sound_file import probe_sound

LENGTH = Fraction(17, 8)
COUNT = round(LENGTH * RATE)


pytestmark = pytest.mark.usefixtures("sonic")


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return build_sonic(tiny_model, tmp_path / "model")


def write_data(folder: Path, rows: str) -> Path:
    """Two films of 17 frames at 8 fps, one of them with sound, and a list."""
    folder.mkdir(parents=True, exist_ok=True)
    write_film(folder / "film.mov", noise(3, RATE), rate=RATE, frames=17, fps=8)
    write_film(folder / "silent.mov", frames=17, fps=8)
    (folder / "list.csv").write_text(f"video,caption,audio\n{rows}")
    return folder


def latents_of(sonic: Sonic, model: Path, samples: np.ndarray) -> torch.Tensor:
    """What the encoder makes of samples."""
    encoder = sonic.load_sound_encoder(
        ModelFolder(model, "sonic"), SOUND_LATENTS, torch.device("cpu"), torch.float32
    )
    return encoder.encode(torch.from_numpy(np.ascontiguousarray(samples))[None])[0]


def sound_latents(store: Path) -> dict[str, torch.Tensor]:
    """The sound latents of a store by caption, of clips that have some."""
    items = iter(vp.LatentDataset(store))
    return {item["caption"]: item["sound_latents"] for item in items if "sound_latents" in item}


def test_sound_is_that_of_the_file(model: Path, tmp_path: Path, sonic: Sonic) -> None:
    """Of exactly the frames' time, bit for bit; an empty cell means the video's own."""
    rows = "film.mov,named,s.wav\nfilm.mov,own,\nsilent.mov,given,s.wav\nsilent.mov,none,\n"
    data, store = write_data(tmp_path / "data", rows), tmp_path / "store"
    write_wav(data / "s.wav", noise(3, RATE, seed=5), RATE)
    result = encode(data, model, store)
    assert result.ok
    assert (result.clips, result.complete) == (4, 4)
    assert result.components["sound_latents"].encoded == 2  # one file is encoded once
    assert result.components["video_latents"].encoded == 2
    made = sound_latents(store)
    wanted = latents_of(sonic, model, floats(noise(3, RATE, seed=5))[:, :COUNT])
    own = latents_of(sonic, model, floats(noise(3, RATE))[:, :COUNT])
    assert made.keys() == {"named", "own", "given"}
    assert torch.equal(made["named"], wanted)
    assert torch.equal(made["given"], wanted)
    assert torch.equal(made["own"], own)
    assert vp.verify(store).ok
    assert encode(data, model, store).encoded == 0


def test_a_file_beside_the_video_is_its_sound(model: Path, tmp_path: Path, sonic: Sonic) -> None:
    """Before the video's own track, bit for bit; what does not open costs its own sample."""
    data, store = tmp_path / "data", tmp_path / "store"
    for seed, name in enumerate(("film", "own", "broken")):
        write_film(data / f"{name}.mov", noise(3, RATE, seed=seed), rate=RATE, frames=17, fps=8)
        (data / f"{name}.txt").write_text(name)
    write_film(data / "silent.mov", frames=17, fps=8)
    (data / "silent.txt").write_text("silent")
    for name in ("film", "silent"):
        write_wav(data / f"{name}.wav", noise(3, RATE, seed=5), RATE)
    (data / "broken.wav").write_bytes(b"")
    result = encode(data, model, store)
    assert [(one.video, one.code) for one in result.left_out] == [("broken.mov", "VP103")]
    made = sound_latents(store)
    beside = latents_of(sonic, model, floats(noise(3, RATE, seed=5))[:, :COUNT])
    assert made.keys() == {"film", "own", "silent"}
    assert torch.equal(made["film"], beside)
    assert torch.equal(made["silent"], beside)
    own = latents_of(sonic, model, floats(noise(3, RATE, seed=1))[:, :COUNT])
    assert torch.equal(made["own"], own)
    off = encode(data, model, tmp_path / "off", audio_column="")
    assert (off.clips, off.components["sound_latents"].encoded) == (4, 3)
    (data / "film.wav").unlink()
    assert dict(vp.status(store, data).components["sound_latents"].why) == {"audio": 1}


def write_coded(path: Path, samples: Samples, rate: int, *codec: str) -> Path:
    wav = write_wav(path.with_suffix(".source.wav"), samples, rate)
    ffmpeg("-i", wav, "-c:a", *codec, path)
    wav.unlink()
    return path


@pytest.mark.parametrize(
    ("name", "rate", "codec"),
    [
        ("s.flac", RATE, ("flac",)),
        ("s.mp3", 44_100, ("libmp3lame",)),
        ("s.m4a", 48_000, ("aac",)),
        ("s.wav", 22_050, ("pcm_s16le",)),
    ],
)
def test_other_formats_and_rates(
    model: Path, tmp_path: Path, sonic: Sonic, name: str, rate: int, codec: tuple[str, ...]
) -> None:
    """Zero is the first sample that a player plays, whatever the encoder put before it."""
    data = write_data(tmp_path / "data", f"silent.mov,one,{name}\n")
    path = write_coded(data / name, noise(3, rate, seed=6), rate, *codec)
    assert encode(data, model, tmp_path / "store").ok
    zero = probe_sound(path).zero
    sound = load_audio(path, (zero, zero + LENGTH), RATE, 2)
    (made,) = sound_latents(tmp_path / "store").values()
    assert made.shape == (CHANNELS, COUNT // HOP)
    assert torch.equal(made, latents_of(sonic, model, sound.samples))
    if name == "s.flac":
        assert np.array_equal(sound.samples, floats(noise(3, rate, seed=6))[:, :COUNT])


def test_times_are_a_players(model: Path, tmp_path: Path, sonic: Sonic) -> None:
    """A part of a video has that part of the sound file; a film may be the sound file."""
    data = write_data(tmp_path / "data", "")
    write_film(data / "other.mkv", noise(4, RATE, seed=7), rate=RATE, frames=9, fps=8, late=-0.5)
    write_film(data / "late.mov", frames=17, fps=8)
    write_wav(data / "s.wav", noise(4, RATE, seed=8), RATE)
    (data / "list.csv").write_text(
        "video,caption,audio,start\nsilent.mov,part,s.wav,0.5\nsilent.mov,film,other.mkv,0.5\n"
        "other.mkv,delayed,s.wav,\n"
    )
    assert encode(data, model, tmp_path / "store", frame_buckets=(9,)).ok
    made = sound_latents(tmp_path / "store")
    first, count = RATE // 2, round(Fraction(9, 8) * RATE)
    of_file = floats(noise(4, RATE, seed=8))[:, first : first + count]
    of_film = floats(noise(4, RATE, seed=7))[:, first : first + count]
    assert torch.equal(made["part"], latents_of(sonic, model, of_file))
    assert torch.equal(made["film"], latents_of(sonic, model, of_film))
    assert torch.equal(made["delayed"], made["part"])  # its picture starts after half a second


def test_what_cannot_be_used_costs_its_own_sample(model: Path, tmp_path: Path) -> None:
    rows = (
        "film.mov,a,gone.wav\nfilm.mov,b,../out.wav\nfilm.mov,c,text.wav\nfilm.mov,d,silent.mov\n"
        "film.mov,e,noise.wav\nfilm.mov,f,s.wav\nfilm.mov,g,\n"
    )
    data = write_data(tmp_path / "data", rows)
    write_wav(tmp_path / "out.wav", noise(3, RATE), RATE)
    write_wav(data / "s.wav", noise(3, RATE, seed=5), RATE)
    (data / "text.wav").write_text("A diary.  It is a text, and long enough to be one.")
    (data / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    result = encode(data, model, tmp_path / "store")
    assert not result.ok
    assert (result.complete, len(result.left_out)) == (2, 5)
    assert {one.line: one.code for one in result.left_out} == {
        2: "VP022", 3: "VP006", 4: "VP103", 5: "VP133", 6: "VP103",
    }  # fmt: skip
    for one, name in zip(
        sorted(result.left_out, key=lambda entry: entry.line or 0),
        ("gone.wav", "../out.wav", "text.wav", "silent.mov", "noise.wav"),
        strict=True,
    ):
        assert name in one.reason
    assert sound_latents(tmp_path / "store").keys() == {"f", "g"}


def test_sound_that_is_too_short_fails_alone(model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", "film.mov,short,s.wav\nfilm.mov,own,\n")
    write_wav(data / "s.wav", noise(1, RATE, seed=5), RATE)
    store = tmp_path / "store"
    result = encode(data, model, store)
    ((failed,)) = result.set_aside
    assert (failed.code, failed.component) == (Code.DAMAGED_SOUND.value, "sound_latents")
    assert failed.reason == "the sound does not span the clip: it ends 1.125 s early"
    assert (result.complete, result.failed) == (1, 1)
    assert encode(data, model, store, allow_damaged=True).ok


def test_a_sound_file_that_changes_makes_its_own_latents_stale(
    model: Path, tmp_path: Path, sonic: Sonic
) -> None:
    rows = "film.mov,one,s.wav\nfilm.mov,two,t.wav\nfilm.mov,own,\n"
    data, store = write_data(tmp_path / "data", rows), tmp_path / "store"
    for seed, name in enumerate(("s.wav", "t.wav"), start=5):
        write_wav(data / name, noise(3, RATE, seed=seed), RATE)
    encode(data, model, store)
    before = vp.BucketIndex.build(data, profile="sonic")
    before.save(tmp_path / "index.parquet")
    assert vp.status(store, data).components["sound_latents"].to_do == 0
    write_wav(data / "s.wav", noise(3, RATE, seed=9), RATE)
    status = vp.status(store, data)
    counts = status.components
    assert (counts["sound_latents"].to_do, counts["sound_latents"].stale) == (1, 1)
    assert dict(counts["sound_latents"].why) == {"audio": 1}
    assert [counts[name].to_do for name in ("video_latents", "prompt_embeds")] == [0, 0]
    ((redo,)) = status.redo
    assert (redo.line, redo.components, redo.why) == (2, ("sound_latents",), ("audio",))
    diff = vp.BucketIndex.build(data, profile="sonic").diff(before)
    assert dict(diff.to_encode) == {"prompt_embeds": 0, "video_latents": 0, "sound_latents": 1}
    with pytest.raises(PlanError, match=r"1 file is not as it was planned: s\.wav"):
        encode(tmp_path / "index.parquet", model, store)
    result = encode(data, model, store)
    assert {name: one.encoded for name, one in result.components.items()} == {
        "prompt_embeds": 0, "video_latents": 0, "sound_latents": 1,
    }  # fmt: skip
    wanted = latents_of(sonic, model, floats(noise(3, RATE, seed=9))[:, :COUNT])
    assert torch.equal(sound_latents(store)["one"], wanted)
    assert vp.verify(store).ok


def _spoil_sound(store: Path) -> None:
    (shard,) = (store / "sound_latents").glob("*/*.safetensors")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))


def test_a_repair_of_sound_needs_its_file_alone(model: Path, tmp_path: Path) -> None:
    data, store = write_data(tmp_path / "data", "silent.mov,one,s.wav\n"), tmp_path / "store"
    write_wav(data / "s.wav", noise(3, RATE, seed=5), RATE)
    encode(data, model, store)
    whole = {path: path.read_bytes() for path in store.rglob("*.safetensors")}
    (data / "silent.mov").rename(tmp_path / "silent.mov")
    _spoil_sound(store)
    mended = vp.verify(store, repair=True, progress="none")
    assert mended.ok
    assert {path: path.read_bytes() for path in whole} == whole
    (tmp_path / "silent.mov").rename(data / "silent.mov")
    (data / "s.wav").unlink()
    _spoil_sound(store)
    report = vp.verify(store, repair=True, progress="none")
    assert not report.ok
    assert report.repair is not None
    ((left,)) = report.repair.left_alone
    assert "s.wav: cannot be read" in left or "s.wav: no such file" in left


def test_an_edited_sound_is_no_other_plan(model: Path, tmp_path: Path) -> None:
    """Encoding it again is what a run is for: nobody is asked."""
    data, store = write_data(tmp_path / "data", "film.mov,one,s.wav\n"), tmp_path / "store"
    write_wav(data / "s.wav", noise(3, RATE, seed=5), RATE)
    encode(data, model, store, frame_buckets=(9,))
    write_wav(data / "s.wav", noise(3, RATE, seed=6), RATE)
    result = encode(data, model, store, frame_buckets=(9,), yes=False)
    assert result.encoded == 1


def test_what_is_summarized_counts_named_sound(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", "silent.mov,one,s.wav\nsilent.mov,two,\n")
    write_wav(data / "s.wav", noise(3, RATE), RATE)
    components = summarize(vp.BucketIndex.build(data, profile="sonic")).components
    assert {one.name: one.artifacts for one in components}["sound_latents"] == 1


def test_a_saved_plan_encodes_the_same(model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", "film.mov,one,s.wav\nsilent.mov,two,s.wav\n")
    write_wav(data / "s.wav", noise(3, RATE), RATE)
    index = vp.BucketIndex.build(data, profile="sonic")
    index.save(tmp_path / "index.parquet")
    encode(data, model, tmp_path / "one")
    encode(tmp_path / "index.parquet", model, tmp_path / "two")
    one, two = (sound_latents(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys() == {"one", "two"}
    assert all(torch.equal(one[name], two[name]) for name in one)
