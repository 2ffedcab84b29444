"""What decoding all of a file's sound shows."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.sounds import Samples, ffmpeg, noise, write_film, write_wav
from videoprep.media.sound_scan import NOTHING, SoundScan, scan_sound

RATE = 16_000


def sine(seconds: float, level: float = 0.5, channels: int = 1) -> Samples:
    """A tone of 1 kHz: each tenth of a second holds whole periods of it."""
    at = np.arange(round(seconds * RATE)) / RATE
    tone = np.clip(np.sin(2 * np.pi * 1000 * at + 0.1) * level, -1, 1) * 32767
    return np.repeat(np.asarray(tone, np.int16)[None], channels, axis=0)


def test_levels_of_known_sound(tmp_path: Path) -> None:
    """A tone at half of full scale: its peak is 6 dB below it, its root mean square 9 dB."""
    quiet = np.zeros((1, RATE // 2), np.int16)
    path = write_wav(tmp_path / "a.wav", np.concatenate([sine(1), quiet, sine(0.5)], 1), RATE)
    scan = scan_sound(path)
    assert (scan.samples, scan.sample_rate, scan.channels) == (2 * RATE, RATE, 1)
    assert scan.complaint is None
    assert scan.peak.tolist() == [12] * 10 + [NOTHING] * 5 + [12] * 5
    assert scan.loudness.tolist() == [18] * 10 + [NOTHING] * 5 + [18] * 5
    assert scan.clipped.sum() == 0


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    """Those after two others: of each flat top of 7 samples 5, over the edges of packets, too."""
    wave = np.zeros((2, RATE), np.int16)
    for start in range(0, RATE, 160):
        wave[0, start : start + 7] = 32767
        wave[1, start : start + 2] = -32768
    wave[1, 4095:4100] = -32768  # packets of WAV files have 4096 samples
    scan = scan_sound(write_wav(tmp_path / "a.wav", wave, RATE))
    assert scan.clipped.sum() == 5 * 100 + 3
    assert scan.clipped.tolist()[:2] == [50, 50]


def test_a_loud_tone_is_not_clipped(tmp_path: Path) -> None:
    full, over = (
        scan_sound(write_wav(tmp_path / f"{level}.wav", sine(1, level), RATE))
        for level in (0.99, 4.0)
    )
    assert full.clipped.sum() == 0
    assert over.clipped.sum() > RATE / 2


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "flac", "libopus"])
def test_all_of_it_is_measured_whatever_the_codec(tmp_path: Path, codec: str) -> None:
    path = write_film(
        tmp_path / "a.mkv", noise(4, 48_000), codec=(codec,), options=("-strict", "-2")
    )
    scan = scan_sound(path)
    assert 40 <= len(scan.loudness) <= 42
    assert scan.complaint is None
    assert (scan.loudness[:39] < 60).all()


def test_a_gap_of_the_clock_has_no_sound(tmp_path: Path) -> None:
    tone = sine(1)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE)
        stream.layout = "mono"
        for start in (0, 3 * RATE):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    scan = scan_sound(tmp_path / "a.mkv")
    assert scan.loudness.tolist() == [18] * 10 + [NOTHING] * 20 + [18] * 10
    assert scan.samples == 2 * RATE


def test_files_without_sound(tmp_path: Path) -> None:
    scan = scan_sound(write_film(tmp_path / "a.mkv"))
    assert (scan.samples, scan.sample_rate, len(scan.peak)) == (0, 0, 0)


def test_a_track_without_packets(tmp_path: Path) -> None:
    scan = scan_sound(without_packets(tmp_path / "a.mkv"))
    assert (scan.samples, scan.complaint) == (0, None)


def without_packets(path: Path) -> Path:
    """A film whose sound track is announced and empty."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        audio = container.add_stream("pcm_s16le", rate=RATE)
        audio.layout = "mono"
        for _ in range(50):
            picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
    return path


def test_damage_is_told_and_the_rest_is_measured(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", noise(4, 48_000), codec=("aac",), options=("-vn",))
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 600] = np.random.default_rng(1).bytes(600)
    path.write_bytes(bytes(data))
    scan = scan_sound(path)
    assert scan.complaint is not None
    assert len(scan.loudness) >= 38


def test_sound_that_changes_midway(tmp_path: Path) -> None:
    """Transport streams may be joined as they are."""
    parts = []
    for number, layout in enumerate(("stereo", "5.1")):
        part = tmp_path / f"{number}.ts"
        ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d=1:r=48000,aformat=channel_layouts={layout}",
               "-c:a", "ac3", part)  # fmt: skip
        parts.append(part.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    complaint = scan_sound(joined).complaint
    assert complaint is not None
    assert "it changes from 48000 Hz stereo to 48000 Hz 5.1" in complaint


def test_what_is_not_a_number(tmp_path: Path) -> None:
    wave = np.zeros(RATE, np.float32)
    wave[100] = np.nan
    (tmp_path / "raw").write_bytes(wave.tobytes())
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 1, "-i", tmp_path / "raw", "-c:a", "pcm_f32le",
           tmp_path / "a.wav")  # fmt: skip
    scan = scan_sound(tmp_path / "a.wav")
    assert scan.complaint == "samples are not finite numbers"
    assert len(scan.peak) == 10


def test_json_round_trip(tmp_path: Path) -> None:
    scan = scan_sound(write_wav(tmp_path / "a.wav", sine(1, 4.0), RATE))
    again = SoundScan.from_json(json.loads(json.dumps(scan.to_json())))
    assert again.to_json() == scan.to_json()
    assert again.clipped.tolist() == scan.clipped.tolist()


def test_stretches_of_a_time() -> None:
    none = np.zeros(0, np.uint8)
    scan = SoundScan(0, RATE, 1, None, none, none, none.astype("<i4"))
    assert scan.stretches(0.3, 0.7) == slice(3, 7)
    assert scan.stretches(-0.5, 0.25) == slice(0, 3)
    assert scan.stretches(-2, -1) == slice(0, 0)
