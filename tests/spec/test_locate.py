"""Which dataset a path means, and that other files do not make it another one."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.spec.readers.reading import made, pairs, read
from videoprep.errors import SpecError
from videoprep.spec.readers import folder_readers, reader_of, readers, table_suffixes

LIST = "video,caption\na.mp4,one\n"
STRAY = {
    "config.json": '{"model_type": "t5"}',
    "model_index.json": '["a", "b"]',
    "log.json": '[{"step": 1}, {"step": 2}]',
    "log.jsonl": '{"step": 1}\n',
    "scores.csv": "name,score\na.mp4,1\n",
    "sizes.csv": "file_name,width\na.mp4,720\n",
}


@pytest.mark.parametrize("name", STRAY)
@pytest.mark.parametrize(
    "files", [{"list.csv": LIST}, {"a.txt": "one"}, {"videos/x.mp4": "v", "metas/x.txt": "one"}]
)
def test_other_files_do_not_matter(tmp_path: Path, name: str, files: dict[str, str]) -> None:
    made(tmp_path, {**files, name: STRAY[name]})
    assert list(pairs(read(tmp_path)).values()) == [("one",)]


def test_an_index_that_lies_there_is_not_a_table(tmp_path: Path) -> None:
    table = pa.table({"video": ["a.mp4"], "caption": ["x"]})
    table = table.replace_schema_metadata({b"videoprep.index": b"{}"})
    pq.write_table(table, made(tmp_path, {"list.csv": LIST}) / "plan.parquet")
    assert pairs(read(tmp_path)) == {"a.mp4": ("one",)}


@pytest.mark.parametrize("name", ["log.jsonl", "scores.csv", "sizes.csv", "log.json"])
def test_one_table_alone_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=f"{name}: no column looks like the"):
        read(made(tmp_path, {name: STRAY[name]}))


def test_a_list_that_cannot_be_read_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one", "list.csv": "video;caption\na.mp4;one\n"})
    with pytest.raises(SpecError, match="semicolons"):
        read(tmp_path)
    assert pairs(read(tmp_path, format="caption-files")) == {"a.mp4": ("one",)}


def test_the_order_of_formats(tmp_path: Path) -> None:
    made(
        tmp_path,
        {
            "prompt.txt": "lines\n", "videos.txt": "a.mp4\n",
            "list.csv": "video,caption\na.mp4,csv\n",
            "train/metadata.csv": "file_name,caption\nx.mp4,parts\n", "train/x.mp4": "v",
            "videos/x.mp4": "v", "labels/x.txt": "folders", "a.txt": "beside",
        },
    )  # fmt: skip
    found = []
    for name in ("prompt.txt", "list.csv", "train/metadata.csv", "labels/x.txt", "a.txt"):
        found.append(next(iter(pairs(read(tmp_path)).values()))[0])
        (tmp_path / name).unlink()
    assert found == ["lines", "csv", "parts", "folders", "beside"]


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.csv")
    for path in (tmp_path, tmp_path / "list.csv", Path("/dev/null")):
        with pytest.raises(SpecError):
            read(path)
    with pytest.raises(SpecError, match="not a regular file"):
        read(made(tmp_path), dataset_file="list.csv")


def test_a_converted_list_still_works_and_says_how_to_drop_it(tmp_path: Path) -> None:
    made(tmp_path, {"videoprep-list.csv": LIST, "a.txt": "edited"})
    (tmp_path / "videoprep.yaml").write_text("dataset_file: videoprep-list.csv\n")
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("one",)}
    (remark,) = [remark for remark in listing.remarks if remark.code.value == "VP021"]
    assert "videoprep init" in remark.remedy
    (tmp_path / "videoprep.yaml").unlink()
    assert pairs(read(tmp_path)) == {"a.mp4": ("edited",)}


def test_an_unknown_format_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="caption-files"):
        vp.DatasetSpec.from_path(made(tmp_path), format="caption-file")
    with pytest.raises(SpecError, match="is a file's"):
        vp.DatasetSpec(data_root=tmp_path, format="csv").listing()


def test_all_endings_come_from_the_registry() -> None:
    expected = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"}
    assert expected <= set(table_suffixes())
    assert all(reader_of(name).name == name for name in readers())
    assert {one.name for one in folder_readers()} >= {
        "line-files", "metadata-folders", "folder-pairs", "caption-files",
    }  # fmt: skip
