"""`datasets:` in a ``videoprep.yaml``: what is read, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.several_datasets import write_dataset, write_file, write_group
from videoprep.errors import SpecError
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup, common_root, open_datasets


def refused(folder: Path, text: str, *, found: bool = False) -> SpecError:
    """The error of a file; with ``found`` that of finding its datasets."""
    file = write_file(folder, text)
    opens = (lambda: DatasetGroup.from_path(file).members()) if found else (
        lambda: DatasetGroup.from_path(file)
    )  # fmt: skip
    with pytest.raises(SpecError) as caught:
        opens()
    return caught.value


def test_options_beside_the_list_hold_for_each_dataset(tmp_path: Path) -> None:
    file = write_group(
        tmp_path,
        """
        profile: cogvideox
        target-fps: 8
        datasets:
          - path: people
            name: faces
            trigger_word: SKS
          - path: places
            target_fps: 4
            role: regularization
        """.replace("trigger_word", "id_token"),
    )
    people, places = DatasetGroup.from_path(file).members()
    assert (people.name, places.name) == ("faces", "places")
    assert (people.spec.target_fps, places.spec.target_fps) == (8, 4)
    assert (people.spec.id_token, places.spec.id_token) == ("SKS", None)
    assert (people.entry.role, places.entry.role) == ("train", "regularization")
    assert next(sample.caption for sample in people.spec.samples()) == "SKS people 0"
    assert common_root(DatasetGroup.from_path(file), (people, places)) == tmp_path.resolve()


def test_arguments_replace_what_the_file_sets_for_every_dataset(tmp_path: Path) -> None:
    group = DatasetGroup.from_path(write_group(tmp_path), id_token="ALL", target_fps=None)
    assert [one.spec.id_token for one in group.members()] == ["ALL", "ALL"]


def test_folder_and_file_are_the_same_group(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    for path in (file, tmp_path):
        opened = open_datasets(path)
        assert isinstance(opened, DatasetGroup)
        assert opened.names == ("people", "places")


def test_a_file_of_one_dataset_is_no_group(tmp_path: Path) -> None:
    write_dataset(tmp_path / "people", 1, grey=40)
    write_file(tmp_path, "data_root: people\n")
    assert isinstance(open_datasets(tmp_path), DatasetSpec)
    assert isinstance(open_datasets(tmp_path / "people"), DatasetSpec)


def test_one_dataset_is_named_after_a_hash(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    for path in (f"{file}#people", f"{tmp_path}#people"):
        spec = DatasetSpec.from_path(path, target_fps=4)
        assert spec.data_root == tmp_path / "people"
        assert (spec.id_token, spec.target_fps) == ("SKS", 4)
        assert spec.folder == tmp_path / "people"


def test_a_hash_in_a_folders_name_is_part_of_it(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "take #people", 1, grey=40)
    assert DatasetSpec.from_path(folder).data_root == folder


def test_an_unknown_name_after_a_hash_is_told_the_nearest(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    with pytest.raises(SpecError, match="no dataset 'peple'") as caught:
        DatasetSpec.from_path(f"{file}#peple")
    assert "did you mean 'people'?" in str(caught.value)


def test_where_one_dataset_is_wanted_the_error_says_how_to_name_it(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    with pytest.raises(SpecError, match="describes several datasets") as caught:
        DatasetSpec.from_path(tmp_path)
    assert f"{file}#people or …#places" in str(caught.value)


PEOPLE = "datasets:\n  - path: people\n    "


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("datasets: []", None, "no list of 1 to", "path: people"),
        ("datasets: people", None, "no list of 1 to", "path: people"),
        ("datasets:\n  - 7", 2, "is no dataset", "path: people"),
        ("datasets:\n  - name: a", 2, "has no 'path'", "where it is"),
        (f"{PEOPLE}wieght: 2", 3, "'wieght'", "did you mean 'weight'?"),
        (f"{PEOPLE}trigger: x", 3, "'trigger'", "'id_token'?"),
        (f"{PEOPLE}num_repeats: 2", 3, "'num_repeats'", "'repeats'?"),
        (f"{PEOPLE}zzzz: 2", 3, "'zzzz'", "the keys are path, name"),
        (f"{PEOPLE}weight: -1", 3, "'weight': expected", "correct"),
        (f"{PEOPLE}role: test", 3, "'role': expected 'train'", "correct"),
        ("datasets:\n  - people\n  - people", 3, "are called 'people'", "of its own"),
        ("datasets:\n  - path: a#b", 2, "'a#b' cannot be the name", "'name'"),
        ("datasets:\n  - path: ../people", 2, "leads out of the folder", "inside the folder"),
        (f"{PEOPLE}data_root: ../x", 2, "leads out of the folder", "inside"),
        (f"{PEOPLE}allow_outside_root: true", 2, "allow_outside_root", "yourself"),
        (f"{PEOPLE}weight: 2\n    repeats: 2", 4, "both say how often", "one"),
        (
            f"{PEOPLE}weight: 2\n  - places",
            3,
            "such as people, and these have none: places",
            "or none",
        ),
        (
            f"{PEOPLE}role: validation\n    weight: 1",
            4,
            "dataset 'people': a dataset for validation is not drawn from",
            "leave it out",
        ),
        (f"{PEOPLE}fail_on: warning", 3, "of all datasets together", "beside 'datasets'"),
        ("weight: 2\ndatasets:\n  - people", None, "'weight' is a key of each", "items"),
        ("profle: wan\ndatasets:\n  - people", None, "'profle'", "did you mean 'profile'?"),
    ],
)
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, text: str, line: int | None, message: str, remedy: str
) -> None:
    error = refused(tmp_path, text)
    assert message in error.message
    assert remedy in (error.remedy or "")
    place = str(tmp_path / "videoprep.yaml")
    assert error.where == (place if line is None else f"{place}:{line}")


def test_a_misspelt_datasets_key_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path, 1, grey=40)
    file = write_file(tmp_path, "dataset:\n  - people\n")
    with pytest.raises(SpecError, match="'dataset'") as caught:
        open_datasets(file)
    assert "did you mean 'datasets'?" in str(caught.value)


def test_a_missing_path_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_group(tmp_path)
    error = refused(tmp_path, "datasets:\n  - people\n  - path: plases\n", found=True)
    assert error.message == "dataset 'plases': no such file or folder: plases"
    assert error.where == f"{tmp_path / 'videoprep.yaml'}:3"
    assert f"did you mean {tmp_path / 'places'}?" in (error.remedy or "")


def test_a_wrong_value_is_told_with_its_dataset(tmp_path: Path) -> None:
    write_group(tmp_path)
    text = "datasets:\n  - people\n  - path: places\n    target_fps: fast\n"
    error = refused(tmp_path, text, found=True)
    assert error.message.startswith("dataset 'places': 'target_fps': expected a number")
    assert (error.where or "").startswith(f"{tmp_path / 'videoprep.yaml'}:3")


def test_a_group_in_a_group_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path / "inner")
    error = refused(tmp_path, "datasets:\n  - inner\n", found=True)
    assert error.message.startswith("dataset 'inner': describes several datasets")


def test_profiles_that_differ_are_refused(tmp_path: Path) -> None:
    write_group(tmp_path)
    error = refused(
        tmp_path,
        "datasets:\n  - path: people\n    profile: wan\n  - path: places\n    profile: cogvideox\n",
        found=True,
    )
    assert "people: wan, places: cogvideox" in error.message


def test_an_absolute_path_is_taken_if_the_file_itself_is_named(tmp_path: Path) -> None:
    elsewhere = write_dataset(tmp_path / "elsewhere" / "people", 1, grey=40)
    folder = tmp_path / "group"
    folder.mkdir()
    file = write_file(folder, f"datasets:\n  - path: {elsewhere}\n    name: people\n")
    group = DatasetGroup.from_path(file)
    members = group.members()
    assert common_root(group, members) == elsewhere.resolve()
    with pytest.raises(SpecError, match="leads out of the folder"):
        DatasetGroup.from_path(folder)


@pytest.mark.heavy  # it needs s3fs
def test_an_address_is_taken_only_if_the_file_itself_is_named(tmp_path: Path) -> None:
    write_file(tmp_path, "datasets:\n  - path: s3://bucket/people\n")
    with pytest.raises(SpecError, match="path is an address"):
        DatasetGroup.from_path(tmp_path)


def test_lists_in_the_folder_of_the_file_are_datasets(tmp_path: Path) -> None:
    write_dataset(tmp_path / "videos", 2, grey=40)
    for name, video in (("a", "00.mp4"), ("b", "01.mp4")):
        (tmp_path / f"{name}.csv").write_text(f"video,caption\nvideos/{video},one\n")
    group = DatasetGroup.from_path(write_file(tmp_path, "datasets:\n  - a.csv\n  - b.csv\n"))
    names = [[sample.name for sample in one.spec.samples()] for one in group.members()]
    assert names == [["videos/00.mp4"], ["videos/01.mp4"]]


def test_lists_are_relative_to_the_datasets_folder(tmp_path: Path) -> None:
    write_dataset(tmp_path / "people", 1, grey=40)
    (tmp_path / "people" / "mine.csv").write_text("v,c\n00.mp4,words\n")
    (tmp_path / "people" / "other.csv").write_text("video,caption\n00.mp4,others\n")
    columns = "dataset_file: mine.csv, video_column: v, caption_column: c"
    text = f"datasets:\n  - {{path: people, {columns}}}\n"
    (one,) = DatasetGroup.from_path(write_file(tmp_path, text)).members()
    assert [sample.caption for sample in one.spec.samples()] == ["words"]
    out = "datasets:\n  - {path: people, dataset_file: ../mine.csv}\n"
    assert "leads out of the folder" in refused(tmp_path, out).message


def test_a_dataset_may_have_a_file_of_its_own_which_counts_less(tmp_path: Path) -> None:
    write_dataset(tmp_path / "people", 1, grey=40)
    write_file(tmp_path / "people", "id_token: OWN\ntarget_fps: 4\n")
    file = write_file(tmp_path, "datasets:\n  - path: people\n    id_token: SKS\n")
    (one,) = DatasetGroup.from_path(file).members()
    assert (one.spec.id_token, one.spec.target_fps) == ("SKS", 4)


def test_an_option_of_one_dataset_is_refused_for_several(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    with pytest.raises(SpecError, match="`data_root` is of one dataset") as caught:
        DatasetGroup.from_path(file, data_root=tmp_path)
    assert caught.value.option == "data_root"


def test_a_link_that_leads_out_is_told_as_for_one_dataset(tmp_path: Path) -> None:
    outside = write_group(tmp_path / "outside")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "videoprep.yaml").symlink_to(outside)
    with pytest.raises(SpecError, match="the list leads outside the data root") as caught:
        open_datasets(folder)
    assert caught.value.code is not None
