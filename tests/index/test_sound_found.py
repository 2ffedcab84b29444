"""`scaffold` says where sound is: in a column, beside the videos, in the videos themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.sounds import noise, write_film, write_wav
from videoprep.index.scaffold import scaffold
from videoprep.spec.dataset import DatasetSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two films with a sound track, and one without."""
    for number, name in enumerate("abc"):
        tracks = [noise(1, 16_000)] if number < 2 else []
        write_film(tmp_path / f"{name}.mov", *tracks, rate=16_000, frames=9, fps=9)
        (tmp_path / f"{name}.txt").write_text(f"A film, {name}.")
    return tmp_path


def test_of_the_videos_themselves(folder: Path) -> None:
    made = scaffold(folder)
    assert made.seen[1:] == ("Videos with a sound track: 2 of 3 looked at.",)
    assert "# Videos with a sound track" in made.text


def test_beside_the_videos(folder: Path) -> None:
    write_wav(folder / "c.wav", noise(1, 16_000), 16_000)
    for ending in ("wav", "flac"):
        (folder / f"a.{ending}").write_bytes(b"two of one name")
    made = scaffold(folder)
    assert made.seen[1:] == (
        "Sound: files beside 1 of 3 videos, such as c.wav.",
        "Sound that leaves open what it belongs to: its audio: several sound files lie beside it: "
        "a.flac, a.wav.",
        "Videos with a sound track: 2 of 3 looked at.",
    )
    made.write()
    listing = DatasetSpec.from_path(folder).listing()
    assert listing.reading.sounds_beside == 1
    (folder / "videoprep.yaml").write_text("format: caption-files\naudio_column: ''\n")
    assert scaffold(folder).seen[1:] == ("Videos with a sound track: 2 of 3 looked at.",)


def test_in_a_folder(folder: Path) -> None:
    (folder / "audio").mkdir()
    write_wav(folder / "audio/c.wav", noise(1, 16_000), 16_000)
    made = scaffold(folder)
    assert made.seen[1] == "Sound: files beside 1 of 3 videos, such as audio/c.wav."
    made.write()
    listing = DatasetSpec.from_path(folder).listing()
    assert [[one.name for one in sample.beside] for sample in listing.samples] == [
        [], [], ["audio/c.wav"],
    ]  # fmt: skip


def test_in_a_column(folder: Path) -> None:
    write_wav(folder / "s.wav", noise(1, 16_000), 16_000)
    (folder / "list.csv").write_text("video,caption,audio\na.mov,one,s.wav\nb.mov,two,\n")
    made = scaffold(folder)
    assert made.fields["audio_column"] == "audio"
    assert made.seen[1] == (
        "Sound: files that the column 'audio' names; if it is empty, the video's own."
    )
    made.write()
    listing = DatasetSpec.from_path(folder).listing()
    assert [[one.name for one in sample.beside] for sample in listing.samples] == [["s.wav"], []]
