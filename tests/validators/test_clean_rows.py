"""The list of samples that pass: what it keeps of the dataset's own lists."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.spec.readers.reading import made
from videoprep import DatasetSpec
from videoprep.errors import VideoprepError
from videoprep.validators.fixes import bytes_columns, clean_rows


def rows_of(spec: DatasetSpec) -> list[list[str]]:
    return list(clean_rows(spec, spec.listing().samples))


def test_columns_of_bytes_are_skipped_and_named(tmp_path: Path) -> None:
    columns = {
        "video": ["a.mp4"],
        "caption": ["one"],
        "hash": [b"\x00\xff"],
        "image": [{"bytes": b"\xff", "path": "a.png"}],
        "score": [0.5],
    }
    pq.write_table(pa.table(columns), made(tmp_path) / "list.parquet")
    spec = DatasetSpec.from_path(tmp_path / "list.parquet")
    assert bytes_columns(spec) == ["hash", "image"]
    assert rows_of(spec) == [["video", "caption", "score"], ["a.mp4", "one", "0.5"]]


def folders(root: Path, **headers: str) -> DatasetSpec:
    for folder, header in headers.items():
        made(root / folder)
        lines = f"file_name,text,{header}\na.mp4,one,3,9\n"
        (root / folder / "metadata.csv").write_text(lines)
    return DatasetSpec.from_path(root)


def test_times_in_frames_stay_in_frames(tmp_path: Path) -> None:
    spec = folders(tmp_path, train="start_frame,end_frame")
    rows = rows_of(spec)
    assert rows[0] == ["video", "caption", "start_frame", "end_frame", "split"]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    (tmp_path / "clean.csv").write_text(text.getvalue())
    again = DatasetSpec.from_path(tmp_path / "clean.csv")
    (before,), (after,) = spec.listing().samples, again.listing().samples
    assert after.extras == before.extras
    assert before.extras.unit == "frames"


def test_times_in_seconds_and_in_frames_do_not_go_into_one_list(tmp_path: Path) -> None:
    spec = folders(tmp_path, train="start_frame,end_frame", test="start,end")
    with pytest.raises(VideoprepError, match="which one list cannot say"):
        rows_of(spec)
