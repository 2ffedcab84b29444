"""Lists of exported media, as trainers read them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

import videoprep as vp
from tests.media.sounds import noise, write_film
from tests.support.assets import write_video
from videoprep.exporters.media.file_list import FileList
from videoprep.exporters.registry import file_lists

CAPTIONS = ['One, with "quotes", and\nlines.', "Zwei: ein Hund läuft."]
JSON_LISTS = {
    "FastVideo": "path",
    "LTX-2": "video",
    "VideoX-Fun": "file_path",
}
CSV_LISTS = {"DiffSynth-Studio": "video", "Open-Sora": "path"}


def write_data(folder: Path, *, control: bool) -> Path:
    """Two videos with sound, and their controls; or two without, and a still image."""
    rows = []
    for number, caption in enumerate(CAPTIONS):
        row = {"video": f"{number}.mov", "caption": caption}
        if not control:
            write_video(folder / f"{number}.mov", frames=17, fps=8, lift=40 + number)
        else:
            write_film(folder / f"{number}.mov", noise(3), frames=17 + number, fps=8)
            write_film(folder / f"line_{number}.mov", noise(3), frames=19 + number, fps=8)
            row["control"] = f"line_{number}.mov"
        rows.append(row)
    if not control:
        Image.new("RGB", (128, 64), "red").save(folder / "still.png")
        rows.append({"video": "still.png", "caption": "A still."})
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder


def export(tmp_path: Path, *, control: bool) -> tuple[Path, Any]:
    data = write_data(tmp_path / "data", control=control)
    index = vp.BucketIndex.build(data, reshape="center-crop", target_fps=8, frame_buckets=(9,))
    result = vp.export_media(index, output=tmp_path / "out")
    assert result is not None
    assert result.ok
    return tmp_path / "out", result


def rows_of(out: Path, one: FileList) -> list[dict[str, Any]]:
    path = out / one.file
    if one.name in JSON_LISTS:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return found
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [*JSON_LISTS, *CSV_LISTS])
def test_each_clip_is_named_with_its_caption(tmp_path: Path, name: str) -> None:
    out, result = export(tmp_path, control=True)
    one = file_lists()[name]
    rows = rows_of(out, one)
    with av.open(str(next(out.glob("clips/*/*.mp4")))) as film:
        sides = film.streams.video[0].width, film.streams.video[0].height
    paths = [row[{**JSON_LISTS, **CSV_LISTS}[name]] for row in rows]
    assert len(paths) == len(CAPTIONS)
    assert all((out / path).is_file() for path in paths)
    texts = {
        str(row.get("caption") or row.get("text") or row.get("prompt") or row["cap"][0])
        for row in rows
    }
    assert texts == {" ".join(caption.split()) for caption in CAPTIONS}
    assert str(out.resolve()) in result.commands[name]
    for row in rows:
        for column in one.columns.values():
            if column in row:
                assert (out / row[column]).is_file()
        if name == "FastVideo":
            assert (row["num_frames"], row["fps"], row["duration"]) == (9, 8.0, 9 / 8)
            assert row["resolution"] == dict(zip(("width", "height"), sides, strict=True))
        if name == "Open-Sora":
            assert (row["num_frames"], row["height"], row["width"]) == (
                "9",
                str(sides[1]),
                str(sides[0]),
            )
    controls = {"DiffSynth-Studio": "control_video", "LTX-2": "reference_video"}
    controls["VideoX-Fun"] = "control_file_path"
    if name in controls:
        assert all(row[controls[name]].startswith("control/") for row in rows)
    sound = {"DiffSynth-Studio": "input_audio", "VideoX-Fun": "audio_path"}
    if name in sound:
        assert [row[sound[name]] for row in rows] == paths


def test_a_column_that_some_clips_have_nothing_for_is_left_out_and_said(tmp_path: Path) -> None:
    out, result = export(tmp_path, control=False)
    rows = rows_of(out, file_lists()["VideoX-Fun"])
    assert [row["type"] for row in rows].count("image") == 1
    assert all("audio_path" not in row for row in rows)
    assert len(rows_of(out, file_lists()["LTX-2"])) == len(CAPTIONS)
    assert "the list for LTX-2 leaves out: still images of 1 clips" in result.notes
