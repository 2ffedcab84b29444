"""Plans of datasets of trainers' configs, beside what the trainers would make of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.assets import write_video
from tests.support.trainer_configs import group_of, refused, write_media
from videoprep.errors import Code, MediaError, SpecError
from videoprep.index.forecasts import SampleForecast, forecasts_of, summarize_forecasts
from videoprep.index.policy import options_of
from videoprep.index.table import BucketIndex
from videoprep.sources import open_index
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup

CONFIG = """
[general]
resolution = [96, 64]
caption_extension = ".txt"
enable_bucket = true
[[datasets]]
video_directory = "clips"
target_frames = [5, 17]
num_repeats = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos of 3, 9 and 40 frames at 16 fps, and one at 32."""
    for name, frames, fps in (("a", 40, 16), ("b", 9, 16), ("c", 3, 16), ("d", 40, 32)):
        write_video(tmp_path / f"clips/{name}.mp4", frames=frames, fps=fps)
        (tmp_path / f"clips/{name}.txt").write_text(name)
    return tmp_path


def test_the_plan_has_the_trainers_clips_as_often(folder: Path) -> None:
    group = group_of(folder / "musubi.toml", CONFIG, profile="wan")
    index = BucketIndex.build(group)
    videos, buckets = index.table["video"].to_pylist(), [str(one) for one in index.buckets]
    clips = index.table.filter(index.table["left_out_code"].is_null())["video"].to_pylist()
    assert list(zip(clips, buckets, strict=True)) == [
        ("clips/a.mp4", "5×64×96"), ("clips/a.mp4", "17×64×96"), ("clips/b.mp4", "5×64×96"),
        ("clips/d.mp4", "5×64×96"), ("clips/d.mp4", "17×64×96"),
    ]  # fmt: skip
    assert videos.count("clips/c.mp4") == 1
    assert set(index.table["repeats"].to_pylist()) == {2}
    assert set(index.table["weight"].to_pylist()) == {1.0}
    (left,) = index.left_out
    assert (left.code, left.video) == (Code.TOO_SHORT.value, "clips/c.mp4")
    assert "musubi-tuner makes no clip of it: 3 frames are there, fewer than the 5" in left.reason


def test_forecasts_are_counted_beside_the_plan(folder: Path) -> None:
    (folder / "clips/e.mp4").write_bytes(b"no video")
    (folder / "clips/e.txt").write_text("e")
    group = group_of(folder / "musubi.toml", CONFIG, profile="wan")
    (summary,) = summarize_forecasts(group)
    assert (summary.files, summary.clips, summary.planned, summary.alike) == (4, 5, 5, 4)
    assert (summary.dropped.total(), summary.fast, summary.slow) == (1, 0, 1)
    (dataset,) = group.members()
    found = {sample.name: one for sample, one in forecasts_of(dataset)}
    assert isinstance(found["e.mp4"], MediaError)
    slow = found["d.mp4"]
    assert isinstance(slow, SampleForecast)
    assert slow.speeds == (0.5, 0.5)
    assert slow.has_same_frames


def test_a_converted_rate_is_planned_by_the_frames_times(folder: Path) -> None:
    text = CONFIG + "source_fps = 30.0\n"
    group = group_of(folder / "musubi.toml", text, profile="wan")
    found = {s.name: one for s, one in forecasts_of(group.members()[0])}
    one = found["d.mp4"]
    assert isinstance(one, SampleForecast)
    assert isinstance(one.planned, tuple)
    assert one.has_same_buckets
    assert not one.has_same_frames
    assert {float(clip.rate or 0) for clip in one.planned} == {16.0}


def test_options_of_the_user_replace_what_the_config_says(folder: Path) -> None:
    group = group_of(folder / "musubi.toml", CONFIG, profile="wan")
    index = BucketIndex.build(group.with_options({"frame_buckets": (9,)}))
    assert {str(one) for one in index.buckets} == {"9×64×96"}
    assert group.with_options({"reshape": "none"}).members()[0].spec.treatment is None
    kept = group.with_options({"target_fps": 8, "reshape": "pad"}).members()[0].spec
    assert kept.treatment is not None
    assert DatasetSpec.of(kept, clip_mode="middle").treatment is None


def test_a_changed_config_is_another_plan_and_an_unchanged_one_is_not(folder: Path) -> None:
    first = BucketIndex.build(group_of(folder / "musubi.toml", CONFIG, profile="wan"))
    again = BucketIndex.build(DatasetGroup.from_path(folder / "musubi.toml", profile="wan"))
    first.save(folder / "index.parquet")
    saved = BucketIndex.load(folder / "index.parquet")
    assert options_of(saved.policy) == options_of(again.policy)
    text = CONFIG.replace("[5, 17]", "[5]")
    other = BucketIndex.build(group_of(folder / "musubi.toml", text, profile="wan"))
    assert options_of(other.policy) != options_of(saved.policy)


def test_a_file_is_needed_and_a_folder_is_none(folder: Path) -> None:
    (folder / "musubi.toml").write_text(CONFIG)
    assert DatasetGroup.find(folder) is None
    index = open_index(f"{folder}/musubi.toml#clips", profile="wan")
    assert index.data_root == (folder / "clips").resolve()
    with pytest.raises(SpecError, match="there is no dataset 'clip'"):
        open_index(f"{folder}/musubi.toml#clip")


def test_a_size_that_the_model_does_not_take_names_the_profile(folder: Path) -> None:
    text = CONFIG.replace("[96, 64]", "[96, 96]").replace("[5, 17]", "[9, 17]")
    group = group_of(folder / "musubi.toml", text, profile="ltx-video")
    reasons = {one.code for one in BucketIndex.build(group).left_out}
    assert reasons == {"VP101", "VP302"}


def test_folders_of_another_machine_are_named_and_can_be_replaced(folder: Path) -> None:
    text = CONFIG.replace('"clips"', '"/home/anon/data/clips"')
    error = refused(folder / "musubi.toml", text)
    assert error.message.endswith("no such folder: /home/anon/data/clips")
    assert str(error.remedy).startswith("did you mean clips? correct the path")
    assert str(error.where).endswith("musubi.toml:6")
    spec = DatasetSpec.from_path(f"{folder}/musubi.toml#clips", data_root=folder / "clips")
    assert len(list(spec.samples())) == 4


def test_each_folder_is_a_root_of_its_own(tmp_path: Path) -> None:
    write_media(tmp_path / "elsewhere", "a.mp4")
    write_media(tmp_path / "secret", "b.mp4")
    os.symlink(tmp_path / "secret/b.mp4", tmp_path / "elsewhere/b.mp4")
    (tmp_path / "elsewhere/b.txt").write_text("b")
    (tmp_path / "configs").mkdir()
    text = CONFIG.replace('"clips"', f'"{tmp_path}/elsewhere"')
    group = group_of(tmp_path / "configs/musubi.toml", text, profile="wan")
    (note,) = [one for one in group.config_notes if one.code is Code.OUTSIDE_ROOT]
    assert (note.line, note.severity) == (7, "note")
    (one,) = group.members()
    listing = one.spec.listing()
    assert [sample.name for sample in listing.samples] == ["a.mp4"]
    assert [problem.code for problem in listing.problems] == [Code.OUTSIDE_ROOT]
    allowed = group.with_options({"allow_outside_root": True}).members()[0].spec
    assert [sample.name for sample in allowed.listing().samples] == ["a.mp4", "b.mp4"]


def test_relative_folders_are_where_the_command_runs_or_beside_the_config(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    (one,) = group_of(folder / "musubi.toml", CONFIG).members()
    assert one.spec.data_root == folder / "clips"
    write_media(here / "clips", "other.mp4")
    (one,) = DatasetGroup.from_path(folder / "musubi.toml").members()
    assert one.spec.data_root == here / "clips"
