"""Files that lists name for their sound: what is in them, and where they begin for a player."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media.sounds import ffmpeg, noise, write_film, write_wav
from videoprep.errors import Code, MediaError
from videoprep.media.audio import load_audio
from videoprep.media.inspect import Inspection, SoundInspection, inspect_all, inspect_beside
from videoprep.media.sound_file import SoundInfo, probe_sound
from videoprep.spec.roles import AUDIO

RATE = 16_000
CODECS = {
    "a.wav": ("pcm_s16le",),
    "a.flac": ("flac",),
    "a.mp3": ("libmp3lame",),
    "a.m4a": ("aac",),
    "a.ogg": ("libvorbis",),
    "a.mka": ("pcm_s16le",),
}


def coded(folder: Path, name: str, seconds: float = 2.0) -> Path:
    wav = write_wav(folder / "source.wav", noise(seconds, RATE), RATE)
    ffmpeg("-i", wav, "-c:a", *CODECS[name], folder / name)
    return folder / name


@pytest.mark.parametrize("name", CODECS)
def test_a_sound_file_begins_with_its_first_sample(tmp_path: Path, name: str) -> None:
    info = probe_sound(coded(tmp_path, name))
    assert info.audio.start == 0
    assert (info.audio.sample_rate, info.audio.channels) == (RATE, 2)
    assert info.audio.duration is not None
    assert 2 <= info.audio.duration < 2.1
    assert SoundInfo.from_json(info.to_json()) == info
    times = info.zero, info.zero + Fraction(1, 2)
    assert load_audio(tmp_path / name, times).is_complete


@pytest.mark.parametrize(("late", "start"), [(0.0, 0), (1.0, 1), (-1.0, 0)])
def test_of_a_film_its_own_clock_counts(tmp_path: Path, late: float, start: int) -> None:
    film = write_film(tmp_path / "a.mkv", noise(2, RATE), rate=RATE, frames=9, fps=8, late=late)
    info = probe_sound(film)
    assert (info.zero, info.audio.start) == (0, start)


def test_a_cover_is_no_picture(tmp_path: Path) -> None:
    mp3 = coded(tmp_path, "a.mp3")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-frames:v", 1, tmp_path / "cover.png")
    ffmpeg(
        "-i", mp3, "-i", tmp_path / "cover.png", "-map", 0, "-map", 1, "-c", "copy",
        "-disposition:v", "attached_pic", tmp_path / "b.mp3",
    )  # fmt: skip
    plain, covered = probe_sound(mp3), probe_sound(tmp_path / "b.mp3")
    assert (covered.zero, covered.audio.start) == (plain.zero, 0)


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("a.wav", b"", Code.UNREADABLE, "is empty"),
        ("a.wav", b"a diary, and no sound", Code.UNREADABLE, "is a text, not a sound file"),
        ("a.mp3", b"%PDF-1.7" + bytes(2000), Code.UNREADABLE, "is a PDF document"),
        ("a.wav", b"RIFF\xff\xff\xff\x7fWAVEfmt " + bytes(range(256)), Code.UNREADABLE, "sound"),
        ("a.flac", b"fLaC" + bytes(range(1, 256)) * 9, Code.UNREADABLE, ""),
        ("a.wav", None, Code.UNREADABLE, "no such file"),
    ],
)
def test_what_is_no_sound_is_refused(
    tmp_path: Path, name: str, data: bytes | None, code: Code, words: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    (found,) = inspect_beside(tmp_path, AUDIO, [tmp_path / name])
    assert found.error is not None
    assert found.error.code is code
    assert words in found.error.message
    assert "video" not in found.error.message


def test_silent_films_and_pictures_hold_no_sound(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mov", frames=9, fps=8)
    with pytest.raises(MediaError, match="holds no sound") as raised:
        probe_sound(film)
    assert raised.value.code is Code.NO_SOUND
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(MediaError, match="is not a regular file"):
        probe_sound(tmp_path / "pipe.wav")


def test_one_file_is_a_video_here_and_sound_there(tmp_path: Path) -> None:
    """What is found of one use says nothing about the other, and both are remembered."""
    film = write_film(tmp_path / "film.mov", noise(2, RATE), rate=RATE, frames=9, fps=8)
    silent = write_film(tmp_path / "silent.mov", frames=9, fps=8)
    wav = write_wav(tmp_path / "a.wav", noise(1, RATE), RATE)
    paths = [film, silent, wav]
    for _ in range(2):  # the second time from the cache
        videos = list(inspect_all(tmp_path, paths))
        sounds = list(inspect_beside(tmp_path, AUDIO, paths))
        assert all(isinstance(one, Inspection) for one in videos)
        assert all(isinstance(one, SoundInspection) for one in sounds)
        assert [one.error and one.error.code for one in videos] == [
            None, None, Code.NO_VIDEO_STREAM,
        ]  # fmt: skip
        assert [one.error and one.error.code for one in sounds] == [None, Code.NO_SOUND, None]
        assert videos[0].fingerprint == sounds[0].fingerprint != ""
