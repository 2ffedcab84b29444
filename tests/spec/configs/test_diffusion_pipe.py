"""diffusion-pipe's config: what is read, and clips as benchmarks/against_configs.py found them."""

from __future__ import annotations

import json
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
from videoprep.errors import Code
from videoprep.spec.configs.contract import Treatment
from videoprep.spec.configs.diffusion_pipe import PipeTreatment
from videoprep.spec.roles import Role

RATIOS = "enable_ar_bucket = true\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = 7\n"
CONFIG = f"""resolutions = [256, 512]
{RATIOS}frame_buckets = [1, 17, 33]
[[directory]]
path = "clips"
num_repeats = 1.5
caption_prefix = "SKS, "
"""


def treatment(tmp_path: Path, text: str) -> Treatment:
    """That of the first directory of a config."""
    (tmp_path / "clips").mkdir(exist_ok=True)
    (one,) = group_of(tmp_path / "dataset.toml", text).members()
    made = one.spec.treatment
    assert made is not None
    return made


def test_a_clip_is_in_each_area_at_the_models_rate(tmp_path: Path) -> None:
    made = treatment(tmp_path, CONFIG)
    assert shapes(made.forecast(footage(640, 360, 90, 30), WAN_RULES)) == [
        ("33×208×320", 0, 60), ("33×400×640", 0, 60)
    ]  # fmt: skip
    assert made.rate(WAN_RULES) == 16


def test_what_is_too_short_at_the_models_rate_is_dropped(tmp_path: Path) -> None:
    found = treatment(tmp_path, CONFIG).forecast(footage(640, 360, 25, 25), WAN_RULES)
    assert found.dropped == (
        "25 frames at 25 fps are 16 at 16, fewer than the shortest frame bucket, 17"
    )


def test_without_aspect_ratios_clips_are_squares(tmp_path: Path) -> None:
    text = 'resolutions = [[640, 360]]\nframe_buckets = [17]\n[[directory]]\npath = "clips"\n'
    found = treatment(tmp_path, text).forecast(footage(640, 360, 48, 24), WAN_RULES)
    assert [clip.bucket for clip in found.clips] == ["17×480×480"]


def test_listed_buckets_are_mistaken_unless_they_ascend(tmp_path: Path) -> None:
    listed = "size_buckets = [[640, 352, 17], [352, 640, 17]]\n[[directory]]\npath = 'clips'\n"
    made = treatment(tmp_path, listed)
    found = made.forecast(footage(640, 360, 48, 24), WAN_RULES)
    assert [clip.bucket for clip in found.clips] == ["17×640×352"]
    assert [clip.bucket for clip in found.planned] == ["17×352×640"]
    assert "mistakes the order of size_buckets" in found.remarks[0]
    ascending = listed.replace("[640, 352, 17], [352, 640, 17]", "[352, 640, 17], [640, 352, 17]")
    found = treatment(tmp_path, ascending).forecast(footage(640, 360, 48, 24), WAN_RULES)
    assert [clip.bucket for clip in found.clips] == ["17×352×640"]
    assert found.remarks == ()


def test_a_header_that_announces_more_frames_ends_it() -> None:
    made = PipeTreatment((1, 33), (1.0,), (480.0,))
    found = made.forecast(footage(640, 360, 20, 16, announced=40), WAN_RULES)
    assert found.dropped.startswith("it ends with an error: the header announces 40 frames")


def test_a_picture_never_takes_a_video_and_a_video_no_picture() -> None:
    made = PipeTreatment((1, 33), (1.0,), (480.0,))
    assert shapes(made.forecast(footage(640, 360), WAN_RULES)) == [("1×480×480", 0, 0)]
    assert made.forecast(footage(640, 360, 20, 16), WAN_RULES).clips == ()


def test_captions_are_beside_files_or_in_one_and_get_the_prefix(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "b.mp4")
    group = group_of(tmp_path / "dataset.toml", CONFIG)
    (one,) = group.members()
    assert captions(one) == {"a.mp4": ("SKS, a",), "b.mp4": ("SKS, b",)}
    assert {sample.extras.weight for sample in listing(one).samples} == {1.5}
    (tmp_path / "clips/captions.json").write_text(json.dumps({"a.mp4": ["one", "two"], "b.mp4": 3}))
    (one,) = group_of(tmp_path / "dataset.toml", CONFIG).members()
    found = listing(one)
    assert captions(one) == {"a.mp4": ("SKS, one", "SKS, two")}
    assert [problem.code for problem in found.problems] == [Code.BAD_VALUE]
    (tmp_path / "clips/captions.json").write_text("[")
    (one,) = group_of(tmp_path / "dataset.toml", CONFIG).members()
    with pytest.raises(Exception, match="cannot be read"):
        listing(one)


def test_the_main_config_says_the_model_and_which_part(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4")
    write_media(tmp_path / "held", "b.mp4")
    (tmp_path / "dataset.toml").write_text(CONFIG)
    (tmp_path / "eval.toml").write_text(CONFIG.replace('"clips"', '"held"'))
    main = """
dataset = 'dataset.toml'
video_clip_mode = 'single_middle'
eval_datasets = [{name = 'held', config = 'eval.toml'}]
[model]
type = 'wan'
"""
    group = group_of(tmp_path / "main.toml", main)
    train, held = group.members()
    assert (train.spec.profile, train.entry.role, held.entry.role) == ("wan", "train", "validation")
    made = train.spec.treatment
    assert isinstance(made, PipeTreatment)
    assert made.middle
    (clip, _) = made.forecast(footage(640, 360, 49, 16), WAN_RULES).clips
    assert (clip.offset, clip.source[0]) == (8, 8)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("resolutions = [256, 512]", "", "'resolutions' is missing"),
        ("min_ar = 0.5\n", "", "enable_ar_bucket needs min_ar, or ar_buckets"),
        ("num_repeats = 1.5", "num_repeats = 0", "a number above 0"),
        ("resolutions = [256, 512]", "size_buckets = [[1, 2]]", "[width, height, frames]"),
        ('path = "clips"\n', "", "has no 'path'"),
    ],
)
def test_what_it_refuses_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "clips").mkdir()
    assert words in refused(tmp_path / "dataset.toml", CONFIG.replace(old, new)).message


def test_many_resolutions_and_unknown_keys_are_named(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    text = CONFIG.replace("[256, 512]", "[256, 384, 512, 640]") + "num_repeat = 2\n"
    group = group_of(tmp_path / "dataset.toml", text)
    assert "more than 3 resolutions" in note_of(group, "i_know_what").message
    assert note_of(group, "'num_repeat'").remedy == "did you mean 'num_repeats'?"


def test_masks_may_be_lacking_and_controls_may_not(tmp_path: Path) -> None:
    write_media(tmp_path / "clips", "a.mp4", "b.mp4")
    write_media(tmp_path / "masks", "a.mkv")
    text = CONFIG + 'mask_path = "masks"\n'
    (one,) = group_of(tmp_path / "dataset.toml", text).members()
    found = {sample.name: sample.media for sample in listing(one).samples}
    assert found["clips/a.mp4"][Role("mask")].name == "masks/a.mkv"
    assert Role("mask") not in found["clips/b.mp4"]
    text = CONFIG + 'control_path = "masks"\n'
    (one,) = group_of(tmp_path / "dataset.toml", text).members()
    assert [sample.name for sample in listing(one).samples] == ["clips/a.mp4"]
    assert [problem.code for problem in listing(one).problems] == [Code.MISSING_MEDIA]
