"""ai-toolkit's config: what is read, and clips as `benchmarks/against_configs.py` found them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trainer_configs import (
    WAN_RULES,
    captions,
    footage,
    group_of,
    listing,
    note_of,
    refused,
    shapes,
    write_media,
)
from videoprep.spec.configs.ai_toolkit import ToolkitTreatment

CONFIG = """
job: extension
config:
  process:
    - type: sd_trainer
      trigger_word: sks
      model:
        arch: "wan21:1b"
      datasets:
        - folder_path: clips
          caption_ext: txt
          resolution: [384, 512]
          num_frames: 33
          num_repeats: 2
"""


def test_a_video_is_squeezed_into_its_frames_unless_it_is_told_not_to() -> None:
    shrunk = ToolkitTreatment((384,), 33).forecast(footage(640, 360, 90, 30), WAN_RULES)
    assert shapes(shrunk) == [("33×288×512", 0, 89)]
    assert shrunk.clips[0].spans
    timed = ToolkitTreatment((384,), 17, shrink=False, fps=16)
    (clip,) = timed.forecast(footage(640, 360, 90, 30), WAN_RULES).clips
    assert (clip.source, clip.spans) == (tuple(range(0, 34, 2)), False)
    assert timed.rate(WAN_RULES) == 16


def test_too_few_frames_are_stretched_or_repeated() -> None:
    timed = ToolkitTreatment((384,), 33, shrink=False, fps=16)
    found = timed.forecast(footage(640, 360, 40, 30), WAN_RULES)
    assert found.clips[0].spans
    assert found.remarks == ("it has too few frames at 16 fps, so that all of it is stretched",)
    found = ToolkitTreatment((384,), 33).forecast(footage(640, 360, 9, 30), WAN_RULES)
    assert found.remarks == ("its 9 frames are repeated to make 33",)


@pytest.mark.parametrize(("trim", "frames", "last"), [(True, 45, 82), (False, 49, 89)])
def test_as_many_frames_as_a_video_has_at_a_rate(trim: bool, frames: int, last: int) -> None:
    made = ToolkitTreatment((384,), auto=True, fps=16, trim=trim)
    (clip,) = made.forecast(footage(640, 360, 90, 30), WAN_RULES).clips
    assert (clip.frames, clip.source[-1]) == (frames, last)


def test_small_files_are_not_enlarged_and_squares_are_asked_for() -> None:
    made = ToolkitTreatment((512,), 9)
    assert [c.bucket for c in made.forecast(footage(320, 240, 9, 16), WAN_RULES).clips] == [
        "9×240×320"
    ]
    square = ToolkitTreatment((512,), 9, square=True)
    (clip,) = square.forecast(footage(320, 240, 9, 16), WAN_RULES).clips
    assert clip.bucket == "9×512×512"


def test_folders_are_read_with_the_trigger_word_in_the_captions(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "inner/b.mp4", "_controls/c.mp4", ".hidden/d.mp4")
    (tmp_path / "clips/a.txt").write_text("[trigger] walks")
    group = group_of(tmp_path / "job.yaml", CONFIG)
    (one,) = group.members()
    assert captions(one) == {"a.mp4": ("sks walks",), "inner/b.mp4": ("sks b",)}
    assert (one.entry.keys.repeats, one.spec.profile) == (2, "wan")


def test_regularization_has_no_trigger_and_a_default_caption_stands_in(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    (tmp_path / "clips/a.txt").unlink()
    text = CONFIG + "          is_reg: true\n          default_caption: anything\n"
    (one,) = group_of(tmp_path / "job.yaml", text).members()
    assert one.entry.role == "regularization"
    assert captions(one) == {"a.mp4": ("anything",)}


def test_images_alone_are_read_if_a_clip_has_one_frame(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    (one,) = group_of(tmp_path / "job.yaml", CONFIG.replace("num_frames: 33", "fps: 8")).members()
    (over,) = listing(one).reading.passed_over
    assert over.examples == ("a.mp4",)


def test_what_is_not_honoured_is_named(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    text = (
        CONFIG + "          flip_x: true\n          bucket_tolerance: 64\n          num_frame: 3\n"
    )
    group = group_of(tmp_path / "job.yaml", text)
    assert (note_of(group, "flip_x").line, note_of(group, "flip_x").severity) == (15, "warning")
    assert note_of(group, "bucket_tolerance").severity == "note"
    assert note_of(group, "'num_frame'").remedy == "did you mean 'num_frames'?"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("folder_path: clips", "folder_paths: clips", "has no 'folder_path'"),
        ("folder_path: clips", "dataset_path: list.json", "a JSON file of captions is not read"),
        ("num_frames: 33", "num_frames: 2000000000", "a number of frames from 1 to 100,000"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refused(tmp_path / "job.yaml", CONFIG.replace(old, new)).message
