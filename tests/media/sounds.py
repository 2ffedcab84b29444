"""Videos with known sound, made by ffmpeg: noise, of which every stretch is unlike all others."""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import need

Samples = NDArray[np.int16]


def ffmpeg(*arguments: object) -> bytes:
    """What ffmpeg writes to its standard output."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    command = ["ffmpeg", "-v", "error", "-y", "-nostdin", "-bitexact", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def noise(seconds: float, rate: int = 48_000, channels: int = 2, seed: int = 0) -> Samples:
    """Int16 ``[channels, samples]``, band-limited so that encoders keep most of it."""
    count = round(seconds * rate)
    made = np.random.default_rng(seed).normal(size=(channels, count + 64))
    smooth = np.apply_along_axis(np.convolve, 1, made, np.hanning(33), "same")[:, 32 : 32 + count]
    return np.asarray(smooth * 3000, dtype=np.int16)


def tones(seconds: float, rate: int = 48_000) -> Samples:
    """Int16 ``[2, samples]``: rising tones, which encoders keep without making noise up."""
    at = np.arange(round(seconds * rate)) / rate
    rising = [np.sin(2 * np.pi * (low * at + 20 * at**2)) for low in (220, 330)]
    return np.asarray(np.stack(rising) * 9000, dtype=np.int16)


def write_wav(path: Path, samples: Samples, rate: int = 48_000) -> Path:
    """A WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return path


def write_film(
    path: Path,
    *tracks: Samples,
    rate: int = 48_000,
    frames: int = 100,
    fps: Fraction | int = 25,
    codec: Sequence[str] = ("pcm_s16le",),
    late: float = 0.0,
    options: Sequence[str] = (),
) -> Path:
    """A video with so many audio streams; its picture does not matter.

    Args:
        path: its ending chooses the container.
        tracks: the samples of each audio stream.
        rate: samples a second of all.
        frames: how many.
        fps: frames a second.
        codec: ffmpeg's encoder of sound and its options.
        late: seconds after the first frame at which the sound begins; negative: before.
        options: further options of the output.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"testsrc2=s=64x64:r={fps}:d={float((frames - Fraction(1, 2)) / fps)}"
    inputs: list[object] = ["-itsoffset", max(0.0, -late), "-f", "lavfi", "-i", size]
    for number, samples in enumerate(tracks):
        wav = write_wav(path.with_suffix(f".{number}.wav"), samples, rate)
        inputs += ["-itsoffset", max(0.0, late), "-i", wav]
    maps = [item for number in range(len(tracks) + 1) for item in ("-map", number)]
    sound = ["-c:a", *codec] if tracks else []
    picture = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", 0, "-g", 12]
    ffmpeg(*inputs, *maps, *picture, *sound, *options, path)
    for number in range(len(tracks)):
        path.with_suffix(f".{number}.wav").unlink()
    return path


def floats(samples: Samples) -> NDArray[np.float32]:
    """The same as they are decoded."""
    scaled: NDArray[np.float32] = samples.astype(np.float32) / np.float32(32768)
    return scaled


def decoded_by_ffmpeg(path: Path, channels: int, filters: str = "anull") -> NDArray[np.float32]:
    """Float32 ``[channels, samples]``: what the command line makes of a file's sound.

    Its timestamps are taken as they are (``-copyts``).
    """
    output = ("-vn", "-af", filters, "-f", "f32le", "-c:a", "pcm_f32le", "-")
    data = ffmpeg("-copyts", "-i", path, *output)
    decoded: NDArray[np.float32] = np.frombuffer(data, dtype=np.float32).reshape(-1, channels).T
    return decoded
