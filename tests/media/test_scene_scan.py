"""What is measured of frames to find scenes."""

from __future__ import annotations

import base64
import json
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.films import Film, Take, ffmpeg
from videoprep.demo.scenes import write_pictures
from videoprep.errors import MediaError
from videoprep.fs.fact_cache import FactCache, key_of
from videoprep.media.frame_scan import scan_frames
from videoprep.media.inspect import inspect_all, inspect_scenes
from videoprep.media.probe import probe
from videoprep.media.scene_scan import (
    DAMAGED,
    INTACT,
    MISSING,
    SPANS,
    SceneScores,
    scan_scenes,
)
from videoprep.media.shot_scores import ShotScores
from videoprep.scenes.transitions import Sensitivity, find_transitions


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


def test_what_the_container_says_of_the_end_is_told(tmp_path: Path) -> None:
    """Reading ends there in an error, which alone says much less."""
    whole, cut = tmp_path / "whole.rm", tmp_path / "cut.rm"
    film = Film((Take(60, "pan"),), seed=6, width=160, height=96).write(tmp_path / "film.mp4")
    ffmpeg(f"-i {film} {whole}")
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    complaint = scan_frames(cut).complaint  # `scan_scenes` probes it first, and refuses it
    assert complaint is not None
    assert complaint.startswith("Truncating packet")


def test_a_flash_may_last_long_at_very_high_rates(tmp_path: Path) -> None:
    """Eight steps are 264 frames at 1000 frames a second."""
    (still,) = Film((Take(1),), seed=1, width=128, height=72).pictures()
    lit = np.clip(still * 0.3 + 170, 0, 255).astype(np.uint8)
    shown = [*[still] * 10, *[lit] * 259, *[still] * 31]
    path = tmp_path / "film.mp4"
    write_pictures(path, shown, (128, 72), 1000)
    scores = scan_scenes(path)
    assert scores.step == 33
    assert 259 <= scores.lasts[10] < 264
    again = SceneScores.from_json(json.loads(json.dumps(scores.to_json())))
    for name in SceneScores.__slots__:
        assert np.array_equal(getattr(again, name), getattr(scores, name))
    assert not find_transitions(scores, Sensitivity())


def test_scores_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """They had one byte a frame."""
    scores = scan_scenes(Film((Take(50, flash=20),), seed=2).write(tmp_path / "film.mp4"))
    data = scores.to_json()
    data["lasts"] = base64.b64encode(zlib.compress(scores.lasts.astype(np.uint8).tobytes()))
    data["lasts"] = data["lasts"].decode()
    again = SceneScores.from_json(data)
    assert again.lasts.dtype == np.uint16
    assert np.array_equal(again.lasts, scores.lasts)
    assert scores.lasts.max() > 0


_SHORT = base64.b64encode(zlib.compress(b"12")).decode()
_WRONG = (None, -5, "5", True, 2.0, [], {}, "AAAA", "ä", _SHORT)


def test_what_is_no_scores_is_a_value_error(tmp_path: Path) -> None:
    scenes = scan_scenes(Film((Take(3),), seed=1).write(tmp_path / "film.mp4")).to_json()
    scores = np.arange(3, dtype=np.uint8)
    shots = ShotScores("weights", scores, scores).to_json()
    reads: list[tuple[Any, dict[str, Any]]] = [(SceneScores, scenes), (ShotScores, shots)]
    for kind, good in reads:
        kind.from_json(good)
        for name, right in good.items():
            is_text = name in ("complaint", "differs", "weights")
            for wrong in _WRONG:
                taken = (type(wrong), wrong) == (type(right), right) or (
                    is_text and isinstance(wrong, str)
                )
                assert _is_refused(kind, {**good, name: wrong}) != taken, (name, wrong)
            lacking = {key: value for key, value in good.items() if key != name}
            assert _is_refused(kind, lacking) != (name in ("complaint", "differs")), name
        for no_scores in (None, [], "", 5, {}):
            assert _is_refused(kind, no_scores)


def _is_refused(kind: Any, data: Any) -> bool:
    try:
        kind.from_json(data)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "text", ["{}", '{"value": {"frames": 20, "spans": []}}', "[]", "of another film"]
)
def test_scores_that_are_spoiled_are_made_anew(text: str, tmp_path: Path) -> None:
    path = Film((Take(20),), seed=1).write(tmp_path / "film.mp4")
    (found,) = inspect_scenes(tmp_path, [path])
    if text == "of another film":
        other = scan_scenes(Film((Take(10),), seed=1).write(tmp_path / "other.mp4"))
        text = json.dumps({"value": other.to_json()})
    with FactCache(tmp_path) as cache:
        cache.put(key_of(path), found.fingerprint, {"scenes": text})
    (again,) = inspect_scenes(tmp_path, [path])
    assert again.scenes is not None
    assert len(again.scenes.state) == 20
