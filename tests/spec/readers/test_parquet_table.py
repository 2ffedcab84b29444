"""Parquet: a row is a sample; only the columns in use are read."""

from __future__ import annotations

import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spec.readers.reading import codes, made, pairs, read, remarks
from videoprep.errors import SpecError


def _written(root: Path, columns: dict[str, Any], **options: Any) -> Path:
    table = pa.table(columns)
    pq.write_table(table, made(root) / "list.parquet", **options)
    return root


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_texts_of_every_type(tmp_path: Path, kind: pa.DataType) -> None:
    texts = {"video": ["a.mp4", "b.mp4", None], "caption": ["one", None, "three"]}
    _written(tmp_path, {name: pa.array(cells).cast(kind) for name, cells in texts.items()})
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("one",)}
    assert codes(listing) == [("VP201", 2), ("VP009", 3)]
    assert [problem.row for problem in listing.problems] == [2, 3]


def test_lists_are_several_captions(tmp_path: Path) -> None:
    cells = [["one", "first"], [], None]
    listing = read(_written(tmp_path, {"video": ["a.mp4", "b.mp4", "c.mp4"], "caption": cells}))
    assert pairs(listing) == {"a.mp4": ("one", "first")}
    assert codes(listing) == [("VP201", 2), ("VP201", 3)]


@pytest.mark.parametrize("cell", [{"a": "x"}, True, [{"a": "x"}], [["x"]], [("a", "b")]], ids=str)
def test_what_is_no_caption_costs_its_row(tmp_path: Path, cell: Any) -> None:
    kind = pa.map_(pa.string(), pa.string()) if cell == [("a", "b")] else None
    captions = pa.array([cell, None], kind)
    listing = read(_written(tmp_path, {"video": ["a.mp4", "b.mp4"], "caption": captions}))
    assert codes(listing) == [("VP018", 1), ("VP201", 2)]


def test_ranges_and_numbers(tmp_path: Path) -> None:
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float64(), 2), pa.large_list(pa.float32())):
        times = pa.array([[1.5, 4.0]], kind)
        _written(tmp_path, {"video": ["a.mp4"], "caption": ["one"], "timestamp": times})
        (sample,) = read(tmp_path).samples
        assert (sample.extras.start, sample.extras.end) == (1.5, 4)
    times = [decimal.Decimal("1.5")]
    _written(tmp_path, {"video": ["a.mp4"], "caption": ["one"], "start": times})
    assert read(tmp_path).samples[0].extras.start == 1.5


def test_a_cell_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9", b"two"])
    texts = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    listing = read(_written(tmp_path, {"video": ["a.mp4", "b.mp4"], "caption": texts}))
    assert pairs(listing) == {"b.mp4": ("two",)}
    assert codes(listing) == [("VP004", 1)]


def test_columns_with_one_name(tmp_path: Path) -> None:
    cells = [pa.array([text]) for text in ("a.mp4", "one", "x", "y")]
    path = made(tmp_path) / "list.parquet"
    pq.write_table(pa.Table.from_arrays(cells, ["video", "caption", "k", "k"]), path)
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("one",)}
    assert "VP016" in remarks(listing)
    pq.write_table(pa.Table.from_arrays(cells, ["video", "caption", "caption", "k"]), path)
    with pytest.raises(SpecError, match="2 columns are called 'caption'"):
        read(tmp_path)


def test_videos_of_the_datasets_library(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    videos = pa.array([{"bytes": None, "path": "a.mp4"}], kind)
    assert pairs(read(_written(tmp_path, {"video": videos, "caption": ["one"]})))
    videos = pa.array([{"bytes": b"content", "path": "a.mp4"}], kind)
    _written(tmp_path, {"video": videos, "caption": ["one"]})
    with pytest.raises(SpecError, match="holds files, not their paths"):
        read(tmp_path)
    _written(tmp_path, {"video": ["a.mp4"], "caption": [b"one"]})
    with pytest.raises(SpecError, match="holds bytes, not text"):
        read(tmp_path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path, {"video": ["a.mp4"], "caption": ["one"]}) / "list.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SpecError, match="cannot be read as Parquet"):
        read(tmp_path)


def test_rows_before_damage_are_read_and_the_others_counted(tmp_path: Path) -> None:
    cells = {"video": ["a.mp4"] * 3000, "caption": [f"caption {number}" for number in range(3000)]}
    path = _written(tmp_path, cells, row_group_size=1000) / "list.parquet"
    group = pq.read_metadata(path).row_group(1).column(1)
    data = bytearray(path.read_bytes())
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    path.write_bytes(data)
    listing = read(tmp_path)
    assert (len(listing.samples), listing.total) == (1000, 3000)
    assert [(p.row, p.number) for p in listing.problems] == [(1001, None)]


def test_a_table_without_rows(tmp_path: Path) -> None:
    empty = pa.array([], pa.string())
    assert read(_written(tmp_path, {"video": empty, "caption": empty})).total == 0


def test_a_text_of_many_rows_does_not_fill_the_memory(tmp_path: Path) -> None:
    """One text of five megabytes in 3000 rows takes little in the file, and 15 GB row by row."""
    large = pa.DictionaryArray.from_arrays(pa.array([0] * 3000), ["x" * 5_000_000])
    _written(tmp_path, {"video": ["a.mp4"] * 3000, "caption": large}, store_schema=False)
    assert (tmp_path / "list.parquet").stat().st_size < 1_000_000
    code = (
        "import re, resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))\n"
        "import videoprep as vp; found = vp.DatasetSpec.from_path(sys.argv[1]).listing()\n"
        "assert len(found.problems) == found.total == 3000\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "assert int(peak) < 1_000_000, peak"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=300)


@settings(max_examples=25, deadline=None)
@given(captions=st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4))
def test_captions_come_back(tmp_path_factory: pytest.TempPathFactory, captions: list[str]) -> None:
    root = tmp_path_factory.mktemp("set")
    _written(root, {"video": ["a.mp4"], "caption": [captions]})
    assert pairs(read(root)) == {"a.mp4": tuple(captions)}


_PARTS = [("bytes", pa.binary()), ("path", pa.string())]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([{"bytes": b"RIFF", "path": "x.wav"}, None], pa.struct(_PARTS)),
        pa.array([b"RIFF", None]),
        pa.array([True, False]),
        pa.array([0, 1], pa.timestamp("s")),
        pa.array([{"path": "x.wav", "rate": 8}, None]),
        pa.array([{"name": "x.wav"}, None]),
        pa.array([[0.0] * 99, None], pa.list_(pa.float32(), 99)),
        pa.array([[0.0] * 99, None]),
        pa.array([None, None], pa.null()),
    ],
    ids=lambda cells: str(cells.type),
)
@pytest.mark.parametrize("name", ["audio", "sound"])
def test_sound_that_is_no_path_is_pointed_out(tmp_path: Path, name: str, cells: pa.Array) -> None:
    _written(tmp_path, {"video": ["a.mp4", "b.mp4"], "caption": ["one", "two"], name: cells})
    listing = read(tmp_path)
    assert list(pairs(listing)) == ["a.mp4", "b.mp4"]
    assert "VP020" in remarks(listing)
    assert all(sample.beside == () for sample in listing.samples)


@pytest.mark.parametrize("parts", [_PARTS, _PARTS[1:]])
def test_sound_is_told_by_paths_in_objects(tmp_path: Path, parts: list[Any]) -> None:
    (tmp_path / "x.wav").write_bytes(b"sound")
    cells = pa.array([{"path": "x.wav"}, None], pa.struct(parts))
    _written(tmp_path, {"video": ["a.mp4", "b.mp4"], "caption": ["one", "two"], "audio": cells})
    listing = read(tmp_path)
    assert [[one.name for one in sample.beside] for sample in listing.samples] == [["x.wav"], []]
    assert listing.problems == ()
