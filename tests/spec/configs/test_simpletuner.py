"""SimpleTuner's list: what is read, and clips as `benchmarks/against_configs.py` found them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.trainer_configs import (
    ANY_RULES,
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
from videoprep.spec.configs.simpletuner import TunerFrames, TunerTreatment
from videoprep.spec.roles import Role

CLIPS: dict[str, Any] = {
    "id": "clips", "type": "local", "dataset_type": "video", "instance_data_dir": "clips",
    "caption_strategy": "textfile", "resolution": 384, "resolution_type": "pixel",
    "video": {"num_frames": 33, "min_frames": 17, "max_frames": 150}, "repeats": 0,
}  # fmt: skip
TEXTS = {"id": "texts", "type": "local", "dataset_type": "text_embeds", "default": True}


def written(*backends: dict[str, Any]) -> str:
    return json.dumps([*backends, TEXTS], indent=1)


def test_the_first_frames_are_taken_of_a_legal_number() -> None:
    frames = TunerFrames(33, 17, 150)
    assert frames.of(90, WAN_RULES) == (33, "")
    assert frames.of(30, WAN_RULES) == (25, "")
    assert frames.of(30, ANY_RULES) == (30, "")
    assert frames.of(16, WAN_RULES) == (0, "16 frames, cut to 9, are fewer than min_frames, 17")
    assert frames.of(200, WAN_RULES)[1].endswith("it does not cut them")
    assert TunerFrames(100, 17, None, 10).of(57, ANY_RULES) == (50, "")


@pytest.mark.parametrize(
    ("treatment", "size", "bucket"),
    [
        (TunerTreatment(384, "pixel"), (640, 360), "1×384×704"),
        (TunerTreatment(384, "pixel"), (360, 640), "1×704×384"),
        (TunerTreatment(0.25, "area"), (640, 360), "1×384×704"),
        (TunerTreatment(0.25, "area"), (500, 500), "1×512×512"),
        (TunerTreatment(0.25, "area", square=True), (640, 360), "1×512×512"),
        (TunerTreatment(512, "pixel_area"), (640, 360), "1×384×704"),
    ],
)
def test_sizes_follow_the_shorter_side_or_the_area(
    treatment: TunerTreatment, size: tuple[int, int], bucket: str
) -> None:
    assert shapes(treatment.forecast(footage(*size), WAN_RULES)) == [(bucket, 0, 0)]


def test_small_and_odd_files_are_dropped() -> None:
    small = TunerTreatment(384, "pixel", least_size=300)
    assert small.forecast(footage(320, 240), WAN_RULES).dropped == (
        "320×240 is below minimum_image_size"
    )
    narrow = TunerTreatment(384, "pixel", least_ratio=0.7)
    assert narrow.forecast(footage(360, 640), WAN_RULES).dropped.startswith("its aspect ratio 0.56")


@pytest.mark.parametrize(("repeats", "times"), [(0, 1), (1, 2), (3, 4)])
def test_repeats_count_further_times(tmp_path: Path, repeats: int, times: int) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    group = group_of(tmp_path / "multidatabackend.json", written({**CLIPS, "repeats": repeats}))
    (one,) = group.members()
    assert (one.name, one.entry.keys.repeats) == ("clips", times)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("first", "second")),
        ({"disable_multiline_split": True}, ("first\nsecond",)),
        ({"prepend_instance_prompt": True, "instance_prompt": "SKS"}, ("SKS first", "SKS second")),
        ({"caption_strategy": "instanceprompt", "instance_prompt": "SKS"}, ("SKS",)),
        ({"caption_strategy": "filename"}, ("a dog",)),
    ],
)
def test_captions_are_of_files_names_or_one_prompt(
    tmp_path: Path, more: dict[str, Any], expected: tuple[str, ...]
) -> None:
    write_media(tmp_path / "clips", "a_dog.mp4")
    (tmp_path / "clips/a_dog.txt").write_text("first\n\nsecond\n" if not more else "first\nsecond")
    (one,) = group_of(tmp_path / "multidatabackend.json", written({**CLIPS, **more})).members()
    assert captions(one) == {"a_dog.mp4": expected}


def test_a_table_has_captions(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    (tmp_path / "table.jsonl").write_text('{"file": "a.mp4", "text": "from the table"}\n')
    parquet = {
        "path": "table.jsonl", "filename_column": "file", "caption_column": "text",
        "identifier_includes_extension": True,
    }  # fmt: skip
    backend = {**CLIPS, "caption_strategy": "parquet", "parquet": parquet}
    (one,) = group_of(tmp_path / "multidatabackend.json", written(backend)).members()
    assert captions(one) == {"a.mp4": ("from the table",)}


def test_a_dataset_of_conditions_goes_with_its_clips(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    write_media(tmp_path / "depth", "a.mp4")
    depth = {
        "id": "depth", "dataset_type": "conditioning", "conditioning_type": "controlnet",
        "instance_data_dir": "depth",
    }  # fmt: skip
    text = written({**CLIPS, "conditioning_data": "depth"}, depth)
    (one,) = group_of(tmp_path / "multidatabackend.json", text).members()
    assert listing(one).samples[0].media[Role("control")].name == "depth/a.mp4"


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    cloud = {**CLIPS, "id": "cloud", "type": "aws"}
    sound = {"id": "sound", "dataset_type": "audio"}
    off = {**CLIPS, "id": "off", "disabled": True}
    backend = {**CLIPS, "probability": 0.5, "crop_stile": "center"}
    group = group_of(tmp_path / "multidatabackend.json", written(backend, cloud, sound, off))
    assert [one.name for one in group.members()] == ["clips"]
    assert note_of(group, "'cloud'").severity == note_of(group, "'sound'").severity == "warning"
    assert "weight" in note_of(group, "probability").message
    assert note_of(group, "crop_stile").remedy == "did you mean 'crop_style'?"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"type": "aws"}, "no dataset of videos or images of this machine"),
        ({"resolution": "large"}, "a number above 0"),
        ({"resolution": None}, "'resolution' is missing"),
        ({"caption_strategy": "instanceprompt"}, "'instance_prompt' is missing"),
        ({"caption_strategy": "huggingface"}, "textfile or filename"),
        ({"video": {"num_frames": -1}}, "a number of frames"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    error = refused(tmp_path / "multidatabackend.json", written({**CLIPS, **more}))
    assert words in error.message
