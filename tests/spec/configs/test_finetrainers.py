"""finetrainers' config: what is read, and clips as `benchmarks/against_configs.py` found them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.trainer_configs import (
    WAN_RULES,
    captions,
    footage,
    group_of,
    note_of,
    refused,
    shapes,
    write_media,
)
from videoprep.spec.configs.finetrainers import FinetrainersTreatment

BUCKETS = ((17, 320, 576), (33, 320, 576), (33, 576, 320), (33, 480, 480))
CLIPS: dict[str, Any] = {
    "data_root": "clips", "dataset_type": "video", "id_token": "SKS",
    "video_resolution_buckets": [list(one) for one in BUCKETS], "reshape_mode": "resize_crop",
}  # fmt: skip


def written(**more: Any) -> str:
    return json.dumps({"datasets": [{**CLIPS, **more}]}, indent=1)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (footage(640, 360, 90, 30), ("33×320×576", 0, 89)),
        (footage(360, 640, 90, 30), ("33×576×320", 0, 89)),
        (footage(480, 480, 25, 30), ("17×320×576", 0, 24)),
        (footage(640, 360, 33, 30), ("33×320×576", 0, 32)),
    ],
)
def test_all_of_a_video_is_squeezed_into_the_longest_bucket(
    file: Any, expected: tuple[str, int, int]
) -> None:
    assert shapes(FinetrainersTreatment(BUCKETS).forecast(file, WAN_RULES)) == [expected]


def test_what_is_shorter_than_every_bucket_keeps_its_frames() -> None:
    found = FinetrainersTreatment(BUCKETS).forecast(footage(640, 360, 7, 24), WAN_RULES)
    assert shapes(found) == [("7×320×576", 0, 6)]
    assert "used with its 7 frames" in found.remarks[0]


def test_captions_are_beside_videos_in_a_table_or_in_lists(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "inner/b.mp4")
    (one,) = group_of(tmp_path / "training.json", written()).members()
    assert captions(one) == {"a.mp4": ("a",)}
    assert (one.spec.id_token, one.spec.reshape) == ("SKS", "center-crop")
    (tmp_path / "clips/a.txt").rename(tmp_path / "clips/prompts.txt")
    (tmp_path / "clips/videos.txt").write_text("a.mp4\n")
    (one,) = group_of(tmp_path / "training.json", written()).members()
    assert captions(one) == {"a.mp4": ("a",)}
    (tmp_path / "clips/metadata.csv").write_text("file_name,caption\ninner/b.mp4,from the table\n")
    (one,) = group_of(tmp_path / "training.json", written()).members()
    assert captions(one) == {"inner/b.mp4": ("from the table",)}
    (tmp_path / "clips/metadata.jsonl").write_text("{}\n")
    assert "several tables" in refused(tmp_path / "training.json", written()).message


def test_ways_to_reshape(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    (one,) = group_of(tmp_path / "training.json", written(reshape_mode="bicubic")).members()
    assert one.spec.reshape == "resize"
    group = group_of(tmp_path / "training.json", written(reshape_mode="center_crop"))
    assert note_of(group, "cuts without scaling").severity == "warning"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"dataset_type": "text"}, "video or image"),
        ({"video_resolution_buckets": [[1, 2]]}, "[frames, height, width]"),
        ({"video_resolution_buckets": None}, "'video_resolution_buckets' is missing"),
        ({"data_root": "someone/clips"}, "a data set of the hub is not downloaded"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    assert words in refused(tmp_path / "training.json", written(**more)).message
