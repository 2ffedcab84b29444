"""`videoprep split` as a user meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.support.films import Film, Take

_TAKES = (Take(50, "pan"), Take(20), Take(60, "handheld"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split") / "films"
    folder.mkdir()
    Film(_TAKES, seed=4).write(folder / "film.mp4")
    return folder


def test_from_films_to_a_dataset(run_cli: Cli, films: Path, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = run_cli("split", films, "-o", "ds", "--page", "cuts.html", **state)
    assert done.returncode == 0, done.stderr
    assert "1 film, 5.4 s · 2 cuts" in done.stdout
    assert "next: videoprep caption ds --model MODEL" in done.stdout
    rows = list(csv.DictReader((tmp_path / "ds/samples.csv").open()))
    ranges = [(row["start"], row["end"]) for row in rows]
    assert ranges == [("0", "2.063"), ("2.916667", "5.416667")]
    assert "2 samples" in (tmp_path / "cuts.html").read_text()
    options = ("--caption-fallback", "a film", "--reshape", "center-crop")
    checked = run_cli("validate", "ds", *options, **state)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 samples = 2 clean" in checked.stdout


def test_for_machines(run_cli: Cli, films: Path, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = run_cli("split", films, "-o", "ds", "--output-format", "json", **state)
    told = json.loads(done.stdout)
    assert (told["films"], told["samples"], told["ok"]) == (1, 2, True)
    assert told["sample_seconds"] + sum(told["left_over"].values()) == pytest.approx(
        told["seconds"]
    )


def test_what_fails_is_named(run_cli: Cli, films: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films/film.mp4").write_bytes((films / "film.mp4").read_bytes())
    (tmp_path / "films/page.mp4").write_text("<html>not found")
    done = run_cli("split", "films", "-o", "films")
    assert done.returncode == 1
    assert "failed page.mp4: VP103 " in done.stdout
    assert "next: videoprep caption films --model MODEL" in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--max-length", "1", "no range is between --min-length 2 and --max-length 1"),
        ("--min-length", "20", "no range is between --min-length 20 and --max-length 15"),
        ("--long", "cut", "--long"),
        ("--threshold", "-1", "--threshold"),
    ],
)
def test_wrong_use(run_cli: Cli, films: Path, option: str, value: str, said: str) -> None:
    done = run_cli("split", films, "-o", "ds", option, value)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--page", "films/a.mp4", "does not end in .html"),
        ("--stats", "films/a.mp4", "does not end in .csv"),
        ("--stats", "ds/samples.csv", "is the list of the dataset"),
        ("--page", "index.html", "exists and is no page of videoprep"),
        ("--stats", "own.csv", "exists and is no table of scores"),
    ],
)
def test_nothing_that_is_needed_is_written_over(
    option: str, name: str, said: str, run_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films/a.mp4").write_bytes(b"a film")
    (tmp_path / "index.html").write_text("<!DOCTYPE html><title>My own page</title>")
    (tmp_path / "own.csv").write_text("video,caption\na.mp4,A cat.\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    done = run_cli("split", tmp_path / "films", "-o", tmp_path / "ds", option, tmp_path / name)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert {path: path.read_bytes() for path in before} == before


def test_a_split_without_a_range_leaves_the_list_as_it_is(
    run_cli: Cli, films: Path, tmp_path: Path
) -> None:
    run_cli("split", films, "-o", "ds")
    before = {path: path.read_bytes() for path in (tmp_path / "ds").rglob("*") if path.is_file()}
    done = run_cli("split", films, "-o", "ds", "--min-length", "10")
    assert done.returncode == 1
    assert "the scene is shorter than the minimum" in done.stdout
    assert "the list that is there was left as it is; choose another --min-length" in done.stdout
    assert "written: ds" not in done.stdout
    after = {path: path.read_bytes() for path in (tmp_path / "ds").rglob("*") if path.is_file()}
    assert after == before


def test_a_minimum_alone_is_enough_where_long_scenes_are_kept(
    run_cli: Cli, films: Path, tmp_path: Path
) -> None:
    done = run_cli("split", films, "-o", "ds", "--min-length", "20", "--long", "keep")
    assert done.returncode == 1, done.stderr
    assert "no range is between" not in done.stderr
