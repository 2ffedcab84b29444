"""`export --to media`: the sound of exactly the exported frames."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import videoprep as vp
from tests.exporters.test_media import contents, exported, frames_of, plan, prepared
from tests.media.sounds import decoded_by_ffmpeg, floats, noise, tones, write_film, write_wav
from tests.media.test_decode_pool_sound import spoiled
from tests.support.assets import write_video
from videoprep.errors import Code, PlanError, StoreError
from videoprep.exporters.folder import NAMES

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def sound_of(path: Path, channels: int = 2) -> NDArray[np.float32]:
    """Float32 ``[channels, samples]``: what ffmpeg makes of a file's sound."""
    return decoded_by_ffmpeg(path, channels)


def states_in(folder: Path) -> list[Any]:
    lines = (folder / NAMES).read_text(encoding="utf-8").splitlines()
    return [json.loads(line).get("sound") for line in lines]


def films(folder: Path, **options: Any) -> Path:
    """A film of four seconds with known sound."""
    return write_film(folder / "a.mov", noise(4), **options)


@pytest.mark.parametrize("lossless", [False, True])
def test_sound_of_exactly_the_frames(lossless: bool, tmp_path: Path) -> None:
    films(tmp_path / "data")
    rows = [
        {"video": "a.mov", "caption": "early", "start": 0.2, "end": 1},
        {"video": "a.mov", "caption": "late", "start": 2, "end": 3},
    ]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,))
    (_, early), (_, late) = exported(source, tmp_path / "out", lossless=lossless)
    wanted = floats(noise(4))
    assert np.array_equal(sound_of(early), wanted[:, 9600 : 9600 + 17_280])
    assert np.array_equal(sound_of(late), wanted[:, 96_000 : 96_000 + 17_280])
    assert states_in(tmp_path / "out") == ["complete", "complete"]


def test_sound_of_a_file_of_its_own(tmp_path: Path) -> None:
    """The same part of it; and an export of another sound is another export."""
    films(tmp_path / "data")
    write_wav(tmp_path / "data/s.wav", noise(4, seed=3))
    rows = [
        {"video": "a.mov", "caption": "named", "audio": "s.wav", "start": 2, "end": 3},
        {"video": "a.mov", "caption": "own", "audio": "", "start": 2, "end": 3},
    ]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,))
    (_, named), (_, own) = exported(source, tmp_path / "out", lossless=True)
    there = slice(96_000, 96_000 + 17_280)
    assert np.array_equal(sound_of(named), floats(noise(4, seed=3))[:, there])
    assert np.array_equal(sound_of(own), floats(noise(4))[:, there])
    write_wav(tmp_path / "data/s.wav", noise(4, seed=4))
    with pytest.raises(StoreError):
        vp.export_media(plan(tmp_path / "data", rows, frame_buckets=(9,)), output=tmp_path / "out")


def test_the_picture_is_what_it_is_without_sound(tmp_path: Path) -> None:
    films(tmp_path / "data")
    rows = [{"video": "a.mov", "caption": "a"}]
    source = plan(tmp_path / "data", rows, frame_buckets=(25,))
    ((clip, path),) = exported(source, tmp_path / "out", lossless=True)
    assert np.array_equal(frames_of(path), prepared(clip))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames, stream.start_time) == (25, 25, 0)
        sound = container.streams.audio[0]
        assert sound.start_time == 0
        assert sound.codec_context.name == "flac"
        assert sound.duration is not None
        assert sound.duration * (sound.time_base or 0) == 1


def test_24_bits(tmp_path: Path) -> None:
    """What AAC gives is no multiple of a 16-bit step."""
    write_film(tmp_path / "data/a.mp4", tones(4), codec=("aac",))
    source = plan(tmp_path / "data", frame_buckets=(25,))
    ((_, fine),) = exported(source, tmp_path / "fine", lossless=True)
    ((_, plain),) = exported(source, tmp_path / "plain")
    decoded = sound_of(tmp_path / "data/a.mp4")[:, :48_000]
    assert np.abs(sound_of(fine) - decoded).max() <= 1e-6
    assert 1e-6 < np.abs(sound_of(plain) - decoded).max() <= 2**-15


def test_another_rate_of_frames(tmp_path: Path) -> None:
    """At 8 frames a second 9 frames last 1.125 s."""
    films(tmp_path / "data")
    rows = [{"video": "a.mov", "caption": "a", "start": 1, "end": 3}]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,), target_fps=8)
    ((clip, path),) = exported(source, tmp_path / "out")
    assert clip.rate == 8
    assert np.array_equal(sound_of(path), floats(noise(4))[:, 48_000 : 48_000 + 54_000])


def test_a_time_lapse_keeps_its_time(tmp_path: Path) -> None:
    films(tmp_path / "data")
    rows = [{"video": "a.mov", "caption": "a"}]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,), clip_mode="all-frames-stride")
    ((clip, path),) = exported(source, tmp_path / "out")
    assert clip.rate == Fraction(9, 4)
    assert np.array_equal(sound_of(path), floats(noise(4)))


@pytest.mark.parametrize(("channels", "rate"), [(1, 44_100), (2, 32_000), (6, 48_000), (8, 96_000)])
def test_channels_and_rates_stay(channels: int, rate: int, tmp_path: Path) -> None:
    samples = noise(4, rate, channels)
    write_film(tmp_path / "data/a.mkv", samples, rate=rate, codec=("flac",))
    source = plan(tmp_path / "data", [{"video": "a.mkv", "caption": "a"}], frame_buckets=(25,))
    ((_, path),) = exported(source, tmp_path / "out")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.sample_rate == rate
    assert np.array_equal(sound_of(path, channels), floats(samples)[:, :rate])


def test_a_layout_that_flac_does_not_know(tmp_path: Path) -> None:
    layout = ("-af", "channelmap=0|1|2:2.1")
    write_film(tmp_path / "data/a.mov", noise(2, channels=3), options=layout)
    source = plan(tmp_path / "data", [{"video": "a.mov", "caption": "a"}], frame_buckets=(25,))
    ((_, path),) = exported(source, tmp_path / "out")
    assert sound_of(path).shape == (2, 48_000)


def test_sound_that_is_not_all_there(tmp_path: Path) -> None:
    write_video(tmp_path / "data/0.mp4", width=64, height=64, frames=100, fps=25)
    write_film(tmp_path / "data/1.mkv", noise(4), late=0.52)
    write_film(tmp_path / "data/2.mkv", noise(1))
    write_film(tmp_path / "data/3.mkv", noise(4))
    names = ("0.mp4", "1.mkv", "2.mkv", "3.mkv")
    rows = [{"video": name, "caption": name} for name in names]
    source = plan(tmp_path / "data", rows, frame_buckets=(49,))
    result = vp.export_media(source, output=tmp_path / "out")
    assert result.ok
    assert result.notes[:2] == (
        "clips without sound: 1",
        "clips whose sound starts late or ends early: 2",
    )
    told = ["none", "starts 0.520 s late", "ends 0.960 s early", "complete"]
    assert states_in(tmp_path / "out") == told
    silent, late, short, whole = sorted((tmp_path / "out").rglob("*.mp4"))
    with av.open(str(silent)) as container:
        assert not container.streams.audio
    wanted = floats(noise(4))
    assert np.array_equal(sound_of(late)[:, 24_960:], wanted[:, : 94_080 - 24_960])
    assert not sound_of(late)[:, :24_960].any()
    assert np.array_equal(sound_of(short), floats(noise(1)))
    assert np.array_equal(sound_of(whole), wanted[:, :94_080])
    # A run that has nothing to do says the same.
    again = vp.export_media(source, output=tmp_path / "out")
    assert (again.written, again.notes) == (0, result.notes)
    assert states_in(tmp_path / "out") == told


def test_without_sound(run_cli: Run, tmp_path: Path) -> None:
    films(tmp_path / "data")
    source = plan(tmp_path / "data", [{"video": "a.mov", "caption": "a"}], frame_buckets=(25,))
    result = vp.export_media(source, output=tmp_path / "silent", sound=False)
    assert result.loses.startswith("sound; ")
    assert not any("sound" in note for note in result.notes)
    assert states_in(tmp_path / "silent") == [None]
    (path,) = (tmp_path / "silent").rglob("*.mp4")
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
    with pytest.raises(StoreError, match="made otherwise: sound False, not True"):
        vp.export_media(source, output=tmp_path / "silent")
    done = run_cli("export", source, "--to", "media", "-o", tmp_path / "cli", "--no-sound")
    assert done.returncode == 0, done.stderr
    assert "lost: sound" in done.stdout
    assert contents(tmp_path / "cli") == contents(tmp_path / "silent")


def test_damaged_sound_is_recorded(run_cli: Run, tmp_path: Path) -> None:
    films(tmp_path / "data")
    spoiled(write_film(tmp_path / "data/b.mkv", noise(4), codec=("aac",)))
    rows = [{"video": name, "caption": name} for name in ("a.mov", "b.mkv")]
    source = plan(tmp_path / "data", rows, frame_buckets=(73,))
    result = vp.export_media(source, output=tmp_path / "out")
    assert (result.ok, result.clips) == (False, 1)
    (left_out,) = result.left_out
    assert (left_out.video, left_out.code) == ("b.mkv", Code.DAMAGED_SOUND.value)
    assert left_out.reason.startswith("its sound is damaged")
    assert len(list((tmp_path / "out").rglob("*.mp4"))) == 1
    done = run_cli("export", source, "--to", "media", "-o", tmp_path / "cli", "--no-sound")
    assert done.returncode == 0, done.stderr


def test_equal_plans_give_equal_bytes_and_a_killed_run_goes_on(
    run_cli: Run, tmp_path: Path
) -> None:
    for number in range(3):
        write_film(tmp_path / f"data/{number}.mp4", tones(2), codec=("aac",))
    source = plan(tmp_path / "data", frame_buckets=(25,))
    vp.export_media(source, output=tmp_path / "whole")
    out = tmp_path / "out"
    killed = run_cli(
        *("export", source, "--to", "media", "-o", out),
        VIDEOPREP_FAILPOINTS="file.written=kill*2@.mp4",
    )
    assert killed.returncode == -9
    assert vp.export_media(source, output=out).ok
    assert contents(tmp_path / "whole").items() <= contents(out).items()
    assert states_in(out) == ["complete"] * 3


def test_options_of_sound_are_for_media(run_cli: Run, demo_store: Path, tmp_path: Path) -> None:
    done = run_cli("export", demo_store, "--to", "finetrainers", "-o", tmp_path, "--no-sound")
    assert done.returncode == 2
    assert "for --to media" in " ".join(done.stderr.replace("│", " ").split())


def test_the_real_clips_keep_theirs(real_clips: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(real_clips, tmp_path / "data"))
    folder.chmod(0o755)
    source = plan(folder, reshape="center-crop", frame_buckets=(9,), target_fps=8)
    for clip, path in exported(source, tmp_path / "out"):
        with av.open(str(clip.clip.pixels.frames.path)) as container:
            has_sound = bool(container.streams.audio)
        with av.open(str(path)) as container:
            assert bool(container.streams.audio) is has_sound


def test_a_sound_file_that_changed_costs_its_own_samples(tmp_path: Path) -> None:
    films(tmp_path / "data")
    write_wav(tmp_path / "data/s.wav", noise(4, seed=3))
    rows = [
        {"video": "a.mov", "caption": "named", "audio": "s.wav"},
        {"video": "a.mov", "caption": "own", "audio": ""},
    ]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,))
    write_wav(tmp_path / "data/s.wav", noise(4, seed=4))
    result = vp.export_media(source, output=tmp_path / "out", on_missing="skip")
    assert result is not None
    assert result.clips == 1
    assert [one.code for one in result.left_out] == [Code.SOURCE_CHANGED.value]
    assert "s.wav" in result.left_out[0].reason


def test_an_export_without_sound_does_not_know_sound_files(tmp_path: Path) -> None:
    films(tmp_path / "data")
    write_wav(tmp_path / "data/s.wav", noise(4, seed=3))
    rows = [{"video": "a.mov", "caption": "named", "audio": "s.wav"}]
    for seed in (3, 4):
        write_wav(tmp_path / "data/s.wav", noise(4, seed=seed))
        source = plan(tmp_path / "data", rows, frame_buckets=(9,))
        result = vp.export_media(source, output=tmp_path / "out", sound=False)
        assert result is not None
        assert result.clips == 1


def test_an_export_without_sound_needs_no_sound_files(tmp_path: Path) -> None:
    films(tmp_path / "data")
    wav = write_wav(tmp_path / "data/s.wav", noise(4))
    rows = [{"video": "a.mov", "caption": "named", "audio": "s.wav"}]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,))
    Path(wav).unlink()
    with pytest.raises(PlanError, match=r"s\.wav"):
        vp.export_media(source, output=tmp_path / "out")
    result = vp.export_media(source, output=tmp_path / "silent", sound=False)
    assert result is not None
    assert (result.ok, result.clips) == (True, 1)
