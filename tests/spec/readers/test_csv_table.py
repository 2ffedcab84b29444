"""CSV and TSV beside what tests/spec/test_csv_file.py and the hostile lists hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.readers.reading import codes, made, pairs, read, remarks
from videoprep.errors import SpecError
from videoprep.spec.readers.csv_table import READER


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "\ufeffsep=;"])
def test_a_first_line_may_name_the_delimiter(tmp_path: Path, first: str) -> None:
    made(tmp_path, {"list.csv": f"{first}\r\nvideo;caption\r\na.mp4;one, two\r\n"})
    assert pairs(read(tmp_path)) == {"a.mp4": ("one, two",)}


def test_lines_that_are_quoted_as_a_whole_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="each line as a whole is in quotes"):
        read(made(tmp_path, {"list.csv": '"video,caption"\n"a.mp4,one"\n'}))


def test_lists_in_cells_are_several_captions(tmp_path: Path) -> None:
    rows = [
        'a.mp4,"[""one"", ""first""]"',
        "b.mp4,\"['two', 'second']\"",
        "c.mp4,[]",
    ]
    listing = read(made(tmp_path, {"list.csv": "\n".join(["video,caption", *rows])}))
    assert pairs(listing) == {"a.mp4": ("one", "first"), "b.mp4": ("two", "second")}
    assert codes(listing) == [("VP201", 3)]


def test_line_breaks_in_a_caption_are_kept(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {"list.csv": 'video,caption\na.mp4,"one\n\ntwo"\n'}))
    assert pairs(listing) == {"a.mp4": ("one\n\ntwo",)}


def test_ranges_written_as_text(tmp_path: Path) -> None:
    rows = "a.mp4,one,\"['0:00:01.5', '0:00:04']\"\nb.mp4,two,\nc.mp4,three,\"[4, 1]\"\n"
    listing = read(made(tmp_path, {"list.csv": f"video,caption,timestamp\n{rows}"}))
    assert [(s.extras.start, s.extras.end) for s in listing.samples] == [(1.5, 4), (None, None)]
    assert codes(listing) == [("VP018", 3)]


def test_a_quote_that_is_never_closed_is_not_paired(tmp_path: Path) -> None:
    rows = 'a.mp4,one\nb.mp4,"two\nc.mp4,three\n'
    listing = read(made(tmp_path, {"list.csv": f"video,caption\n{rows}"}))
    assert (pairs(listing), codes(listing)) == ({"a.mp4": ("one",)}, [("VP008", None)])
    assert listing.total == 3


def test_a_remark_belongs_to_its_row(tmp_path: Path) -> None:
    rows = 'a.mp4,one\nb.mp4,"two\nand\u2028more"\nc.mp4,three\u2028\n'
    listing = read(made(tmp_path, {"list.csv": f"video,caption\n{rows}"}))
    assert remarks(listing) == ["VP012", "VP012"]
    assert [(r.line, r.number) for r in listing.remarks] == [(3, 2), (5, 3)]


def test_rows_that_are_added_while_it_is_read(tmp_path: Path) -> None:
    path = made(tmp_path, {"list.csv": "video,caption\na.mp4,one\n"}) / "list.csv"
    from videoprep.spec.entries import Entries

    rows = READER.rows(path, {"video": "video", "caption": "caption"}, Entries())
    first = next(rows)
    with path.open("a") as file:
        file.write("b.mp4,two\n")
    assert list(first.cells) == ["a.mp4", "one"]
    assert [list(row.cells) for row in rows] in ([], [["b.mp4", "two"]])
