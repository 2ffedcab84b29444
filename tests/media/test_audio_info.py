"""What a probe says of a file's sound: the truth, not the header's word."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.sounds import ffmpeg, noise, write_film, write_wav
from tests.support.assets import write_video
from videoprep.errors import Code, MediaError
from videoprep.media import probe as module
from videoprep.media.audio_info import AudioInfo
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo, probe


def sound_of(path: Path) -> AudioInfo:
    found = probe(path).audio
    assert found is not None
    return found


def test_a_file_without_sound(tmp_path: Path) -> None:
    assert probe(write_video(tmp_path / "a.mp4")).audio is None


CODECS = [
    ("a.mkv", ("pcm_s16le",), "pcm_s16le"),
    ("a.mov", ("pcm_s24le",), "pcm_s24le"),
    ("a.mp4", ("aac",), "aac"),
    ("a.mp4", ("flac", "-strict", "-2"), "flac"),
    ("a.mp4", ("libmp3lame",), "mp3"),
    ("a.webm", ("libopus",), "opus"),
    ("a.ts", ("aac",), "aac"),
    ("a.ts", ("ac3",), "ac3"),
    ("a.avi", ("pcm_s16le",), "pcm_s16le"),
    ("a.flv", ("aac",), "aac"),
    ("a.mpg", ("mp2",), "mp2"),
]


@pytest.mark.parametrize(("name", "codec", "called"), CODECS)
def test_codecs_and_containers(
    name: str, codec: tuple[str, ...], called: str, tmp_path: Path
) -> None:
    picture = ("-c:v", "libvpx") if name.endswith("webm") else ()
    path = write_film(tmp_path / name, noise(4), codec=codec, options=picture)
    found = sound_of(path)
    assert (found.codec, found.sample_rate, found.channels, found.layout) == (
        called, 48_000, 2, "stereo",
    )  # fmt: skip
    assert (found.streams, found.error) == (1, None)
    # An AVI's or FLV's sound may begin with what the encoder needs to get going.
    assert abs(found.start) < 0.06
    assert found.duration == pytest.approx(4, abs=0.1)


def test_priming_does_not_count(tmp_path: Path) -> None:
    found = sound_of(write_film(tmp_path / "a.mp4", noise(4), codec=("aac",)))
    assert found.start == 0
    assert found.duration == 4


def test_sound_that_begins_late_or_early(tmp_path: Path) -> None:
    assert sound_of(write_film(tmp_path / "late.mkv", noise(2), late=1.5)).start == Fraction(3, 2)
    assert sound_of(write_film(tmp_path / "early.mkv", noise(2), late=-0.4)).start == -Fraction(
        2, 5
    )
    # Before sound that begins late, MP4's muxer shows the encoder's priming.
    late = sound_of(write_film(tmp_path / "late.mp4", noise(2), codec=("aac",), late=1.5))
    assert float(late.start) == pytest.approx(1.5 - 1024 / 48_000, abs=2e-3)


def _time_of(frame: av.AudioFrame | av.VideoFrame) -> Fraction:
    assert frame.pts is not None
    assert frame.time_base is not None
    return frame.pts * frame.time_base


def test_a_part_that_was_cut_out_without_encoding(tmp_path: Path) -> None:
    """The edit list hides what was kept only because frames refer to it."""
    whole = write_film(tmp_path / "a.mp4", noise(4), codec=("aac",))
    part = tmp_path / "part.mp4"
    ffmpeg("-ss", 1.1, "-i", whole, "-c", "copy", part)
    found = sound_of(part)
    with av.open(str(part)) as container:
        first = next(container.decode(audio=0))
    with av.open(str(part)) as container:
        picture = next(container.decode(video=0))
    assert found.start == _time_of(first) - _time_of(picture)
    assert found.duration == pytest.approx(2.9, abs=0.05)


def test_sound_that_is_shorter_or_longer_than_the_picture(tmp_path: Path) -> None:
    for seconds in (1, 9):
        found = sound_of(write_film(tmp_path / f"{seconds}.mov", noise(seconds)))
        assert found.duration == seconds


@pytest.mark.parametrize(
    ("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1"), (8, "7.1")]
)
def test_channels(channels: int, layout: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(1, channels=channels), codec=("flac",))
    found = sound_of(path)
    assert (found.channels, found.layout) == (channels, layout)


def test_of_several_streams_the_best(tmp_path: Path) -> None:
    silent = np.zeros((1, 48_000), np.int16)
    # Matroska's muxer makes the first the default one.
    equal = ("-disposition:a", "0")
    path = write_film(tmp_path / "a.mkv", silent, noise(4, channels=6), silent, options=equal)
    found = sound_of(path)
    with av.open(str(path)) as container:
        best = container.streams.best("audio", related=container.streams.best("video"))
        assert best is not None
        assert found.stream == best.index == 2
    assert (found.channels, found.streams) == (6, 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("tracks", [1, 2])
def test_the_quick_look_sees_what_the_careful_one_does(
    name: str, tracks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [noise(3, channels=1 + number) for number in range(tracks)]
    path = write_film(tmp_path / name, *sounds, codec=("aac",))
    quick = probe(path).to_json()
    monkeypatch.setattr(module, "_scan_quickly", lambda _path: None)
    assert probe(path).to_json() == quick


def test_sound_that_does_not_decode_costs_no_picture(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(2), codec=("aac",))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    for at, size in places:  # a block's header comes before its data
        data[at + 4 : at + size] = b"\xff" * (size - 4)
    path.write_bytes(data)
    info = probe(path)
    assert info.frames == 100
    assert info.audio is not None
    assert info.audio.error == "no sample of it can be decoded"
    assert (info.audio.sample_rate, info.audio.channels) == (0, 0)


def test_a_sound_file_holds_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as raised:
        probe(write_wav(tmp_path / "a.wav", noise(1)))
    assert raised.value.code is Code.NO_VIDEO_STREAM


def test_it_is_kept_between_runs(tmp_path: Path) -> None:
    paths = [
        write_film(tmp_path / "with.mp4", noise(2), codec=("aac",), late=0.25),
        write_video(tmp_path / "without.mp4"),
    ]
    first = [found.media for found in inspect_all(tmp_path, paths)]
    again = [found.media for found in inspect_all(tmp_path, paths)]
    for path, one, other in zip(paths, first, again, strict=True):
        assert isinstance(one, MediaInfo)
        assert isinstance(other, MediaInfo)
        assert one.audio == other.audio == probe(path).audio
    with_sound = probe(paths[0])
    assert MediaInfo.from_json(json.loads(json.dumps(with_sound.to_json()))).audio is not None
