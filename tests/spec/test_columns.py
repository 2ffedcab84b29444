"""Which columns are recognized, and what is said of those that are not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.readers.reading import made, read, remarks
from videoprep.spec.columns import normalized


def _used(
    root: Path, extra: str, cells: str, **options: object
) -> tuple[dict[str, str], list[str]]:
    made(root, {"list.csv": f"video,caption,{extra}\na.mp4,one,{cells}\n"})
    listing = read(root, **options)
    columns = dict(listing.reading.columns)
    said = [remark.message for remark in listing.remarks if remark.code.value == "VP020"]
    return {what: columns[what] for what in columns.keys() - {"video", "caption"}}, said


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("start", "end"), ("start_time", "end_time"), ("Start_timestamp", "End_timestamp"),
        ("clip_start", "clip_end"), ("StartTime", "EndTime"), ("begin", "stop"),
        ("Start Sec", "End Sec"), ("segment_start", "segment_end"), ("frame_start", "frame_end"),
    ],
)  # fmt: skip
def test_times_are_recognized(tmp_path: Path, start: str, end: str) -> None:
    assert _used(tmp_path, f"{start},{end}", "1,2") == ({"start": start, "end": end}, [])


@pytest.mark.parametrize("name", ["timestamp", "Time Range", "segment"])
def test_ranges_are_recognized_by_their_values(tmp_path: Path, name: str) -> None:
    assert _used(tmp_path, name, '"[1.5, 4]"') == ({"range": name}, [])
    used, said = _used(tmp_path, name, "2020-01-01")
    assert (used, len(said)) == ({}, 1)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("start_ms", "a time"), ("duration", "a duration"), ("caption_2", "a caption"),
        ("short_caption", "a caption"), ("audio_path", "sound"), ("mask", "mask"),
        ("control_video", "control"), ("first_frame", "first or last frame"),
        ("ReferenceImage", "reference"), ("fold", "a split"), ("sample_weight", "a weight"),
    ],
)  # fmt: skip
def test_meaningful_columns_that_are_not_used_are_said(
    tmp_path: Path, name: str, meaning: str
) -> None:
    used, said = _used(tmp_path, name, "1")
    assert used == {}
    assert len(said) == 1
    assert repr(name) in said[0]
    assert meaning in said[0]


def test_other_columns_are_named_without_a_finding(tmp_path: Path) -> None:
    made(tmp_path, {"list.csv": "video,caption,width,id\na.mp4,one,720,7\n"})
    listing = read(tmp_path)
    assert listing.reading.unused == ("width", "id")
    assert "VP020" not in remarks(listing)


def test_a_column_that_is_turned_off_is_not_mentioned(tmp_path: Path) -> None:
    assert _used(tmp_path, "split,start,end", "train,1,2", split_column="") == (
        {"start": "start", "end": "end"}, [],
    )  # fmt: skip


def test_a_named_range_is_used(tmp_path: Path) -> None:
    assert _used(tmp_path, "when", '"[1, 2]"', range_column="when")[0] == {"range": "when"}


@pytest.mark.parametrize(
    ("names", "cells", "used"),
    [
        ("audio,audio_path", "yes,x.wav", "audio_path"),
        ("Sound,sound", "yes,x.wav", "sound"),
        ("sound,audio,audio_path", "x.wav,y.WAV,z.wav", "audio"),
        ("Sound,sound,audio_path", "x.wav,y.wav,z.wav", "audio_path"),
        ("sound", "x.3gp", "sound"),
        ("Sound,sound", "x.wav,y.wav", None),
        ("sound,sound", "x.wav,y.wav", None),
        ("audio,audio", "yes,no", None),
        ("sound", "https://x.org/x.wav", None),
    ],
)
def test_sound_is_recognized_by_its_values_if_there_is_no_doubt(
    tmp_path: Path, names: str, cells: str, used: str | None
) -> None:
    made(tmp_path, dict.fromkeys(["x.wav", "y.wav", "y.WAV", "z.wav", "x.3gp"], b"sound"))
    columns, said = _used(tmp_path, names, cells)
    assert columns == ({"audio": used} if used else {})
    left = {name for name in names.split(",") if name != used}
    assert [name for name in sorted(left) if not any(repr(name) in one for one in said)] == []


@pytest.mark.parametrize(("cell", "code"), [("https://x.org/x.wav", "VP006"), ("44.1kHz", "VP022")])
def test_a_named_column_is_used_whatever_it_holds(tmp_path: Path, cell: str, code: str) -> None:
    made(tmp_path, {"list.csv": f"video,caption,sound\na.mp4,one,{cell}\n"})
    (problem,) = read(tmp_path, audio_column="sound").problems
    assert problem.code.value == code


def test_words_of_names() -> None:
    assert [normalized(name) for name in ("Start Time", "startTime", " a-b.c ", "ID")] == [
        "start_time", "start_time", "a_b_c", "id",
    ]  # fmt: skip
