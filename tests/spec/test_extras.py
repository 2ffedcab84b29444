"""What a table says beside video and caption: time ranges, splits, weights, repeats."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import videoprep as vp
from tests.support.assets import write_lists
from videoprep.errors import Code, SpecError
from videoprep.spec.extras import EXTRAS, MOST, BadValueError, ExtrasReader
from videoprep.spec.sample import NO_EXTRAS, Extras
from videoprep.spec.spec_file import spec_text


def _table(root: Path, header: str, *rows: str, name: str = "metadata.csv") -> Path:
    """Each row is what follows video and caption."""
    (root / "a.mp4").write_bytes(b"x")
    lines = [f"video,caption,{header}", *(f"a.mp4,one,{row}" for row in rows)]
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / name


def _extras(path: Path, **options: Any) -> list[Extras]:
    return [sample.extras for sample in vp.DatasetSpec.from_path(path, **options).samples()]


def _read(what: str, cell: str, unit: Any = "seconds") -> Any:
    extras = ExtrasReader({what: (what, 0)}, unit).read([cell])
    return getattr(extras, what)


@pytest.mark.parametrize(
    ("what", "cell", "value"),
    [
        ("start", "12.5", 12.5),
        ("start", "0", 0.0),
        ("start", " 7. ", 7.0),
        ("end", ".5", 0.5),
        ("end", "1e-05", 1e-05),
        ("start", "1:05", 65.0),
        ("start", "00:59.25", 59.25),
        ("end", "01:02:03.5", 3723.5),
        ("end", "100:00:00", 360_000.0),
        ("end", str(MOST), float(MOST)),
        ("weight", "0", 0.0),
        ("weight", "0.25", 0.25),
        ("weight", "2e3", 2000.0),
        ("repeats", "0", 0),
        ("repeats", "3", 3),
        ("repeats", "3.0", 3),
        ("split", " val ", "val"),
        ("split", "Prüfung 2", "Prüfung 2"),
        ("split", "", None),
        ("start", " ", None),
        ("weight", "", 1.0),
        ("repeats", "", 1),
    ],
)
def test_values(what: str, cell: str, value: object) -> None:
    found = _read(what, cell)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("cell", "value"), [("0", 0.0), ("48", 48.0), ("12.0", 12.0)])
def test_frames(cell: str, value: float) -> None:
    assert _read("start", cell, "frames") == value


@given(
    st.sampled_from([what for what in EXTRAS if what != "range"]),
    st.text(max_size=40),
    st.sampled_from(["seconds", "frames"]),
)
def test_any_cell_is_read_or_refused(what: str, cell: str, unit: str) -> None:
    value: Any = 0
    reasons: tuple[str, ...] = ()
    try:
        value = _read(what, cell, unit)
    except BadValueError as error:
        reasons = error.reasons
    assert all(reason.isprintable() for reason in reasons)
    assert isinstance(value, str | None) or 0 <= value <= MOST


@given(st.floats(0, MOST), st.integers(0, 10_000))
def test_numbers_as_python_writes_them(number: float, repeats: int) -> None:
    assert _read("start", repr(number)) == number
    assert _read("weight", repr(number / 1e5)) == number / 1e5
    assert _read("repeats", str(repeats)) == repeats


def test_columns_are_recognized(tmp_path: Path) -> None:
    path = _table(tmp_path, "Start,END,Split,weight,Repeats", "1.5,0:04,val,0.5,3", ",,,,")
    assert _extras(path) == [Extras(1.5, 4.0, "seconds", "val", 0.5, 3), NO_EXTRAS]


def test_frames_are_recognized_by_their_names(tmp_path: Path) -> None:
    path = _table(tmp_path, "start_frame,End_Frame", "16,49", "16,")
    spec = vp.DatasetSpec.from_path(path)
    assert (spec.start_column, spec.end_column, spec.time_unit) == (
        "start_frame",
        "End_Frame",
        "frames",
    )
    assert _extras(path) == [Extras(16.0, 49.0, "frames"), Extras(16.0, None, "frames")]


def test_rows_that_say_nothing_share_one_object(tmp_path: Path) -> None:
    path = _table(tmp_path, "start,split", ",", ",train", ",train")
    nothing, *train = _extras(path)
    assert nothing is NO_EXTRAS
    assert train[0] is train[1]


def test_named_columns_win(tmp_path: Path) -> None:
    path = _table(tmp_path, "start,from,split,fold", "1,2,train,x")
    (extras,) = _extras(path, start_column="from", split_column="fold", time_unit="frames")
    assert extras == Extras(2.0, None, "frames", "x")


def test_a_column_is_turned_off(tmp_path: Path) -> None:
    path = _table(tmp_path, "start,end,split,weight,repeats", "1,2,train,3,4")
    off = {f"{what}_column": "" for what in EXTRAS}
    assert _extras(path, **off) == [NO_EXTRAS]
    assert _extras(path, split_column="", end_column="") == [Extras(1.0, weight=3.0, repeats=4)]
    spec = vp.DatasetSpec.from_path(path, split_column="")
    (tmp_path / "videoprep.yaml").write_text(
        spec_text({**spec.saved_fields(), "dataset_file": path.name})
    )
    assert _extras(tmp_path) == [Extras(1.0, 2.0, weight=3.0, repeats=4)]


def test_a_spec_made_directly_guesses_nothing(tmp_path: Path) -> None:
    path = _table(tmp_path, "start,split", "1,train")
    spec = vp.DatasetSpec(
        data_root=tmp_path, dataset_file=path, caption_column="caption", video_column="video"
    )
    assert [sample.extras for sample in spec.samples()] == [NO_EXTRAS]


def test_the_captions_column_is_no_split(tmp_path: Path) -> None:
    path = _table(tmp_path, "split", "a dog")
    (sample,) = vp.DatasetSpec.from_path(path, caption_column="split").samples()
    assert (sample.caption, sample.extras) == ("a dog", NO_EXTRAS)


@pytest.mark.parametrize("what", EXTRAS)
def test_a_misspelt_column_is_an_error(tmp_path: Path, what: str) -> None:
    path = _table(tmp_path, "beginning", "1")
    spec = vp.DatasetSpec.from_path(path, **{f"{what}_column": "begining"})
    with pytest.raises(SpecError, match=rf"did you mean 'beginning'\? .*`{what}_column`") as raised:
        spec.listing()
    assert raised.value.code is Code.MISSING_LIST


@pytest.mark.parametrize(
    ("header", "options", "expected"),
    [
        ("start,end", {"time_unit": "frames"}, Extras(10.0, 20.0, "frames")),
        ("start,end,start_frame,end_frame", {"time_unit": "seconds"}, Extras(10.0, 20.0)),
        (
            "start,end,start_frame,end_frame",
            {"time_unit": "frames"},
            Extras(30.0, 40.0, "frames"),
        ),
        (
            "start,end,start_frame,end_frame",
            {"start_column": "start_frame", "end_column": "end_frame"},
            Extras(30.0, 40.0, "frames"),
        ),
        ("start,end,start_frame", {"start_column": "start", "end_column": ""}, Extras(10.0)),
        ("start,end_frame", {}, "both"),
        ("start,end_frame", {"end_column": ""}, Extras(10.0)),
        ("start_frame", {"time_unit": "seconds"}, "no column holds times in seconds"),
        ("x", {"time_unit": "frames"}, "no column holds times in frames"),
        ("x,end_frame", {"start_column": "x"}, "both"),
        ("x,end", {"start_column": "x"}, Extras(5.0, 20.0)),
        ("x,end", {"start_column": "x", "time_unit": "frames"}, Extras(5.0, 20.0, "frames")),
        ("start", {"time_unit": "minutes"}, "time_unit"),
        ("start", {"time_unit": ["seconds"]}, "time_unit"),
        ("start", {"start_column": ["start"]}, "start_column"),
    ],
)
def test_units(tmp_path: Path, header: str, options: dict[str, Any], expected: object) -> None:
    cells = {"start": "10", "end": "20", "start_frame": "30", "end_frame": "40", "x": "5"}
    path = _table(tmp_path, header, ",".join(cells[name] for name in header.split(",")))
    if isinstance(expected, str):
        with pytest.raises(SpecError, match=expected):
            vp.DatasetSpec.from_path(path, **options)
    else:
        assert _extras(path, **options) == [expected]


def test_a_bad_value_is_named_and_touches_no_other_row(tmp_path: Path) -> None:
    long = "9" * 3000
    path = _table(tmp_path, "start,end,weight", "1,2,1", f"\x1b[31m,,{long}", "5,4.5,", "0,1,")
    listing = vp.DatasetSpec.from_path(path).listing()
    assert [sample.source.line for sample in listing.samples] == [2, 5]
    assert listing.total == 4
    assert [(p.code, p.line, p.message) for p in listing.problems] == [
        (
            Code.BAD_VALUE,
            3,
            "column 'start': '\\x1b[31m' is not seconds up to 1000000000, such as 12.5 or 01:30.5 "
            "([HH:]MM:SS)",
        ),
        (
            Code.BAD_VALUE,
            3,
            f"column 'weight': '{'9' * 60}…' is not a number from 0 to 10000",
        ),
        (Code.BAD_VALUE, 4, "the end, 4.5, does not come after the start, 5"),
    ]


def test_line_files_have_no_columns(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    write_lists(tmp_path, ["one"], ["a.mp4"])
    with pytest.raises(SpecError, match="weight_column names a table's column") as raised:
        vp.DatasetSpec.from_path(tmp_path, weight_column="weights.txt").listing()
    assert "one CSV file" in str(raised.value)
    assert vp.DatasetSpec.from_path(tmp_path, weight_column="").listing().samples


def test_a_saved_spec_names_columns_of_the_table_beside_it(tmp_path: Path) -> None:
    _table(tmp_path, "long,fold", "a longer one,val")
    fields = {"caption_column": "long", "split_column": "fold"}
    (tmp_path / "videoprep.yaml").write_text(spec_text(fields))
    (sample,) = vp.DatasetSpec.from_path(tmp_path).samples()
    assert (sample.caption, sample.extras.split) == ("a longer one", "val")


def test_the_command_line(
    tmp_path: Path, dataset: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    header = "video,caption,from,to,fold,share,times"
    rows = ["videos/a.mp4,one,0,8,val,2,3", "videos/b.mp4,two,x,,,,", "videos/c.mp4,three,,,,,"]
    (dataset / "list.csv").write_text("\n".join([header, *rows]) + "\n")
    names = {"start": "from", "end": "to", "split": "fold", "weight": "share", "repeats": "times"}
    options = [item for what, name in names.items() for item in (f"--{what}-column", name)]
    clean = tmp_path / "clean.csv"
    done = run_cli(
        "validate", dataset / "list.csv", *options, "--time-unit", "frames", "--select", "VP0",
        "--write-clean", clean,
    )  # fmt: skip
    assert done.returncode == 1
    assert "VP018" in done.stdout
    assert "column 'from': 'x' is not the number of a frame" in " ".join(done.stdout.split())
    with clean.open(newline="") as file:
        assert [",".join(row) for row in csv.reader(file)] == [header, rows[0], rows[2]]
    assert "invalid" in run_cli("validate", dataset, "--time-unit", "x").stderr.lower()
    off = [item for what in names for item in (f"--{what}-column", "")]
    assert run_cli("validate", dataset / "list.csv", *off, "--select", "VP0").returncode == 0


def test_a_sample_comes_so_many_times_at_most(tmp_path: Path) -> None:
    path = _table(tmp_path, "weight,repeats", "100,100", "100,101")
    listing = vp.DatasetSpec.from_path(path).listing()
    assert [sample.source.line for sample in listing.samples] == [2]
    (problem,) = listing.problems
    assert "weight × repeats is above 10000" in problem.message
