"""What lies at a path, and what is nearest where nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoprep.spec import path_hints as place
from videoprep.spec.path_hints import kind_of, nowhere, similar
from videoprep.spec.readers.line_files import PROMPTS, VIDEOS
from videoprep.spec.spec_file import NAME
from videoprep.store.layout import INFO


@pytest.mark.heavy
def test_things_are_told_by_the_names_that_their_makers_give_them() -> None:
    """They are written down twice: what tells them apart lies below all that makes them."""
    from videoprep.training.weights import WEIGHTS_NAME

    signs = place._SIGNS
    assert signs["store"] == (INFO,)
    assert signs["run"] == (WEIGHTS_NAME,)
    assert signs["dataset"] == (NAME, PROMPTS, VIDEOS)


def test_kinds(demo_store: Path, demo_dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    assert kind_of(demo_store) == "store"
    assert kind_of(demo_store / "index.parquet") == "index"
    assert kind_of(demo_dataset) == "dataset"
    assert kind_of(tiny_model) == "model"
    assert kind_of(tmp_path) is None
    (tmp_path / "list.CSV").touch()
    assert kind_of(tmp_path) == kind_of(tmp_path / "list.CSV") == "dataset"
    assert kind_of(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("datset", "dataset"),
        ("Dataset", "dataset"),
        ("datset/vidoes/one.mp4", "dataset/videos/one.mp4"),
        ("dataset/videos/another.mov", None),
        ("something else", None),
        ("dataset\0", "dataset"),
        ("x" * 5000, None),
        ("dataset/videos/one.mp4/more", None),
    ],
)
def test_what_is_nearest(
    asked: str, meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset/videos").mkdir(parents=True)
    (tmp_path / "dataset/videos/one.mp4").touch()
    assert similar(asked) == (None if meant is None else Path(meant))
    told = nowhere(asked, "check the path")
    assert told == ("check the path" if meant is None else f"did you mean {meant}?")
