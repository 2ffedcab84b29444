"""JSON Lines: each line is a sample, and a broken one costs itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spec.readers.reading import codes, made, pairs, read
from tests.spec.readers.test_json_array import BROKEN, ONE, OUTER, THREE, TWO
from videoprep.errors import SpecError


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["list.jsonl", "list.NDJSON"])
def test_a_broken_line_costs_itself(tmp_path: Path, broken: str, name: str) -> None:
    listing = read(made(tmp_path, {name: "\n".join([ONE, broken, THREE])}))
    assert pairs(listing) == OUTER
    assert codes(listing) == [("VP008", 2)]


def test_blank_lines_are_skipped_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {"list.jsonl": f"\n{ONE}\r\n\r\n\n{{}}\n{TWO}"}))
    assert [(s.source.line, s.number) for s in listing.samples] == [(2, 1), (6, 3)]
    assert [(p.line, p.number) for p in listing.problems] == [(5, 2)]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, codec: str) -> None:
    text = '{"video": "a.mp4", "caption": "zwölf"}\r\n'
    assert pairs(read(made(tmp_path, {"list.jsonl": text.encode(codec)}))) == {"a.mp4": ("zwölf",)}


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    text = f'{ONE}\n{{"video": "b.mp4", "caption": "café"}}\n{THREE}'.encode("cp1252")
    listing = read(made(tmp_path, {"list.jsonl": text}))
    assert pairs(listing) == OUTER
    assert codes(listing) == [("VP004", 2)]
    assert "CP1252" in listing.problems[0].message


def test_a_line_of_a_hundred_megabytes_is_not_kept(tmp_path: Path) -> None:
    path = made(tmp_path) / "list.jsonl"
    with path.open("wb") as file:
        file.write(f"{ONE}\n".encode())
        file.seek(100 << 20, 1)
        file.write(f"\n{THREE}\n".encode())
    listing = read(tmp_path)
    assert pairs(listing) == OUTER
    assert codes(listing) == [("VP008", 2)]


def test_a_log_is_not_a_dataset(tmp_path: Path) -> None:
    made(tmp_path, {"train.jsonl": '{"step": 1, "loss": 0.5}\n', "a.txt": "one"})
    assert pairs(read(tmp_path)) == {"a.mp4": ("one",)}
    (tmp_path / "a.txt").unlink()
    with pytest.raises(SpecError, match=r"the columns are: step, loss"):
        read(tmp_path)


@settings(max_examples=25, deadline=None)
@given(captions=st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4))
def test_captions_come_back(tmp_path_factory: pytest.TempPathFactory, captions: list[str]) -> None:
    root = made(tmp_path_factory.mktemp("set"))
    for ascii_only in (True, False):
        text = json.dumps({"video": "a.mp4", "caption": captions}, ensure_ascii=ascii_only)
        (root / "list.jsonl").write_bytes(text.encode())
        assert pairs(read(root)) == {"a.mp4": tuple(captions)}
