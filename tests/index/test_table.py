"""The saved plan: complete, deterministic, and refused when it no longer holds."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.errors import EmptyPlanError, ListError, PlanError
from videoprep.index.bucket import Bucket
from videoprep.workers import pool as workers


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
    assert len(index) + len(index.left_out) == index.table.num_rows == index.samples == 5
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
    assert rows[0]["frame_indices"] == "0:9"


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


def test_one_bad_line_costs_one_sample(dataset: Path) -> None:
    write_lists(dataset, ["one", "", "three"])
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset), reshape="center-crop")
    assert [clip.video for clip in index.clips()] == ["videos/a.mp4", "videos/c.mp4"]
    assert [(s.line, s.code) for s in index.left_out] == [(2, "VP003")]


def test_lists_that_pair_nothing_are_refused(dataset: Path) -> None:
    write_lists(dataset, ["one", "two"])
    with pytest.raises(ListError, match="VP002"):
        vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))


def test_nothing_planned_is_an_error_with_the_reasons(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset)
    index = vp.BucketIndex.build(spec, reshape="center-crop", buckets=("5x128x128",))
    with pytest.raises(EmptyPlanError, match="all 3 samples are skipped: VP301") as raised:
        index.require_clips()
    assert raised.value.exit_code == 1


def test_a_frame_bucket_longer_than_every_clip(dataset: Path) -> None:
    spec = vp.DatasetSpec.from_path(dataset)
    with pytest.raises(PlanError, match="longer than every clip: 17, 33; the longest has 9 fr"):
        vp.BucketIndex.build(spec, reshape="center-crop", frame_buckets=(5, 17, 33))


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
    assert list(clips["videos/hiker.mp4"].pixels.frames.indices) == list(range(49))


def test_real_clips_in_buckets_of_their_own(real_clips: Path) -> None:
    index = vp.BucketIndex.build(
        real_clips, target_fps=8, frame_buckets=(17, 33, 49), buckets="auto"
    )
    assert len(index) == 8
    assert index.policy["reshape"] == "center-crop"
    for clip in index.clips():
        frames = clip.pixels.frames
        assert frames.ticks is not None
        assert clip.bucket.frames in (17, 33, 49)
        with av.open(str(frames.path)) as container:  # what the file itself says
            stream = container.streams[frames.stream]
            base = stream.time_base
            shown = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        times = np.array([float((pts - shown[0]) * base) for pts in shown])
        taken = np.array([float((t - shown[0]) * base) for t in frames.ticks])
        ideal = np.arange(clip.bucket.frames) / 8
        best = np.abs(times[None, :] - ideal[:, None]).min(axis=1)
        assert np.abs(taken - ideal) == pytest.approx(best, abs=1e-6), "each the nearest in time"
        if clip.video == "videos/bunny.mp4":
            apart = (frames.indices[-1] - frames.indices[0]) / (clip.bucket.frames - 1)
            assert apart == pytest.approx(3.125), "25 frames a second at 8"


def test_it_renders_itself_without_trusting_captions(dataset: Path) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    assert "9×64×96" in index._repr_html_()
    assert repr(index) == "BucketIndex(3 clips in 2 buckets, 0 samples skipped, profile 'default')"


def write_table(folder: Path, columns: str, rows: list[str]) -> Path:
    """A CSV of the three clips; each row goes on after ``video,caption``."""
    text = "".join(f"{row}\n" for row in [f"video,caption{columns}", *rows])
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def test_several_clips_of_a_video(dataset: Path) -> None:
    index = vp.BucketIndex.build(
        dataset, reshape="center-crop", buckets=("4x64x64",), clip_mode="chunk"
    )
    rows = index.table.select(["video", "clip", "frame_indices"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("videos/a.mp4", 0, "0:4"),
        ("videos/a.mp4", 1, "4:8"),
        ("videos/b.mp4", 0, "0:4"),
        ("videos/b.mp4", 1, "4:8"),
        ("videos/c.mp4", 0, "0:4"),
    ]
    assert (index.samples, len(index)) == (3, 5)
    assert len({clip.video_key for clip in index.clips()}) == 5
    assert [clip.number for clip in index.clips()] == [0, 1, 0, 1, 0]


def test_captioned_parts_of_one_video(dataset: Path) -> None:
    rows = ["videos/a.mp4,first,0,4", "videos/a.mp4,second,4,9", "videos/a.mp4,gone,9,12"]
    table = write_table(dataset, ",start_frame,end_frame", rows)
    index = vp.BucketIndex.build(table)
    assert [(c.caption, list(c.pixels.frames.indices)) for c in index.clips()] == [
        ("first", [0, 1, 2, 3]),
        ("second", [4, 5, 6, 7, 8]),
    ]
    assert [(entry.line, entry.code) for entry in index.left_out] == [(4, "VP310")]
    assert index.samples == 3


def test_samples_keep_their_names(dataset: Path) -> None:
    def names() -> dict[str, str]:
        table = vp.BucketIndex.build(dataset).table
        pairs = zip(table["caption"].to_pylist(), table["sample"].to_pylist(), strict=True)
        return dict(pairs)

    before = names()
    order = ["c", "a", "b", "a"]
    write_lists(
        dataset,
        ["A grey clip named c.", "A grey clip named a.", "other words", "the same video again"],
        [f"videos/{name}.mp4" for name in order],
    )
    after = names()
    assert after["A grey clip named c."] == before["A grey clip named c."]
    assert after["A grey clip named a."] == before["A grey clip named a."]
    assert after["other words"] == before["A grey clip named b."], "a caption is no name"
    assert len(set(after.values())) == 4


def test_the_index_of_a_filtered_one_is_as_if_planned_so(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(dataset)
    portrait = index.filter(height=96)
    assert [clip.video for clip in portrait.clips()] == ["videos/c.mp4"]
    assert len(index.filter(pc.field("frames") > 5)) == 2
    assert len(index.filter(np.array([True, False, True]), width=[96])) == 1
    assert len(index.filter(frames=np.array([9, 17]))) == 2
    nothing = index.filter(height=1)
    assert (len(nothing), nothing.samples, nothing.left_out, nothing.buckets) == (0, 0, [], [])
    assert nothing.digest != index.digest
    nothing.save(tmp_path / "nothing")
    assert len(vp.BucketIndex.load(tmp_path / "nothing")) == 0
    with pytest.raises(PlanError, match="no column hight"):
        index.filter(hight=96)
    for wrong in (np.ones(1, np.bool_), np.ones(3), pc.field("hight") > 3):
        with pytest.raises(PlanError, match="the condition does not fit"):
            index.filter(wrong)
    with pytest.raises(PlanError, match="the condition does not fit"):
        index.filter(frames="many")
    write_lists(dataset, ["A grey clip named c."], ["videos/c.mp4"])
    portrait.save(tmp_path / "filtered")
    again = vp.BucketIndex.build(dataset)
    assert again.digest == portrait.digest
    columns = [name for name in again.table.column_names if name != "line"]
    assert again.table.select(columns).to_pylist() == portrait.table.select(columns).to_pylist()
    loaded = vp.BucketIndex.load(tmp_path / "filtered")
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "filtered").read_bytes()


def test_indices_are_joined(dataset: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "more/d.mp4", frames=13)
    write_lists(tmp_path / "more", ["d"], ["d.mp4"])
    (tmp_path / "v.txt").write_text("more/d.mp4\n")
    (tmp_path / "c.txt").write_text("d\n")
    one, other = vp.BucketIndex.build(dataset), vp.BucketIndex.build(tmp_path / "more")
    joined = vp.BucketIndex.concat([one, other])
    assert joined.data_root == tmp_path.resolve()
    assert [clip.pixels.frames.path.is_file() for clip in joined.clips()] == [True] * 4
    assert len(joined) == joined.samples == 4
    joined.check_sources()
    with pytest.raises(PlanError, match="share clips"):
        vp.BucketIndex.concat([one, one])
    above = vp.BucketIndex.build(
        vp.DatasetSpec(data_root=tmp_path, video_column="v.txt", caption_column="c.txt")
    )
    with pytest.raises(PlanError, match="share clips"):
        vp.BucketIndex.concat([above, other])
    cropped = vp.BucketIndex.build(dataset, profile="cogvideox")
    with pytest.raises(PlanError, match="different profiles: cogvideox, default"):
        vp.BucketIndex.concat([other, cropped])
    with pytest.raises(PlanError, match="no index to join"):
        vp.BucketIndex.concat([])


def test_splits_go_by_contents(tmp_path: Path) -> None:
    for number in range(40):
        write_video(tmp_path / f"{number}.mp4", width=32, height=32, frames=5, lift=20 + number)
    (tmp_path / "copy.mp4").write_bytes((tmp_path / "3.mp4").read_bytes())
    names = [*(f"{number}.mp4" for number in range(40)), "copy.mp4", "3.mp4"]
    write_lists(tmp_path, [f"caption {n}" for n in range(42)], names)
    index = vp.BucketIndex.build(tmp_path, split={"train": 0.7, "val": 0.3})
    parts = index.split()
    assert len(parts["train"]) + len(parts["val"]) == len(index) == 42
    assert 4 <= len(parts["val"]) <= 22
    contents = [set(part.table["fingerprint"].to_pylist()) for part in parts.values()]
    assert not contents[0] & contents[1]
    write_video(tmp_path / "new.mp4", width=32, height=32, frames=5, lift=90)
    write_lists(tmp_path, [f"caption {n}" for n in range(43)], [*names, "new.mp4"])
    later = vp.BucketIndex.build(tmp_path, split={"train": 0.7, "val": 0.3})
    assert later.table["split"].to_pylist()[:42] == index.table["split"].to_pylist()
    again = index.split({"a": 0.5, "b": 0.5})
    assert len(again["a"]) + len(again["b"]) == 42
    other_order = index.split({"b": 0.5, "a": 0.5})
    assert other_order["a"].digest == again["a"].digest, "not the order of writing decides"
    with pytest.raises(PlanError, match=r"sum up to 0\.9"):
        vp.BucketIndex.build(tmp_path, split={"train": 0.8, "val": 0.1})
    for shares in ({"a": -0.5, "b": 1.5}, {"a": float("nan"), "b": 1.0}):
        with pytest.raises(PlanError, match="no share of a dataset"):
            index.split(shares)


def test_splits_that_are_written(dataset: Path) -> None:
    (dataset / "videos/copy.mp4").write_bytes((dataset / "videos/a.mp4").read_bytes())
    rows = ["videos/a.mp4,one,val", "videos/copy.mp4,two,", "videos/c.mp4,three,"]
    table = write_table(dataset, ",split", rows)
    index = vp.BucketIndex.build(table)
    assert index.table["split"].to_pylist() == ["val", "val", None], "a copy goes with it"
    with pytest.raises(PlanError, match="1 of 3 clips were planned without a split"):
        index.split()
    shared = vp.BucketIndex.build(table, split={"train": 1.0})
    assert shared.table["split"].to_pylist() == ["val", "val", "train"]
    rows[1] = "videos/copy.mp4,two,train"
    with pytest.raises(PlanError, match=r"a\.mp4 in val, videos/copy\.mp4 in train"):
        vp.BucketIndex.build(write_table(dataset, ",split", rows))


def test_weights_and_repeats(dataset: Path) -> None:
    rows = ["videos/a.mp4,one,2,", "videos/b.mp4,two,,0.5", "videos/c.mp4,three,3,0.5"]
    index = vp.BucketIndex.build(write_table(dataset, ",repeats,weight", rows))
    assert index.multiplicity.tolist() == [2.0, 0.5, 1.5]
    plain = vp.BucketIndex.build(
        write_table(dataset, "", [",".join(row.split(",")[:2]) for row in rows])
    )
    assert plain.multiplicity.tolist() == [1.0, 1.0, 1.0]
    assert plain.digest != index.digest


def test_what_changed_since_an_older_index(dataset: Path) -> None:
    old = vp.BucketIndex.build(dataset)
    assert old.diff(old).unchanged == 3
    assert not old.diff(old).changes
    write_video(dataset / "videos/b.mp4", lift=10)
    write_video(dataset / "videos/d.mp4")
    write_lists(
        dataset,
        ["A grey clip named d.", "another caption", "A grey clip named b."],
        ["videos/d.mp4", "videos/a.mp4", "videos/b.mp4"],
    )
    new = vp.BucketIndex.build(dataset)
    found = new.diff(old)
    assert [(change.video, change.what) for change in found.changes] == [
        ("videos/a.mp4", ("caption",)),
        ("videos/b.mp4", ("contents",)),
        ("videos/d.mp4", ("added",)),
        ("videos/c.mp4", ("removed",)),
    ]
    assert found.unchanged == 0
    assert found.to_encode == {"video_latents": 1, "image_latents": 1, "prompt_embeds": 2}, (
        "d.mp4 is a copy of a.mp4"
    )
    assert Counter(found.counts) == {"caption": 1, "contents": 1, "added": 1, "removed": 1}
    assert json.dumps(found.to_json())
    shorter = vp.BucketIndex.build(dataset, reshape="center-crop", max_num_frames=5)
    assert {change.what for change in shorter.diff(new).changes} == {("frames",)}
    assert shorter.diff(new).to_encode["image_latents"] == 0, "they begin with the same frame"


def test_videos_that_are_gone_are_left_out(dataset: Path) -> None:
    planned = vp.BucketIndex.build(
        dataset, reshape="center-crop", clip_mode="chunk", frame_buckets=(4,)
    )
    (dataset / "videos/a.mp4").unlink()
    with pytest.raises(ListError):
        vp.BucketIndex.build(dataset, on_missing="error")
    index = vp.BucketIndex.build(dataset)
    assert [clip.video for clip in index.clips()] == ["videos/b.mp4", "videos/c.mp4"]
    assert [(s.video, s.line, s.code) for s in index.left_out] == [("videos/a.mp4", 1, "VP005")]
    with pytest.raises(PlanError, match=r"videos/a\.mp4(.|\n)*on_missing='skip'"):
        planned.check_sources()
    left = planned.check_sources("skip")
    assert (len(planned), len(left), left.samples) == (5, 3, 3)
    (gone,) = left.left_out
    assert (gone.video, gone.code) == ("videos/a.mp4", "VP403")
    assert "it was planned, but" in gone.reason


def test_an_older_version_is_refused(tmp_path: Path) -> None:
    metadata = {b"videoprep.index": b'{"version": 1}'}
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), tmp_path / "old.parquet")
    with pytest.raises(PlanError, match=r"has version 1, which .* no longer reads"):
        vp.BucketIndex.load(tmp_path / "old.parquet")


def test_it_becomes_a_data_frame(dataset: Path) -> None:
    frame = vp.BucketIndex.build(dataset).to_pandas()
    assert list(frame["frames"]) == [9, 9, 5]
    assert frame["file"].nunique() == 1


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were handed to a worker to be opened, in order; hashing does not count."""
    names: list[str] = []
    real = workers.Worker.give

    def give(worker: workers.Worker, job: workers._Inspection) -> None:
        if "probe" in job.request.do:
            names.append(job.request.path.name)
        real(worker, job)

    monkeypatch.setattr(workers.Worker, "give", give)
    return names


def test_only_what_changed_is_opened_again(dataset: Path, opened: list[str]) -> None:
    vp.BucketIndex.build(dataset)
    assert sorted(opened) == ["a.mp4", "b.mp4", "c.mp4"]
    opened.clear()
    names = [f"videos/{name}.mp4" for name in "abcd"]
    write_video(dataset / "videos/b.mp4", lift=10)
    write_video(dataset / "videos/d.mp4", lift=20)
    write_lists(dataset, ["a new caption", "b", "c", "d"], names)
    vp.BucketIndex.build(dataset)
    assert sorted(opened) == ["b.mp4", "d.mp4"], "a caption needs no video"
    opened.clear()
    write_lists(dataset, ["c", "d"], names[2:])
    vp.BucketIndex.build(dataset, reshape="center-crop", buckets="auto", target_fps=4)
    assert not opened, "another plan needs no video, either"


def test_joined_indices_do_not_leak(dataset: Path, tmp_path: Path) -> None:
    """The same file names are other samples, the same contents are in one split."""
    copy = tmp_path / "more"
    shutil.copytree(dataset, copy)
    one = vp.BucketIndex.build(write_table(dataset, ",split", ["videos/a.mp4,one,val"]))
    other = vp.BucketIndex.build(write_table(copy, ",split", ["videos/a.mp4,one,"]))
    joined = vp.BucketIndex.concat([one, other])
    assert joined.samples == len(joined) == 2
    assert joined.table["split"].to_pylist() == ["val", "val"]
    table = write_table(copy, ",split", ["videos/a.mp4,one,train"])
    with pytest.raises(PlanError, match="the same video is in several splits"):
        vp.BucketIndex.concat([one, vp.BucketIndex.build(table)])


def test_a_dataset_that_was_moved(dataset: Path, tmp_path: Path) -> None:
    vp.BucketIndex.build(dataset).save(tmp_path / "index.parquet")
    moved = dataset.rename(tmp_path / "moved")
    with pytest.raises(PlanError, match=r"is not there(.|\n)*data_root"):
        vp.BucketIndex.load(tmp_path / "index.parquet").check_sources()
    index = vp.BucketIndex.load(tmp_path / "index.parquet", data_root=moved)
    assert len(index.check_sources()) == 3


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("frame_indices", "0:3", "not as many frame_indices as frames"),
        ("frame_indices", "0:99999999999", "no ascending numbers"),
        ("frame_indices", "a:b", "no ascending numbers"),
        ("frame_indices", "8,7,6,5,4,3,2,1,0", "no ascending numbers"),
        ("frame_indices", "1:10", "outside the file"),
        ("frame_indices", None, "has no frame_indices"),
        ("frame_ticks", "0:3", "frame_ticks"),
        ("time_base", "x", "time_base"),
        ("time_base", "1/0", "time_base"),
        ("crop_x", -5, "crop_x is out of bounds"),
        ("crop_x", 5, "crop reaches out"),
        ("fit_width", 97, "reaches out of the bucket"),
        ("stream", -1, "stream is out of bounds"),
        ("height", 353, "illegal for default"),
        ("frames", -49, "frames is out of bounds"),
        ("width", 2147483647, "width is out of bounds"),
        ("weight", float("nan"), "weight is out of bounds"),
        ("video", None, "a row has no video"),
        ("clip", None, "has no clip"),
    ],
)
def test_a_file_that_no_plan_made(dataset: Path, tmp_path: Path, column, value, what) -> None:
    index = vp.BucketIndex.build(dataset)
    rows = index.table.to_pylist()
    rows[1][column] = value
    table = pa.Table.from_pylist(rows, schema=index.table.schema)
    vp.BucketIndex(table, index.data_root, index.policy).save(tmp_path / "index.parquet")
    with pytest.raises(PlanError, match=what) as raised:
        vp.BucketIndex.load(tmp_path / "index.parquet")
    assert "index.parquet" in str(raised.value)


def test_keys_are_those_of_the_plan(dataset: Path, tmp_path: Path) -> None:
    """A changed crop with the old key would bring latents of another picture."""
    index = vp.BucketIndex.build(dataset, reshape="center-crop", buckets=("5x64x64",))
    index.check_sources()
    rows = index.table.to_pylist()
    rows[0]["crop_x"] -= 1
    table = pa.Table.from_pylist(rows, schema=index.table.schema)
    changed = vp.BucketIndex(table, index.data_root, index.policy)
    with pytest.raises(PlanError, match=r"row 0, videos/a\.mp4, was changed"):
        changed.check_sources()


def test_a_sample_of_many_in_a_line_is_named_by_its_row(dataset: Path) -> None:
    """A JSON array may be a single line, which the index has for all of its samples."""
    videos = [str(path.relative_to(dataset)) for path in sorted(dataset.rglob("*.mp4"))]
    rows = [json.dumps({"video": video, "caption": "A clip."}) for video in videos]
    rows[1] = rows[1].replace('"A clip."', '"A" "clip"')
    (dataset / "list.json").write_text(f"[{', '.join(rows)}]")
    index = vp.BucketIndex.build(dataset / "list.json", reshape="center-crop")
    assert [one.reason.partition(":")[0] for one in index.left_out] == ["row 2"]
