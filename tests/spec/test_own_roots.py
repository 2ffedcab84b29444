"""Datasets of films that lie elsewhere: this user's own are found, a stranger's are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoprep.errors import SpecError
from videoprep.spec.own_roots import is_own_root, remember_root
from videoprep.spec.spec_file import read_spec_file


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _dataset(folder: Path, root: Path) -> Path:
    folder.mkdir()
    root.mkdir(exist_ok=True)
    spec = folder / "videoprep.yaml"
    spec.write_text(f"data_root: {root}\ndataset_file: list.csv\n")
    (folder / "list.csv").write_text("video,caption\na.mp4,b\n")
    return spec


def test_what_was_noted_holds_for_this_dataset_and_these_films(tmp_path: Path) -> None:
    spec = _dataset(tmp_path / "ds", tmp_path / "films")
    with pytest.raises(SpecError, match="leads out of the folder"):
        read_spec_file(spec)
    assert remember_root(tmp_path / "ds", tmp_path / "films")
    assert read_spec_file(spec)["data_root"] == tmp_path / "films"
    assert not is_own_root(tmp_path / "ds", str(tmp_path / "secrets"))
    other = _dataset(tmp_path / "other", tmp_path / "films")
    with pytest.raises(SpecError, match="leads out of the folder"):
        read_spec_file(other)


def test_only_the_data_root_may_lead_elsewhere(tmp_path: Path) -> None:
    spec = _dataset(tmp_path / "ds", tmp_path / "films")
    remember_root(tmp_path / "ds", tmp_path / "films")
    spec.write_text(f"data_root: {tmp_path / 'films'}\ndataset_file: {tmp_path / 'films/a.csv'}\n")
    with pytest.raises(SpecError, match="dataset_file leads out"):
        read_spec_file(spec)


def test_a_folder_that_takes_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not remember_root(tmp_path, tmp_path)
    assert not is_own_root(tmp_path, str(tmp_path))
