"""The films that the demo renders: splitting finds all that joins their scenes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from videoprep.demo.footage import FILM_FPS, FILMS, render_footage
from videoprep.scenes.run import SplitFilm, split


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage") / "films"
    render_footage(folder)
    return folder


def test_they_are_as_long_as_their_scenes_less_what_transitions_share(films: Path) -> None:
    for film in FILMS:
        with av.open(films / film.name) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            assert (stream.width, stream.height) == (film.width, film.height)
            assert stream.average_rate == FILM_FPS
        shared = sum(18 for take in film.takes if take.join == "dissolve")
        assert frames == sum(round(take.seconds * FILM_FPS) for take in film.takes) - shared


def test_splitting_finds_every_scene(films: Path, tmp_path: Path) -> None:
    seen: dict[str, SplitFilm] = {}

    def keep(film: SplitFilm) -> None:
        seen[film.video] = film

    found = split(films, output=tmp_path / "dataset", on_film=keep)
    assert found.ok
    for film in FILMS:
        joins = [take.join for take in film.takes[1:]]
        assert [one.kind for one in seen[film.name].transitions] == joins
    long = sum(take.seconds > 2 for film in FILMS for take in film.takes)
    assert found.samples == long == 8
    assert set(found.left_over) == {"dissolve", "fade", "short"}


def test_those_that_are_there_stay_and_bytes_are_the_same(films: Path, tmp_path: Path) -> None:
    kept = tmp_path / FILMS[0].name
    kept.write_bytes(b"mine")
    render_footage(tmp_path)
    assert kept.read_bytes() == b"mine"
    assert (tmp_path / FILMS[1].name).read_bytes() == (films / FILMS[1].name).read_bytes()


_HASHES = """
import hashlib, sys
from pathlib import Path
from videoprep.demo.footage import render_footage
from videoprep.demo.scenes import render_dataset

folder = Path(sys.argv[1])
render_dataset(folder)
render_footage(folder)
for file in sorted(folder.rglob("*.mp4")):
    print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
"""


def test_every_process_renders_the_same_bytes(tmp_path: Path) -> None:
    def hashes(filler: int) -> list[str]:
        # The C library fills memory that it hands out: who reads what nobody wrote, reads that.
        environment = {**os.environ, "MALLOC_PERTURB_": str(filler)}
        command = [sys.executable, "-c", _HASHES, str(tmp_path / str(filler))]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    first = hashes(85)
    assert len(first) == 14
    assert hashes(170) == first
