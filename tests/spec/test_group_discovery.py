"""`init` on a folder of datasets: what is found, and what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.several_datasets import write_dataset
from videoprep.errors import SpecError
from videoprep.index.scaffold import scaffold
from videoprep.spec.dataset_group import DatasetGroup
from videoprep.spec.group_discovery import discover_group, role_by_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two datasets, each with a list of its own, that is none itself."""
    for name, grey in (("people", 40), ("val", 120)):
        videos = write_dataset(tmp_path / name / "videos", 2, grey=grey)
        for caption in videos.glob("*.txt"):
            caption.unlink()
        rows = "".join(f"videos/{number:02d}.mp4,{name} {number}\n" for number in range(2))
        (tmp_path / name / "list.csv").write_text(f"video,caption\n{rows}")
    return tmp_path


def test_each_folder_is_a_dataset(folder: Path) -> None:
    made = scaffold(folder)
    assert made.found.what == "2 datasets, in the folders people, val"
    assert "val is taken for validation, by its name." in made.found.notes
    made.write()
    written = yaml.safe_load((folder / "videoprep.yaml").read_text())
    assert [one["path"] for one in written["datasets"]] == ["people", "val"]
    people, held = DatasetGroup.from_path(folder).members()
    assert (people.entry.role, held.entry.role) == ("train", "validation")
    assert [sample.caption for sample in held.spec.samples()] == ["val 0", "val 1"]


def test_what_the_videos_need_is_proposed_for_all(folder: Path) -> None:
    made = scaffold(folder, profile="wan", accept=True)
    assert made.fields["profile"] == "wan"
    assert made.fields["target_fps"] == 16
    made.write()
    assert [one.spec.target_fps for one in DatasetGroup.from_path(folder).members()] == [16, 16]


def test_a_file_of_several_is_not_rewritten(folder: Path) -> None:
    scaffold(folder).write()
    before = (folder / "videoprep.yaml").read_bytes()
    with pytest.raises(SpecError, match="describes several datasets, and is not rewritten"):
        scaffold(folder)
    again = scaffold(folder, overwrite=True)
    assert again.text.encode() == before


def test_elsewhere_it_is_not_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="into the folder that holds them"):
        scaffold(folder, output=tmp_path / "other" / "videoprep.yaml")


def test_a_single_dataset_is_not_several(tmp_path: Path) -> None:
    write_dataset(tmp_path / "people", 1, grey=40)
    (tmp_path / "notes").mkdir()
    assert discover_group(tmp_path) is None


def test_folders_that_are_read_as_one_could_be_several(tmp_path: Path) -> None:
    for name, grey in (("people", 40), ("places", 120)):
        write_dataset(tmp_path / name, 1, grey=grey)
    made = scaffold(tmp_path)
    assert made.fields == {"format": "caption-files"}
    (note,) = made.found.notes
    assert note.startswith("Its folders (people, places) are read as one dataset.")
    write_dataset(tmp_path, 1, grey=200)
    assert not scaffold(tmp_path).found.notes


def test_a_link_is_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write_dataset(tmp_path_factory.mktemp("outside") / "more", 1, grey=200)
    (folder / "more").symlink_to(outside)
    found = discover_group(folder)
    assert found is not None
    assert [one["path"] for one in found.fields["datasets"]] == ["people", "val"]


def test_folders_are_known_by_their_names() -> None:
    for name in ("val", "valid", "validation", "Test", "held_out", "eval"):
        assert role_by_name(name) == "validation"
    for name in ("reg", "regularisation", "Regularization", "prior"):
        assert role_by_name(name) == "regularization"
    for name in ("train", "values", "contest", "regular"):
        assert role_by_name(name) == "train"
