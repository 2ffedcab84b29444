"""What is measured of frames to find scenes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.support.films import Film, Take
from videoprep.errors import MediaError
from videoprep.fs.fact_cache import FactCache, key_of
from videoprep.media.inspect import inspect_all, inspect_scenes
from videoprep.media.probe import probe
from videoprep.media.scene_scan import DAMAGED, INTACT, MISSING, SPANS, scan_scenes


def test_numbers_go_by_the_time_stamps(tmp_path: Path) -> None:
    film = Film((Take(30, "pan"), Take(30)), seed=1)
    path = film.write(tmp_path / "film.mp4")
    scores = scan_scenes(path)
    assert len(scores.state) == probe(path).frames == film.frames
    assert (scores.state == INTACT).all()
    assert int(scores.unlike.argmax()) == int(scores.palette.argmax()) == 30
    assert scores.step == 1


def test_motion_of_the_camera_is_compensated_for(tmp_path: Path) -> None:
    scores = scan_scenes(Film((Take(40, "handheld", things=0),), seed=3).write(tmp_path / "a.mp4"))
    assert scores.change[1:].max() > 10  # pixels differ
    assert np.percentile(scores.unlike[1:], 90) < 80  # what they show does not


def test_a_dissolve_mixes_what_is_around_it(tmp_path: Path) -> None:
    film = Film((Take(40), Take(40, join="dissolve", length=12)), seed=5)
    scores = scan_scenes(film.write(tmp_path / "film.mp4"))
    middle, column = 46, SPANS.index(8)
    assert scores.blend[middle, column] < 110
    assert scores.wash_blend[middle, column] < 60


def test_a_flash_is_followed_by_the_same_picture(tmp_path: Path) -> None:
    scores = scan_scenes(Film((Take(50, flash=20),), seed=2).write(tmp_path / "film.mp4"))
    assert int(scores.residue.argmax()) in range(20, 25)
    assert scores.apart[20] < 80
    assert 1 <= scores.lasts[20] <= 8


def test_steps_are_as_long_at_high_rates(tmp_path: Path) -> None:
    path = Film((Take(70, "pan"),), seed=2).write(tmp_path / "film.mp4", Fraction(60))
    scores = scan_scenes(path)
    assert scores.step == 2
    assert (scores.span[30:40:2] == scores.span[31:41:2]).all()


def test_what_does_not_decode_is_missing_or_damaged(tmp_path: Path) -> None:
    film = Film((Take(120, "pan"),), seed=6)
    path = film.write(tmp_path / "film.mkv", params="keyint=20:scenecut=0")
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 4000] = bytes(4000)
    path.write_bytes(data)
    scores = scan_scenes(path)
    wrong = np.isin(scores.state, (DAMAGED, MISSING))
    assert 0 < np.count_nonzero(wrong) < 90
    assert scores.complaint
    assert scores.state[0] == INTACT


def test_other_looks_do_not_read_the_scores(tmp_path: Path) -> None:
    """They are large; and why they could not be made is no reason to refuse a film."""
    path = Film((Take(20),), seed=1).write(tmp_path / "film.mp4")
    (found,) = inspect_scenes(tmp_path, [path])
    assert found.scenes is not None
    key = key_of(path)
    with FactCache(tmp_path) as cache:
        facts = cache.get([key], {"probe"})
        assert [set(one) for _, one in facts.values()] == [{"probe"}]
        assert set(cache.of_contents(found.fingerprint, {"scenes"})) == {"scenes"}
        error = '{"error": {"message": "no", "code": "VP107", "remedy": ""}}'
        cache.put(key, found.fingerprint, {"scenes": error})
    (again,) = inspect_all(tmp_path, [path])
    assert again.error is None
    (refused,) = inspect_scenes(tmp_path, [path])
    assert isinstance(refused.error, MediaError)


@pytest.mark.parametrize("text", ["{}", '{"value": {"frames": 20, "spans": []}}', "[]"])
def test_scores_that_are_spoiled_are_made_anew(text: str, tmp_path: Path) -> None:
    path = Film((Take(20),), seed=1).write(tmp_path / "film.mp4")
    (found,) = inspect_scenes(tmp_path, [path])
    with FactCache(tmp_path) as cache:
        cache.put(key_of(path), found.fingerprint, {"scenes": text})
    (again,) = inspect_scenes(tmp_path, [path])
    assert again.scenes is not None
    assert len(again.scenes.state) == 20
