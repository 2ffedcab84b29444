"""Still images in a plan: one frame, buckets of their own, nothing that has to do with time."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.support.assets import write_video
from tests.support.pictures import noise, write_picture
from videoprep.errors import Code, PlanError
from videoprep.index.clip import has_own_keys
from videoprep.index.policy import Policy, options_of
from videoprep.index.suggestions import suggest
from videoprep.index.summary import summarize
from videoprep.index.table import BucketIndex

Row = Mapping[str, Any]
CROP: Any = {"reshape": "center-crop"}


def write_mixed(folder: Path, extra: str = "") -> Path:
    """Three videos, one of them of three frames, and four stills; a table with their captions."""
    write_video(folder / "long.mp4", frames=18)
    write_video(folder / "wide.mp4", width=128, height=64, frames=9)
    write_video(folder / "short.mp4", frames=3)
    write_picture(folder / "a.png", noise(96, 64))
    write_picture(folder / "b.jpg", noise(96, 64, 1), quality=95)
    write_picture(folder / "tall.webp", noise(128, 256), lossless=True)
    clear = np.dstack([noise(96, 64, 3), np.full((64, 96), 100, np.uint8)])
    write_picture(folder / "clear.png", clear)
    names = ("long.mp4", "wide.mp4", "short.mp4", "a.png", "b.jpg", "tall.webp", "clear.png")
    rows = "".join(f"{name},A picture called {name}.\n" for name in names)
    (folder / "list.csv").write_text(f"video,caption\n{rows}{extra}")
    return folder


def rows_of(index: BucketIndex) -> dict[str, Row]:
    return {row["video"]: row for row in index.table.to_pylist()}


def buckets_of(index: BucketIndex) -> dict[str, str | None]:
    return {
        name: row["left_out_code"] or f"{row['frames']}x{row['height']}x{row['width']}"
        for name, row in rows_of(index).items()
    }


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return write_mixed(tmp_path / "data")


def test_stills_and_videos_have_buckets_of_their_own(mixed: Path) -> None:
    """A video that is too short for a clip does not become a picture."""
    index = BucketIndex.build(mixed, profile="wan", **CROP)
    assert buckets_of(index) == {
        "long.mp4": "17x64x96", "wide.mp4": "9x64x128", "short.mp4": "VP302",
        "a.png": "1x64x96", "b.jpg": "1x64x96", "tall.webp": "1x256x128", "clear.png": "1x64x96",
    }  # fmt: skip
    assert index.stills == 4
    assert len(index.without_stills()) == 2
    assert index.without_stills().table.num_rows == 3


def test_nothing_about_time_is_made_up(mixed: Path) -> None:
    index = BucketIndex.build(mixed, profile="wan", target_fps=4, **CROP)
    still = rows_of(index)["a.png"]
    time = ("fps", "source_fps", "start", "end", "time_base", "frame_ticks")
    assert [still[name] for name in time] == [None] * 6
    counts = ("source_frames", "available_frames", "frames", "frame_indices", "audio_key")
    assert [still[name] for name in counts] == [1, 1, 1, "0", ""]
    clips = {clip.video: clip for clip in index.clips()}
    assert clips["a.png"].is_still
    assert clips["a.png"].pixels.frames.is_still
    assert not clips["long.mp4"].is_still
    assert clips["long.mp4"].rate == Fraction(4)
    with pytest.raises(ValueError, match="no frame rate"):
        clips["a.png"].rate  # noqa: B018
    assert all(map(has_own_keys, clips.values()))


def test_an_index_with_stills_is_of_version_5_and_comes_back(mixed: Path, tmp_path: Path) -> None:
    index = BucketIndex.build(mixed, profile="wan", **CROP)
    index.save(tmp_path / "index.parquet")
    loaded = BucketIndex.load(tmp_path / "index.parquet")
    assert loaded.table.equals(index.table)
    assert (
        b'"version": 5' in pq.read_schema(tmp_path / "index.parquet").metadata[b"videoprep.index"]
    )
    assert loaded.check_sources().stills == 4
    plain = index.without_stills()
    plain.save(tmp_path / "plain.parquet")
    assert "background" not in pq.read_schema(tmp_path / "plain.parquet").names
    assert (
        b'"version": 3' in pq.read_schema(tmp_path / "plain.parquet").metadata[b"videoprep.index"]
    )


def test_videos_alone_are_planned_as_ever(tmp_path: Path) -> None:
    """No column, no key of the policy and no version tells that stills are known."""
    write_video(tmp_path / "a.mp4")
    (tmp_path / "list.csv").write_text("video,caption\na.mp4,A clip.\n")
    index = BucketIndex.build(tmp_path, **CROP)
    assert "background" not in index.table.column_names
    assert not [name for name in index.policy if name.startswith("image")]


def test_the_background_is_part_of_what_is_made(mixed: Path) -> None:
    """Only of pictures that show it."""
    white = rows_of(BucketIndex.build(mixed, **CROP))
    black = rows_of(BucketIndex.build(mixed, image_background="#000000", **CROP))
    assert (white["clear.png"]["background"], black["clear.png"]["background"]) == (
        "#ffffff", "#000000",
    )  # fmt: skip
    differ = [name for name, row in white.items() if row["video_key"] != black[name]["video_key"]]
    assert differ == ["clear.png"]
    assert white["a.png"]["background"] is None


def test_sizes_of_stills_have_a_limit_of_their_own(mixed: Path) -> None:
    limited: Any = {"max_pixels": 64 * 64, "image_max_pixels": 128 * 128}
    index = BucketIndex.build(mixed, profile="wan", **CROP, **limited)
    found = buckets_of(index)
    assert found["long.mp4"] == "17x48x64"
    assert found["tall.webp"] == "1x176x80"
    assert found["a.png"] == "1x64x96"
    small = BucketIndex.build(mixed, profile="wan", max_pixels=64 * 64, **CROP)
    assert buckets_of(small)["tall.webp"] == "1x80x32"
    assert options_of(index.policy) == {"profile": "wan", **CROP, **limited}


def test_listed_buckets_of_one_frame_are_for_stills(mixed: Path) -> None:
    """So a wide video does not become a picture, although one is listed that is like it."""
    listed = ("17x64x96", "1x64x128", "1x32x32")
    found = buckets_of(BucketIndex.build(mixed, buckets=listed, profile="wan", **CROP))
    assert found["long.mp4"] == "17x64x96"
    assert found["wide.mp4"] == "VP302"
    assert found["a.png"] == "1x32x32"
    assert found["tall.webp"] == "1x32x32"


def test_without_any_of_one_frame_stills_take_the_sizes_that_are_listed(mixed: Path) -> None:
    found = buckets_of(
        BucketIndex.build(mixed, buckets=("17x64x96", "9x64x64"), profile="wan", **CROP)
    )
    assert (found["a.png"], found["tall.webp"]) == ("1x64x96", "1x64x64")
    counts: Any = {"height_buckets": 64, "width_buckets": (64, 96), "frame_buckets": (1, 9)}
    found = buckets_of(BucketIndex.build(mixed, profile="wan", **CROP, **counts))
    assert (found["a.png"], found["tall.webp"]) == ("1x64x96", "1x64x64")
    assert (found["long.mp4"], found["short.mp4"]) == ("9x64x96", "VP302")


def test_a_frame_of_each_video_is_had_if_nothing_longer_is_listed(mixed: Path) -> None:
    index = BucketIndex.build(mixed, buckets=("1x64x96", "1x64x64"), profile="wan", **CROP)
    found = buckets_of(index)
    assert (found["long.mp4"], found["short.mp4"], found["a.png"]) == ("1x64x96",) * 3
    assert index.stills == 4


def test_auto_chooses_for_stills_and_videos_apart(mixed: Path) -> None:
    index = BucketIndex.build(mixed, buckets="auto", profile="wan", image_max_pixels=64 * 64)
    frames = {name: bucket for name, bucket in buckets_of(index).items() if bucket}
    stills = ("a.png", "b.jpg", "tall.webp", "clear.png")
    assert all(frames[name].startswith("1x") for name in stills)
    assert frames["long.mp4"].startswith("17x")
    assert frames["wide.mp4"].startswith("9x")
    sizes = [[int(n) for n in frames[name].split("x")] for name in stills]
    assert all(height * width <= 64 * 64 for _, height, width in sizes)
    assert index.policy["image_sizes"]
    assert options_of(index.policy) == {
        "profile": "wan", **CROP, "buckets": "auto", "image_max_pixels": 64 * 64,
    }  # fmt: skip


def test_a_folder_of_stills_alone(tmp_path: Path) -> None:
    """Counts that no clip reaches are no mistake: none of them was asked of stills."""
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", noise(64, 64, number))
        (tmp_path / f"{number}.txt").write_text(f"Picture {number}.")
    index = BucketIndex.build(tmp_path, profile="wan", frame_buckets=(49, 81), **CROP)
    assert set(buckets_of(index).values()) == {"1x64x64"}
    summary = summarize(index)
    assert (summary.clips, summary.stills) == (3, 3)
    assert summary.frames.source_frames_each == 0
    index = BucketIndex.build(tmp_path, profile="wan", buckets="auto")
    assert set(buckets_of(index).values()) == {"1x64x64"}


def test_a_time_range_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(
        "video,caption,start,end\na.png,One.,0,2\na.png,Two.,,\na.png,Three.,0,\n"
    )
    index = BucketIndex.build(tmp_path, **CROP)
    reasons = [(one.code, one.reason) for one in index.left_out]
    assert reasons == [
        ("VP310", "the time range 0 to 2 (seconds) is of a still image, which has no time"),
        ("VP310", "the time range 0 to the end (seconds) is of a still image, which has no time"),
    ]
    report = vp.validate(tmp_path, **CROP)
    assert sum(finding.code == "VP310" for finding in report.findings) == 2


def test_sound_is_refused(tmp_path: Path) -> None:
    from tests.media.sounds import noise as sound
    from tests.media.sounds import write_wav

    write_picture(tmp_path / "a.png", noise(64, 64))
    write_wav(tmp_path / "a.wav", sound(1, 8000), 8000)
    (tmp_path / "list.csv").write_text("video,caption,audio\na.png,One.,a.wav\na.png,Two.,\n")
    index = BucketIndex.build(tmp_path)
    assert [(one.code, "no time for sound" in one.reason) for one in index.left_out] == [
        ("VP108", True)
    ]
    report = vp.validate(tmp_path)
    errors = [one for one in report.findings if one.code == "VP108" and one.severity == "error"]
    assert len(errors) == 1


def test_without_consent_a_still_keeps_its_size(tmp_path: Path) -> None:
    write_picture(tmp_path / "fits.png", noise(64, 96))
    write_picture(tmp_path / "odd.png", noise(65, 96))
    (tmp_path / "list.csv").write_text("video,caption\nfits.png,One.\nodd.png,Two.\n")
    assert buckets_of(BucketIndex.build(tmp_path)) == {"fits.png": "1x96x64", "odd.png": "VP101"}


def test_crops_and_bars_are_those_of_videos(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", noise(160, 80))
    (tmp_path / "list.csv").write_text("video,caption\na.png,One.\n")
    for reshape, crop, fit in (
        ("center-crop", (40, 0, 80, 80), (0, 0, 64, 64)),
        ("pad", (0, 0, 160, 80), (0, 16, 64, 32)),
        ("resize", (0, 0, 160, 80), (0, 0, 64, 64)),
    ):
        index = BucketIndex.build(tmp_path, buckets=("1x64x64",), reshape=reshape)  # type: ignore[arg-type]
        (clip,) = index.clips()
        boxes = [
            (box.x, box.y, box.width, box.height) for box in (clip.pixels.crop, clip.pixels.fit)
        ]
        assert boxes == [crop, fit]


def test_what_a_summary_says(mixed: Path) -> None:
    """The stills are counted, and so is what is not made of them."""
    index = BucketIndex.build(mixed, profile="cogvideox", **CROP)
    summary = summarize(index)
    assert (summary.clips, summary.stills) == (6, 4)
    assert summary.of_video_alone == ("image_latents",)
    artifacts = {one.name: one.artifacts for one in summary.components}
    assert artifacts == {"prompt_embeds": 6, "video_latents": 6, "image_latents": 2}
    assert summary.frames.used + summary.frames.outside + summary.frames.left_out == (
        summary.frames.available
    )
    assert summary.frames.source_frames_each == 1
    assert summary.to_json()["stills"] == 4


def test_advice_never_sends_videos_to_stills(mixed: Path) -> None:
    index = BucketIndex.build(mixed, profile="wan", **CROP)
    for one in suggest(index, summarize(index)).small:
        for target in one.move.targets if one.move else ():
            assert (target.frames == 1) == (one.bucket.frames == 1)


def test_a_family_of_videos_alone_refuses_stills(mixed: Path, monkeypatch: Any) -> None:
    """The rule is an error then, and a note otherwise."""
    from dataclasses import replace

    from videoprep.families.wan import Wan

    def found() -> set[tuple[str, str]]:
        report = vp.validate(mixed, profile="wan", **CROP)
        return {(f.video or "", f.severity.value) for f in report.findings if f.code == "VP108"}

    stills = {"a.png", "b.jpg", "tall.webp", "clear.png"}
    assert found() == {(name, "note") for name in stills}
    monkeypatch.setattr(Wan, "profile", replace(Wan.profile, stills=False))
    assert found() == {(name, "error") for name in stills}
    index = BucketIndex.build(mixed, profile="wan", **CROP)
    refused = {one.video for one in index.left_out if one.code == Code.STILL_IMAGE.value}
    assert refused == stills


def test_splits_and_diffs_know_stills(mixed: Path) -> None:
    index = BucketIndex.build(mixed, split={"train": 0.5, "val": 0.5}, **CROP)
    parts = index.split()
    assert sum(len(part) for part in parts.values()) == len(index)
    write_picture(mixed / "a.png", noise(96, 64, 9))
    diff = BucketIndex.build(mixed, split={"train": 0.5, "val": 0.5}, **CROP).diff(index)
    assert [change.video for change in diff.changes] == ["a.png"]


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("fps", 8.0, "it has no"),
        ("start", 0.0, "still image and has a start"),
        ("background", "white; drop table", "no colour"),
        ("frame_ticks", "0", "has frame_ticks"),
    ],
)
def test_an_index_by_a_stranger_is_looked_through(
    mixed: Path, tmp_path: Path, column: str, value: Any, what: str
) -> None:
    import pyarrow as pa

    index = BucketIndex.build(mixed, profile="wan", **CROP)
    index.save(tmp_path / "index.parquet")
    table = pq.read_table(tmp_path / "index.parquet")
    at, rows = table.schema.get_field_index(column), table[column].to_pylist()
    rows[table["video"].to_pylist().index("clear.png")] = value
    changed = table.set_column(at, table.schema.field(at), pa.array(rows, table.schema.types[at]))
    pq.write_table(changed, tmp_path / "index.parquet")
    with pytest.raises(PlanError, match=what):
        BucketIndex.load(tmp_path / "index.parquet")


def test_options_are_checked(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("video,caption\na.png,One.\n")
    spec = vp.DatasetSpec.from_path(tmp_path, image_background="#00FFaa")
    assert Policy.of(spec).image_background == "#00ffaa"
    with pytest.raises(vp.VideoprepError, match="image_background"):
        vp.DatasetSpec.from_path(tmp_path, image_background="white")


def test_without_stills_short_videos_are_planned_as_ever(tmp_path: Path) -> None:
    """One frame of them, as before there were stills."""
    write_video(tmp_path / "short.mp4", frames=3)
    (tmp_path / "list.csv").write_text("video,caption\nshort.mp4,A clip.\n")
    for listed in ({}, {"frame_buckets": (1,)}):
        index = BucketIndex.build(tmp_path, profile="wan", **CROP, **listed)  # type: ignore[arg-type]
        assert buckets_of(index) == {"short.mp4": "1x64x96"}
        assert index.stills == 0
