"""The saved plan: complete, deterministic, and refused when it no longer holds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.assets import write_lists, write_video
from videoprep.errors import EmptyPlanError, ListError, PlanError
from videoprep.index.bucket import Bucket


def test_every_sample_is_planned_or_left_out(dataset: Path) -> None:
    write_video(dataset / "videos/odd.mp4", width=90, height=64)
    (dataset / "videos/bad.mp4").write_bytes(b"no video")
    names = ["a", "odd", "b", "bad", "c"]
    write_lists(dataset, [f"clip {n}" for n in names], [f"videos/{n}.mp4" for n in names])
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    assert [clip.caption for clip in index.clips()] == ["clip a", "clip b", "clip c"]
    assert [(s.video, s.line, s.code) for s in index.left_out] == [
        ("videos/odd.mp4", 2, "VP101"),
        ("videos/bad.mp4", 4, "VP103"),
    ]
    assert len(index) + len(index.left_out) == index.table.num_rows == 5
    assert index.buckets == [Bucket(9, 64, 96), Bucket(9, 64, 96), Bucket(5, 96, 64)]


def test_save_and_load(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset), target_fps=4)
    index.save(tmp_path / "one.parquet")
    again = vp.BucketIndex.load(tmp_path / "one.parquet")
    assert again.table.equals(index.table)
    assert list(again.clips()) == list(index.clips())
    assert again.digest == index.digest
    assert again.data_root == dataset.resolve()
    assert again.policy["target_fps"] == "4"


def test_equal_input_gives_equal_bytes(dataset: Path, tmp_path: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset)
    for name in ("one", "two"):
        vp.BucketIndex.build(spec).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_file_reads_without_videoprep(dataset: Path, tmp_path: Path) -> None:
    vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset)).save(tmp_path / "index.parquet")
    rows = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["caption"] for row in rows] == [f"A grey clip named {n}." for n in "abc"]
    assert rows[0]["frame_indices"] == list(range(9))


def test_keys_follow_contents_and_not_names(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset)
    before = list(vp.BucketIndex.build(spec).clips())
    (dataset / "videos/a.mp4").rename(dataset / "videos/renamed.mp4")
    write_lists(
        dataset,
        ["A grey clip named a.", "another caption", "A grey clip named c."],
        ["videos/renamed.mp4", "videos/b.mp4", "videos/c.mp4"],
    )
    write_video(dataset / "videos/c.mp4", width=64, height=96, frames=4)
    after = list(vp.BucketIndex.build(spec).clips())
    same_video = [a.video_key == b.video_key for a, b in zip(before, after, strict=True)]
    same_prompt = [a.prompt_key == b.prompt_key for a, b in zip(before, after, strict=True)]
    assert same_video == [True, True, False]
    assert same_prompt == [True, False, True]


def test_other_frames_or_crops_make_other_keys(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset)
    plain = next(vp.BucketIndex.build(spec).clips())
    shorter = next(vp.BucketIndex.build(spec, max_num_frames=5).clips())
    cropped = next(
        vp.BucketIndex.build(
            spec, reshape="center-crop", height_buckets=(64,), width_buckets=(64,)
        ).clips()
    )
    assert len({plain.video_key, shorter.video_key, cropped.video_key}) == 3
    assert plain.image_key == shorter.image_key != cropped.image_key
    assert plain.prompt_key == shorter.prompt_key == cropped.prompt_key


def test_lists_with_mistakes_are_refused(dataset: Path) -> None:
    write_lists(dataset, ["one", "", "three"])
    with pytest.raises(ListError):
        vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))


def test_nothing_planned_is_an_error_with_the_reasons(dataset: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset), frame_buckets=(17,))
    with pytest.raises(EmptyPlanError, match="all 3 samples are left out: VP302") as raised:
        index.require_clips()
    assert raised.value.exit_code == 1


def test_changed_and_vanished_sources_are_named(dataset: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    index.check_sources()
    write_video(dataset / "videos/a.mp4", frames=5)
    (dataset / "videos/b.mp4").unlink()
    with pytest.raises(PlanError, match="2 videos are not as they were planned") as raised:
        index.check_sources()
    assert "videos/a.mp4: its contents changed" in str(raised.value)
    assert "videos/b.mp4" in str(raised.value)


def test_other_files_are_no_index(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no such index"):
        vp.BucketIndex.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(PlanError, match="cannot be read as Parquet"):
        vp.BucketIndex.load(tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(PlanError, match="is not an index of videoprep"):
        vp.BucketIndex.load(tmp_path / "other.parquet")


def test_a_newer_version_is_refused(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    metadata = {b"videoprep.index": b'{"version": 99}'}
    pq.write_table(index.table.replace_schema_metadata(metadata), tmp_path / "new.parquet")
    with pytest.raises(PlanError, match="has version 99"):
        vp.BucketIndex.load(tmp_path / "new.parquet")


def test_real_clips_at_eight_frames_a_second(real_clips: Path) -> None:
    spec = vp.DatasetSpec.from_path(real_clips)
    index = vp.BucketIndex.build(
        spec, reshape="center-crop", target_fps=8, frame_buckets=(17, 33, 49)
    )
    clips = {clip.video: clip for clip in index.clips()}
    assert len(clips) == 8
    bunny = clips["videos/bunny.mp4"].pixels.frames.indices
    assert len(bunny) == 33
    assert (bunny[-1] - bunny[0]) / 32 == 3.125
    assert clips["videos/hiker.mp4"].pixels.frames.indices == list(range(49))


def test_it_renders_itself_without_trusting_captions(dataset: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    assert "9×64×96" in index._repr_html_()
