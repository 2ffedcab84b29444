"""Films are split at the right frames, whatever the file does with times."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.films import Film, Take, ffmpeg, stamp_on
from tests.support.numbered import trimmed
from videoprep import DatasetSpec, validate
from videoprep.errors import SpecError
from videoprep.index.placement import LeftOut, available_frames, place
from videoprep.index.policy import Policy
from videoprep.index.windows import WindowPolicy
from videoprep.media.decode import FrameChoice, FrameDecoder
from videoprep.media.probe import probe
from videoprep.media.scene_scan import TELLS_EVERY
from videoprep.scenes.ranges import Reason
from videoprep.scenes.run import LEFT_OVER, SAMPLES, SplitFilm, SplitResult, split
from videoprep.scenes.transitions import Transition

_TAKES = (
    Take(50, "pan"),
    Take(40, "still"),
    Take(45, "handheld", join="dissolve", length=12),
    Take(42, "zoom", join="fade", length=10),
    Take(48, "still", flash=20),
)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def film() -> Film:
    return Film(_TAKES, seed=7, stamped=True)


@pytest.fixture(scope="module")
def made(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film in a folder of its own."""
    folder = tmp_path_factory.mktemp("films")
    return film.write(folder / "film.mp4", Fraction(25), params="bframes=3:b-adapt=0:keyint=30")


def _split(footage: Path, output: Path, **options: Any) -> tuple[SplitResult, list[SplitFilm]]:
    films: list[SplitFilm] = []
    options = {"min_length": 1.0, **options}
    return split(footage, output=output, on_film=films.append, **options), films


def _require_right(film: Film, found: tuple[Transition, ...], shift: int = 0) -> None:
    """Every change is found, by its name, and no frame of it is taken for a scene's own."""
    assert [one.kind for one in found] == [join.how for join in film.joins]
    for one, join in zip(found, film.joins, strict=True):
        if join.how == "cut":
            assert (one.first, one.after) == (join.first - shift, join.after - shift)
        else:
            assert one.first <= join.first - shift
            assert one.after >= join.after - shift
            assert one.after - one.first <= join.after - join.first + 30


def _stamps(path: Path) -> list[int | None]:
    """The scene that each frame of a file shows, as clips are decoded."""
    info = probe(path)
    numbers = range(info.frames)
    ticks = info.timestamps.ticks.tolist() if info.timestamps.timed else None
    choice = FrameChoice(path, info.stream, numbers, ticks, info.timestamps.time_base)
    decoder = FrameDecoder()
    found = [stamp_on(picture) for picture in decoder.frames(choice)]
    decoder.close()
    return found


def _frames_of(dataset: Path, rate: float | None) -> list[list[int]]:
    """The frames that each range gives, taken one after the other as far as it goes."""
    options: dict[str, Any] = {"reshape": "center-crop", "caption_fallback": "a film"}
    spec = DatasetSpec.from_path(dataset, target_fps=rate, **options)
    policy = Policy.of(spec)
    found = []
    for sample in spec.samples():
        media = probe(sample.path)
        available = available_frames(media, policy, sample.extras)
        lengths = replace(policy, windows=WindowPolicy("slide", gap=0.001), frame_counts=(4,))
        clips = place(media, lengths, sample.extras)
        assert not isinstance(clips, LeftOut)
        frames = sorted({int(n) for clip in clips for n in clip.frame_indices})
        assert available >= 4
        found.append(frames)
    return found


def _require_clean(dataset: Path, path: Path) -> None:
    """No clip shows anything but its own scene, at whatever rate, and all of the scene."""
    stamps = _stamps(path)
    for rate in (None, 8, 16, 30, 60):
        for frames in _frames_of(dataset, rate):
            seen = {stamps[number] for number in frames}
            assert len(seen) == 1, (rate, frames[0], frames[-1], seen)
            assert seen != {None}


def test_each_cut_dissolve_and_fade_is_found(film: Film, made: Path, tmp_path: Path) -> None:
    result, (found,) = _split(made, tmp_path / "ds")
    _require_right(film, found.transitions)
    assert result.ok
    assert result.samples == 5
    _require_clean(tmp_path / "ds", made)
    # A scene beside a cut keeps all of its frames.
    first, second = [piece for piece in found.pieces if piece.reason is None][:2]
    assert (first.first, first.after, second.first) == (0, 50, 50)


def test_ranges_of_a_constant_rate_are_exact(made: Path, tmp_path: Path) -> None:
    _, (found,) = _split(made, tmp_path / "ds")
    planned = [(p.first, p.after) for p in found.pieces if p.reason is None]
    assert [(frames[0], frames[-1] + 1) for frames in _frames_of(tmp_path / "ds", None)] == planned


def _variable(film: Film, folder: Path) -> Path:
    rng = np.random.default_rng(1)
    gaps = rng.choice([17, 33, 40, 50, 120], film.frames)
    gaps[[join.first - 1 for join in film.joins]] = 400  # a cut after a frame that is seen for long
    times = np.concatenate([[0], np.cumsum(gaps)[:-1]]).tolist()
    return film.write(folder / "film.mkv", params="bframes=2", times=times)


def _open_gops(film: Film, folder: Path) -> Path:
    params = "bframes=3:b-pyramid=normal:open-gop=1:keyint=24:min-keyint=24:scenecut=0"
    return film.write(folder / "film.mp4", Fraction(30000, 1001), params=params)


def _late(film: Film, folder: Path) -> Path:
    """The picture begins three quarters of a second after the sound."""
    plain = film.write(folder.parent / "plain.mp4", Fraction(25))
    target = folder / "film.mkv"
    ffmpeg(
        f"-itsoffset 0.75 -i {plain} -f lavfi -i sine -map 0:v -map 1:a -c:v copy -t 12 {target}"
    )
    return target


def _transport(film: Film, folder: Path) -> Path:
    return film.write(folder / "film.ts", Fraction(25))


@pytest.mark.parametrize("make", [_variable, _open_gops, _late, _transport])
def test_no_frame_of_another_scene_gets_in(
    film: Film, tmp_path: Path, make: Callable[[Film, Path], Path]
) -> None:
    (tmp_path / "films").mkdir()
    path = make(film, tmp_path / "films")
    result, (found,) = _split(path, tmp_path / "ds")
    assert not result.failed
    _require_right(film, found.transitions)
    _require_clean(tmp_path / "ds", path)


def test_an_edit_list_moves_the_cuts(film: Film, made: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    path = trimmed(made, 0.6, tmp_path / "films" / "film.mp4")
    info = probe(path)
    assert info.packets > info.frames  # the edit list hides some
    shift = film.frames - info.frames
    result, (found,) = _split(path, tmp_path / "ds")
    _require_right(film, found.transitions, shift)
    _require_clean(tmp_path / "ds", path)
    assert result.samples == 5


# What the rest is called


def test_all_seconds_are_accounted_for(made: Path, tmp_path: Path) -> None:
    result, (found,) = _split(made, tmp_path / "ds", min_length=1.75, max_length=1.8, trim=0.05)
    rows = list(csv.DictReader((tmp_path / "ds/split" / LEFT_OVER).open()))
    assert {row["reason"] for row in rows} == {
        "dissolve",
        "fade",
        "short",
        "trimmed",
        "remainder",
    } - ({"remainder"} if "remainder" not in result.left_over else set())
    left = sum(float(row["seconds"]) for row in rows)
    assert result.sample_seconds + left == pytest.approx(result.seconds, abs=0.01)
    assert result.seconds == pytest.approx(probe(made).duration)
    assert sum(result.left_over.values()) == pytest.approx(left, abs=0.01)
    frames = sum(int(row["frames"]) for row in rows)
    kept = sum(p.after - p.first for p in found.pieces if p.reason is None)
    assert frames + kept == probe(made).frames


@pytest.mark.parametrize(
    ("long", "clips", "reason"), [("stride", 2, None), ("drop", 0, "long"), ("keep", 1, None)]
)
def test_long_scenes(long: str, clips: int, reason: str | None, tmp_path: Path) -> None:
    film = Film([Take(96, "pan")], seed=3)
    path = film.write(tmp_path / "film.mp4", Fraction(24))
    result, (found,) = _split(path, tmp_path / "ds", max_length=2, long=long)
    assert result.samples == clips
    if reason is not None:
        assert [piece.reason for piece in found.pieces] == [reason]
        assert not result.ok
    else:
        assert result.sample_seconds == pytest.approx(4)


def test_a_film_without_a_cut_is_one_range(tmp_path: Path) -> None:
    path = Film([Take(80, "handheld")], seed=5).write(tmp_path / "film.mp4")
    result, (found,) = _split(path, tmp_path / "ds")
    assert found.transitions == ()
    assert [(p.first, p.after, p.reason) for p in found.pieces] == [(0, 80, None)]
    assert result.ok


def test_a_black_film_gives_no_range(tmp_path: Path) -> None:
    ffmpeg(f"-f lavfi -i color=black:size=160x96:rate=25:duration=4 {tmp_path / 'film.mp4'}")
    result, (found,) = _split(tmp_path / "film.mp4", tmp_path / "ds")
    assert found.transitions == ()
    assert result.left_over == {"one colour": pytest.approx(4)}
    assert not result.ok


def test_damage_in_the_middle_costs_what_is_damaged(film: Film, tmp_path: Path) -> None:
    path = film.write(tmp_path / "film.mkv", Fraction(25), params="keyint=10:scenecut=0")
    data = bytearray(path.read_bytes())
    at = len(data) // 8
    data[at : at + 3000] = bytes(3000)
    path.write_bytes(data)
    result, (found,) = _split(path, tmp_path / "ds", min_length=0.5)
    assert result.left_over["damaged"] > 0
    assert result.samples >= 5
    assert found.pieces[-1].after == probe(path).frames
    taken = [p for p in found.pieces if p.reason == "damaged"]
    assert sum(p.after - p.first for p in taken) < 60


def test_frames_of_another_size_are_left_out(tmp_path: Path) -> None:
    """As recorders write them that are turned while they record."""
    small = Film([Take(60, "pan")], seed=1).write(tmp_path / "a.ts", Fraction(25))
    large = Film([Take(60, "pan")], seed=2, width=480, height=272)
    large.write(tmp_path / "b.ts", Fraction(25))
    (tmp_path / "films").mkdir()
    both = tmp_path / "films" / "film.ts"
    both.write_bytes(small.read_bytes() + (tmp_path / "b.ts").read_bytes())
    result, films = _split(both, tmp_path / "ds")
    if result.failed:  # its times begin anew, which the planner refuses
        assert result.failed[0].code.startswith("VP1")
        return
    assert result.left_over["other format"] > 0
    assert films[0].pieces[0].reason is None


def test_what_cannot_be_used_is_listed(made: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    (films / "good.mp4").write_bytes(made.read_bytes())
    (films / "broken.mp4").write_bytes(made.read_bytes()[:5000])
    (films / "page.mp4").write_text("<html>not found")
    (films / "notes.txt").write_text("of the day")
    (films / "gone.mp4").symlink_to(films / "nowhere.mp4")
    (films / "linked.mp4").symlink_to(made)
    result, found = _split(films, tmp_path / "ds")
    assert [one.video for one in result.failed] == ["broken.mp4", "linked.mp4", "page.mp4"]
    assert [one.video for one in found] == ["good.mp4"]
    assert result.passed_over == {"files that are not called like videos": 1, "broken links": 1}
    assert not result.ok
    rows = list(csv.DictReader((tmp_path / "ds/split" / LEFT_OVER).open()))
    listed = [row["video"] for row in rows if row["reason"] == "failed"]
    assert listed == ["broken.mp4", "linked.mp4", "page.mp4"]


# The dataset


def test_the_other_commands_find_the_films(made: Path, tmp_path: Path) -> None:
    """Also if they lie elsewhere: this user has named them."""
    _split(made, tmp_path / "ds")
    report = validate(tmp_path / "ds", caption_fallback="a film", reshape="center-crop")
    assert report.ok
    assert report.total == 5


def test_a_dataset_of_a_stranger_does_not_lead_elsewhere(made: Path, tmp_path: Path) -> None:
    _split(made, tmp_path / "ds")
    (tmp_path / "ds").rename(tmp_path / "sent")
    with pytest.raises(SpecError, match="leads out of the folder") as caught:
        DatasetSpec.from_path(tmp_path / "sent")
    assert "copied or moved" in caught.value.message
    assert f"data_root={str(made.parent)!r}" in str(caught.value.remedy)
    assert "name this file itself" in str(caught.value)
    for spec in (
        DatasetSpec.from_path(tmp_path / "sent" / "videoprep.yaml"),
        DatasetSpec.from_path(tmp_path / "sent", data_root=made.parent),
    ):
        assert spec.data_root == made.parent
        assert spec.listing().total == 5


def test_films_beneath_the_dataset_move_with_it(made: Path, tmp_path: Path) -> None:
    films = tmp_path / "ds" / "films"
    films.mkdir(parents=True)
    (films / "film.mp4").write_bytes(made.read_bytes())
    result, _ = _split(films, tmp_path / "ds")
    assert "data_root: films" in (tmp_path / "ds/videoprep.yaml").read_text()
    (tmp_path / "ds").rename(tmp_path / "moved")
    listing = DatasetSpec.from_path(tmp_path / "moved").listing()
    assert listing.total == result.samples


def test_another_threshold_decodes_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _split(made, tmp_path / "ds")
    before = (tmp_path / "ds" / SAMPLES).read_bytes()

    def refuse(*_: object) -> None:
        raise AssertionError("a worker is started")

    monkeypatch.setattr("videoprep.workers.pool.Workers.start", refuse)
    _split(made, tmp_path / "same")
    assert (tmp_path / "same" / SAMPLES).read_bytes() == before
    result, _ = _split(made, tmp_path / "ds", threshold=100, dissolve_threshold=2)
    assert set(result.transitions) == {"fade"}
    assert (tmp_path / "ds" / SAMPLES).read_bytes() != before


def test_a_list_that_was_edited_is_kept(made: Path, tmp_path: Path) -> None:
    _split(made, tmp_path / "ds")
    clips = tmp_path / "ds" / SAMPLES
    edited = clips.read_text().replace(",,", ",a film,")
    clips.write_text(edited)
    with pytest.raises(SpecError, match="was changed since it was written"):
        _split(made, tmp_path / "ds")
    assert clips.read_text() == edited
    _split(made, tmp_path / "ds", overwrite=True)
    assert clips.with_name("samples.csv.bak").read_text() == edited
    assert ",a film," not in clips.read_text()


def test_settings_of_the_user_stay(made: Path, tmp_path: Path) -> None:
    _split(made, tmp_path / "ds")
    spec = tmp_path / "ds/videoprep.yaml"
    spec.write_text(spec.read_text() + "reshape: center-crop\n")
    _split(made, tmp_path / "ds", threshold=3)
    assert "reshape: center-crop" in spec.read_text()


def test_a_dataset_of_something_else_is_not_replaced(made: Path, tmp_path: Path) -> None:
    (tmp_path / "ds").mkdir()
    (tmp_path / "ds/videoprep.yaml").write_text("dataset_file: mine.csv\n")
    with pytest.raises(SpecError, match="describes another dataset"):
        _split(made, tmp_path / "ds")


def test_scores_are_written_for_every_frame(film: Film, made: Path, tmp_path: Path) -> None:
    split(made, output=tmp_path / "ds", stats=tmp_path / "stats.csv")
    rows = list(csv.DictReader((tmp_path / "stats.csv").open()))
    assert len(rows) == film.frames
    cut = film.joins[0].first
    assert max(rows, key=lambda row: float(row["cut"]) * float(row["difference"]))["frame"] in {
        str(join.first) for join in film.joins if join.how == "cut"
    }
    assert float(rows[cut]["time"]) == pytest.approx(cut / 25)


@pytest.mark.parametrize("name", ["threshold", "min_length", "max_length", "long"])
def test_a_wrong_option_is_named(name: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=name) as caught:
        split(made, output=tmp_path / "ds", **{name: -1})
    assert getattr(caught.value, "option", None) == name


def test_no_films_at_all(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no videos"):
        split(tmp_path, output=tmp_path / "ds")
    with pytest.raises(SpecError, match="no such file"):
        split(tmp_path / "none", output=tmp_path / "ds")


def test_the_seconds_that_are_shown_add_up() -> None:
    left: dict[Reason, float] = {"dissolve": 0.96, "fade": 2.77, "short": 0.98}
    result = SplitResult(Path("ds"), seconds=26.74, sample_seconds=22.03, left_over=left)
    kept, shown = result.shown_seconds()
    assert shown == [("fade", 2.8), ("short", 1.0), ("dissolve", 0.9)]
    assert f"{kept + sum(seconds for _, seconds in shown):.1f}" == f"{result.seconds:.1f}"


def test_it_is_told_how_far_a_film_is(tmp_path: Path) -> None:
    """A film of two hours is one film for long."""
    film = Film((Take(2 * TELLS_EVERY), Take(100, "pan")), seed=2, width=96, height=64)
    path = film.write(tmp_path / "film.mp4", Fraction(25))
    told: list[tuple[str, int, int]] = []
    split(path, output=tmp_path / "ds", on_progress=lambda *what: told.append(what))
    seconds = [(done, total) for what, done, total in told if what == "seconds of film"]
    assert seconds == [(0, 24), (10, 24), (20, 24), (24, 24)]
    assert [one for one in told if one[0] == "split"] == [("split", 1, 1)]


def test_the_result_is_json(made: Path, tmp_path: Path) -> None:
    result, _ = _split(made, tmp_path / "ds")
    assert json.loads(json.dumps(result.to_json()))["samples"] == 5
