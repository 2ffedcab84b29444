"""Hugging Face folders: a metadata table in each, and splits by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.readers.reading import codes, made, pairs, read
from videoprep.errors import SpecError

TRAIN = {"train/metadata.csv": "file_name,caption\nx.mp4,one\n", "train/x.mp4": "v"}


def test_folders_become_splits(tmp_path: Path) -> None:
    test = '{"file_name": "y.mp4", "text": "two"}\n'
    listing = read(
        made(tmp_path, {**TRAIN, "data/test/metadata.jsonl": test, "data/test/y.mp4": "v"})
    )
    assert pairs(listing) == {"data/test/y.mp4": ("two",), "train/x.mp4": ("one",)}
    assert [sample.extras.split for sample in listing.samples] == ["test", "train"]
    assert [sample.number for sample in listing.samples] == [1, 2]


def test_a_table_in_the_folder_itself(tmp_path: Path) -> None:
    made(tmp_path, {"metadata.csv": "file_name,caption\na.mp4,one\n"})
    assert pairs(read(tmp_path)) == {"a.mp4": ("one",)}


def test_a_table_in_the_folder_and_in_its_folders_is_not_chosen_from(tmp_path: Path) -> None:
    made(tmp_path, {**TRAIN, "metadata.csv": "file_name,caption\na.mp4,one\n"})
    with pytest.raises(SpecError, match=r"several tables .*train/metadata\.csv"):
        read(tmp_path)
    assert list(pairs(read(tmp_path, format="metadata-folders"))) == ["train/x.mp4"]
    assert list(pairs(read(tmp_path, dataset_file="metadata.csv"))) == ["a.mp4"]


def test_several_tables_of_one_folder_are_not_chosen_from(tmp_path: Path) -> None:
    made(tmp_path, {**TRAIN, "train/metadata.jsonl": '{"file_name": "x.mp4", "caption": "x"}'})
    with pytest.raises(SpecError, match="several tables could be the list of train"):
        read(tmp_path)


def test_a_column_of_splits_wins_and_columns_may_differ(tmp_path: Path) -> None:
    rows = "file_name,text,split,start_frame,end_frame\ny.mp4,two,holdout,0,8\ny.mp4,three,,8,16\n"
    listing = read(made(tmp_path, {**TRAIN, "test/metadata.csv": rows, "test/y.mp4": "v"}))
    found = [(s.extras.split, s.extras.start, s.extras.unit) for s in listing.samples]
    assert found == [("holdout", 0, "frames"), ("test", 8, "frames"), ("train", None, "seconds")]


def test_paths_stay_inside(tmp_path: Path) -> None:
    rows = "file_name,caption\n../../x.mp4,one\n/etc/passwd,two\n../a.mp4,three\n"
    root = made(tmp_path / "set", {"train/metadata.csv": rows})
    (tmp_path / "x.mp4").write_text("v")
    absolute = f"file_name,caption\n{root.resolve()}/b.mp4,four\n"
    made(root, {"val/metadata.csv": absolute})
    listing = read(root)
    assert codes(listing) == [("VP006", 1), ("VP006", 2)]
    assert list(pairs(listing)) == ["train/../a.mp4", f"{root.resolve()}/b.mp4"]


def test_other_files_called_metadata_do_not_matter(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one", "train/metadata.json": '{"license": "x"}'})
    assert pairs(read(tmp_path)) == {"a.mp4": ("one",)}


def test_an_empty_part(tmp_path: Path) -> None:
    made(tmp_path, {**TRAIN, "test/metadata.csv": "file_name,caption\n"})
    assert list(pairs(read(tmp_path))) == ["train/x.mp4"]


def test_a_part_that_breaks_off_is_counted(tmp_path: Path) -> None:
    rows = 'file_name,caption\nq.mp4,"one\nq.mp4,two\n'
    listing = read(made(tmp_path, {**TRAIN, "test/metadata.csv": rows}))
    assert codes(listing) == [("VP008", None)]
    assert (listing.total, list(pairs(listing))) == (3, ["train/x.mp4"])
