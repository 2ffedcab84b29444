"""`split` is killed in the middle of a film: the films before it are not decoded again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.films import Film, Take
from videoprep.media.scene_scan import TELLS_EVERY
from videoprep.scenes.run import SAMPLES

_FILMS = {"a.mp4": (Take(50, "pan"), Take(60)), "b.mp4": (Take(TELLS_EVERY), Take(60, "pan"))}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "films"
    folder.mkdir()
    for seed, (name, takes) in enumerate(_FILMS.items()):
        Film(takes, seed=seed, width=96, height=64).write(folder / name)
    return folder


def _split(films: Path, output: Path, **environment: str) -> int:
    """Split with one core, so that one film is decoded after the other."""
    core = min(os.sched_getaffinity(0))
    state = {"XDG_STATE_HOME": str(output.parent / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "videoprep", "split", films, "-o", output],
        env={**os.environ, **state, **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode


def _decoded(log: Path) -> list[str]:
    """The films that were decoded, each as often as it was told how far it is."""
    lines = (line.split(" ", 2) for line in log.read_text().splitlines())
    return [Path(detail).name for _, point, detail in lines if point == "film.decoding"]


def test_killed_in_the_middle_of_the_second_film(films: Path, tmp_path: Path) -> None:
    log, again = tmp_path / "log", tmp_path / "again"
    killed = _split(
        films,
        tmp_path / "ds",
        VIDEOPREP_FAILPOINTS="film.decoding=kill*2@b.mp4",
        VIDEOPREP_FAILPOINTS_LOG=str(log),
    )
    assert killed == -signal.SIGKILL
    assert _decoded(log) == ["a.mp4", "b.mp4", "b.mp4"]
    assert not (tmp_path / "ds" / SAMPLES).exists()
    assert _split(films, tmp_path / "ds", VIDEOPREP_FAILPOINTS_LOG=str(again)) == 0
    assert _decoded(again) == ["b.mp4", "b.mp4"]
    undisturbed = tmp_path / "films"
    undisturbed.mkdir()
    for name in _FILMS:
        (undisturbed / name).write_bytes((films / name).read_bytes())
    assert _split(undisturbed, tmp_path / "whole") == 0
    ours, theirs = _written(tmp_path / "ds"), _written(tmp_path / "whole")
    assert ours == theirs


def _written(dataset: Path) -> dict[str, bytes]:
    """All files of a dataset, but for the one that says where the films are."""
    files = (path for path in dataset.rglob("*") if path.is_file())
    found = {str(path.relative_to(dataset)): path.read_bytes() for path in files}
    assert found.pop("videoprep.yaml")
    return found
