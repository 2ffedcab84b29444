"""Tables: columns found and named, rows checked one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

import videoprep as vp
from videoprep.errors import Code, SpecError
from videoprep.spec.readers.csv_table import READER


def _table(root: Path, text: str, name: str = "metadata.csv") -> Path:
    (root / name).write_bytes(text.encode())
    for video in ("a.mp4", "b.mp4"):
        (root / video).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    "text",
    [
        "video,caption\na.mp4,one\nb.mp4,two\n",
        "\ufeffCaption,file_name\r\none,a.mp4\r\ntwo,b.mp4\r\n",
        "id,prompt,path\n1,one,a.mp4\n2,two,b.mp4",
    ],
)
def test_columns_are_recognized(tmp_path: Path, text: str) -> None:
    samples = list(vp.DatasetSpec.from_path(_table(tmp_path, text)).samples())
    assert [(s.name, s.caption) for s in samples] == [("a.mp4", "one"), ("b.mp4", "two")]


def test_tabs_and_quoted_lines(tmp_path: Path) -> None:
    table = 'video\tcaption\na.mp4\t"two\nlines, ""quoted"""\nb.mp4\tplain\n'
    spec = vp.DatasetSpec.from_path(_table(tmp_path, table, "list.tsv"))
    samples = list(spec.samples())
    assert [s.caption for s in samples] == ['two\nlines, "quoted"', "plain"]
    assert [s.source.line for s in samples] == [2, 4]


def test_named_columns_win(tmp_path: Path) -> None:
    table = "video,caption,long_caption\na.mp4,short,a longer one\n"
    root = _table(tmp_path, table)
    for path in (root, root / "metadata.csv"):
        spec = vp.DatasetSpec.from_path(path, caption_column="long_caption")
        assert next(spec.samples()).caption == "a longer one"


def test_rows_with_mistakes_do_not_touch_the_others(tmp_path: Path) -> None:
    table = "video,caption\na.mp4,\n,two\na.mp4,with, a comma\nb.mp4,fine\n"
    listing = vp.DatasetSpec.from_path(_table(tmp_path, table)).listing()
    assert [s.caption for s in listing.samples] == ["fine"]
    assert listing.total == 4
    assert [(p.code, p.line) for p in listing.problems] == [
        (Code.EMPTY_CAPTION, 2),
        (Code.EMPTY_VIDEO, 3),
        (Code.MALFORMED_ROW, 4),
    ]
    assert not listing.unusable


def test_an_open_quote_is_found(tmp_path: Path) -> None:
    table = 'video,caption\na.mp4,one\nb.mp4,"never closed\n'
    listing = vp.DatasetSpec.from_path(_table(tmp_path, table)).listing()
    assert [(p.code, p.line) for p in listing.problems] == [(Code.MALFORMED_ROW, 3)]
    assert len(listing.samples) == 1
    assert listing.total == 2


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    root = _table(tmp_path, "video,captoin\na.mp4,one\n")
    with pytest.raises(SpecError, match="no column looks like the caption") as raised:
        vp.DatasetSpec.from_path(root)
    assert "video, captoin" in str(raised.value)
    assert raised.value.code is Code.MISSING_LIST
    spec = vp.DatasetSpec.from_path(root / "metadata.csv", caption_column="caption")
    with pytest.raises(SpecError, match="did you mean 'captoin'"):
        spec.listing()


@pytest.mark.parametrize("text", ["", "\n\n", " , \n"])
def test_no_header(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match="no header row") as raised:
        vp.DatasetSpec.from_path(_table(tmp_path, text))
    assert raised.value.code is Code.NOT_A_TABLE


def test_rows_are_given_back_up_to_where_the_table_breaks(tmp_path: Path) -> None:
    table = 'video,caption,note\na.mp4,one,x\nb.mp4,"two\nlines",y\na.mp4,"open\n'
    source = _table(tmp_path, table) / "metadata.csv"
    assert list(READER.excerpt(source, {2})) == [
        ["video", "caption", "note"],
        ["b.mp4", "two\nlines", "y"],
    ]
    assert list(READER.excerpt(source, set())) == [["video", "caption", "note"]]
