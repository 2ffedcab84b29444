"""musubi-tuner's config: what is read, and clips as `benchmarks/against_configs.py` found them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.trainer_configs import (
    WAN_RULES,
    captions,
    footage,
    group_of,
    listing,
    note_of,
    notes,
    refused,
    shapes,
    write_media,
)
from videoprep.errors import Code
from videoprep.spec.configs.musubi_tuner import MusubiImages, MusubiSizes, MusubiVideos
from videoprep.spec.roles import Role

SIZES = MusubiSizes(640, 368, enable_bucket=True)

CONFIG = """
[general]
resolution = [640, 368]
caption_extension = ".txt"
batch_size = 4

[[datasets]]
video_directory = "clips"
cache_directory = "cache"
target_frames = [1, 26, 45]
num_repeats = 3
"""


def videos(lengths: tuple[int, ...] = (1, 17, 25, 45), **options: Any) -> MusubiVideos:
    return MusubiVideos(SIZES, lengths, **options)


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (videos(), [("1×368×640", 0, 0), ("17×368×640", 0, 16), ("25×368×640", 0, 24),
                    ("45×368×640", 0, 44)]),
        (videos((25, 45), extraction="chunk"),
         [("25×368×640", 0, 24), ("25×368×640", 25, 49), ("25×368×640", 50, 74),
          ("45×368×640", 0, 44), ("45×368×640", 45, 89)]),
        (videos((45,), extraction="slide", stride=30),
         [("45×368×640", 0, 44), ("45×368×640", 30, 74)]),
        (videos((45,), extraction="uniform", samples=4),
         [("45×368×640", 0, 44), ("45×368×640", 15, 59), ("45×368×640", 30, 74),
          ("45×368×640", 45, 89)]),
        (videos((45,), extraction="uniform", samples=1), [("45×368×640", 0, 44)]),
        (videos((1,), extraction="full", max_frames=64), [("61×368×640", 0, 60)]),
        (videos((25,), source_fps=30.0), [("25×368×640", 0, 45)]),
    ],
)  # fmt: skip
def test_each_length_gives_clips_of_its_own(
    treatment: MusubiVideos, expected: list[tuple[str, int, int]]
) -> None:
    assert shapes(treatment.forecast(footage(640, 360, 90, 30), WAN_RULES)) == expected


def test_the_bucket_is_the_nearest_of_one_area() -> None:
    sizes = {(320, 240): "25×416×560", (360, 640): "25×640×368", (480, 480): "25×480×480"}
    for (width, height), bucket in sizes.items():
        (clip,) = videos((25,)).forecast(footage(width, height, 30, 16), WAN_RULES).clips
        assert clip.bucket == bucket


def test_videos_are_cached_in_buckets_whatever_the_config_says() -> None:
    off = MusubiVideos(MusubiSizes(640, 368), (25,))
    found = off.forecast(footage(480, 480, 30, 16), WAN_RULES)
    assert [clip.bucket for clip in found.clips] == ["25×480×480"]
    assert "put into the bucket 640×368 in training" in found.remarks[0]
    (picture,) = MusubiImages(MusubiSizes(640, 368)).forecast(footage(480, 480), WAN_RULES).clips
    assert picture.bucket == "1×368×640"
    small = MusubiImages(MusubiSizes(640, 368, enable_bucket=True, no_upscale=True))
    (picture,) = small.forecast(footage(200, 120), WAN_RULES).clips
    assert picture.bucket == "1×112×192"


def test_a_rate_below_the_models_passes_over_numbers_and_drops_clips() -> None:
    found = videos((25,), source_fps=12.0).forecast(footage(640, 360, 24, 12), WAN_RULES)
    assert found.clips == ()
    assert found.dropped == "19 frames are left, fewer than the 25 asked for"


def test_what_is_stored_on_its_side_stays_so() -> None:
    found = videos((1,)).forecast(footage(360, 640, 9, 16, turned=True), WAN_RULES)
    assert [clip.bucket for clip in found.clips] == ["1×368×640"]
    assert "does not turn it" in found.remarks[0]


def test_a_folder_is_read_without_its_folders_and_with_its_captions(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "inner/b.mp4")
    (tmp_path / "clips/c.png").write_bytes(b"")
    group = group_of(tmp_path / "musubi.toml", CONFIG)
    (one,) = group.members()
    assert group.trainer == "musubi-tuner"
    assert captions(one) == {"a.mp4": ("a",)}
    assert one.entry.keys.repeats == 3
    assert (one.spec.reshape, one.spec.allow_upscale) == ("center-crop", True)
    (over,) = listing(one).reading.passed_over
    assert over.examples == ("c.png",)


def test_keys_that_are_not_honoured_are_named_with_their_lines(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    group = group_of(tmp_path / "musubi.toml", CONFIG + "frame_stried = 2\n")
    found = notes(group)
    assert (5, "note", "'batch_size' is not honoured: it is of training, not of the data") in found
    unknown = note_of(group, "frame_stried")
    assert (unknown.line, unknown.severity, unknown.code) == (12, "warning", Code.CONFIG_KEY)
    assert unknown.remedy == "did you mean 'frame_stride'?"
    assert "refuses the file" in unknown.message
    assert note_of(group, "rounded").message.startswith("target_frames are rounded to 1, 25, 45")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("target_frames = [1, 26, 45]", 'target_frames = ["1"]', 10, "a list of whole numbers"),
        ("resolution = [640, 368]", "resolution = [640, 0]", 3, "a number of pixels"),
        ("num_repeats = 3", "num_repeats = true", 11, "a whole number"),
        ("num_repeats = 3", "source_fps = 1e-300", 11, "from 0.1 to 1,000"),
        ("resolution = [640, 368]", "resolution = 2000000000", 3, "a number of pixels"),
        ("num_repeats = 3", "source_fps = nan", 11, "frames a second"),
        ("num_repeats = 3", 'frame_extraction = "tail"', 11, "head or chunk or slide"),
        ("num_repeats = 3", "num_repeats = 0", 7, "no dataset is used"),
        ('video_directory = "clips"', 'image_dir = "clips"', 7, "needs video_directory"),
        ('caption_extension = ".txt"', "", 7, "caption_extension is missing"),
    ],
)
def test_wrong_values_are_errors_with_their_lines(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    error = refused(tmp_path / "musubi.toml", CONFIG.replace(old, new))
    assert words in error.message
    assert str(error.where).endswith(f"musubi.toml:{line}")


def test_control_media_are_found_in_their_folder(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "b.mp4")
    write_media(tmp_path / "depth", "a.mp4")
    group = group_of(tmp_path / "musubi.toml", CONFIG + 'control_directory = "depth"\n')
    (one,) = group.members()
    found = listing(one)
    assert [sample.media[Role("control")].name for sample in found.samples] == ["depth/a.mp4"]
    (problem,) = found.problems
    assert (problem.code, problem.video) == (Code.MISSING_MEDIA, None)


def test_a_list_names_videos_and_captions(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    line = '{"video_path": "clips/a.mp4", "caption": "from the list"}\n'
    (tmp_path / "list.jsonl").write_text(line)
    text = CONFIG.replace('video_directory = "clips"', 'video_jsonl_file = "list.jsonl"')
    (one,) = group_of(tmp_path / "musubi.toml", text).members()
    assert captions(one) == {"clips/a.mp4": ("from the list",)}
    (tmp_path / "list.jsonl").write_text('{"video": "clips/a.mp4"}\n')
    error = refused(tmp_path / "musubi.toml", text)
    assert error.message == "its lines have no video_path and no caption"


def test_json_is_read_as_well(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", caption=".caption")
    text = '{"datasets": [{"video_directory": "clips", "caption_extension": ".caption"}]}'
    (one,) = group_of(tmp_path / "musubi.json", text).members()
    assert captions(one) == {"a.mp4": ("a",)}
