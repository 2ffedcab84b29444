"""Picture and sound of a clip are of the same instants: frames show their numbers, clicks are them.

At the instant of frame n a click of n levels is heard, one sample long.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import videoprep as vp
from tests.media.sounds import Samples, ffmpeg, write_wav
from tests.support.numbered import HEIGHT, WIDTH, number_on, write_numbered
from videoprep.media.audio import load_audio
from videoprep.media.clip import load_clip

RATE, FPS, FRAMES = 48_000, 25, 200
LEVEL = 100  # of a click, times the number of its frame


def clicks(frames: int = FRAMES, before: float = 0.0) -> Samples:
    """Int16 ``[1, samples]``: a click at the instant of each frame.

    Args:
        frames: how many.
        before: seconds of silence before the first frame.
    """
    made = np.zeros((1, round((before + frames / FPS) * RATE)), np.int16)
    for number in range(frames):
        made[0, round((before + number / FPS) * RATE)] = LEVEL * (number + 1)
    return made


def joined(folder: Path, name: str, sound: Samples, *options: str) -> None:
    """A film with the track, as it is."""
    write_numbered(folder / "picture.mp4", FRAMES)
    wav = write_wav(folder / "track.wav", sound, RATE)
    ffmpeg(*options, "-i", folder / "picture.mp4", "-i", wav, "-map", 0, "-map", 1,
           "-c:v", "copy", "-c:a", "flac", folder / name)  # fmt: skip
    (folder / "picture.mp4").unlink()
    wav.unlink()


def own_track(folder: Path) -> None:
    joined(folder, "film.mkv", clicks())


def late_picture(folder: Path) -> None:
    """The picture starts half a second after the sound, as after a cut without encoding."""
    joined(folder, "film.mkv", clicks(before=0.5), "-itsoffset", "0.5")


def beside(folder: Path) -> None:
    write_numbered(folder / "film.mp4", FRAMES)
    write_wav(folder / "film.wav", clicks(), RATE)


def beside_a_late_picture(folder: Path) -> None:
    """A player starts both files at once."""
    late_picture(folder)
    write_wav(folder / "film.wav", clicks(before=0.5), RATE)


@pytest.mark.parametrize("make", [own_track, late_picture, beside, beside_a_late_picture])
@pytest.mark.parametrize("fps", [25.0, 12.5, 10.0])
def test_each_frame_is_heard_when_it_is_seen(make: object, fps: float, tmp_path: Path) -> None:
    """Within half a frame of the file and one sample, also at a rate that does not divide it."""
    assert callable(make)
    make(tmp_path)
    name = next(path.name for path in tmp_path.iterdir() if path.suffix in (".mkv", ".mp4"))
    rows = [f"{name},early,0.9,4", f"{name},late,3.3,7.9"]
    (tmp_path / "list.csv").write_text("\n".join(["video,caption,start,end", *rows]) + "\n")
    index = vp.BucketIndex.build(
        tmp_path, profile="default", target_fps=fps, reshape="pad",
        buckets=(f"17x{HEIGHT}x{WIDTH}",),
    )  # fmt: skip
    assert len(index) == 2, index.left_out
    for clip in index.clips():
        asked = clip.sound(sample_rate=RATE)
        assert asked.start is not None
        sound = load_audio(asked.path, (asked.start, asked.start + asked.length), RATE)
        assert sound.is_complete
        levels = np.rint(sound.samples[0] * 32768).astype(int)
        heard = {int(levels[at]) // LEVEL - 1: int(at) for at in np.flatnonzero(levels)}
        pixels = load_clip(clip.pixels).permute(0, 2, 3, 1).numpy()
        for place, picture in enumerate(pixels):
            number = number_on(picture)
            shown = Fraction(place) / clip.rate * RATE
            off = abs(heard[number] - shown)
            assert off <= Fraction(RATE, 2 * FPS) + 1, (place, number, off)
            if fps != 10.0 or place % 2 == 0:
                assert off <= 1, (place, number, off)
