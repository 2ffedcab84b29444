"""Which frames and which part of a control go with a clip: arithmetic, and numbered frames."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.media.sounds import ffmpeg
from tests.support.assets import write_video
from tests.support.numbered import HEIGHT, WIDTH, numbers_on, write_numbered
from videoprep.errors import Code, PlanError
from videoprep.index.clip import Clip, has_own_keys
from videoprep.media.clip import load_clip
from videoprep.media.geometry import Box, scaled_box
from videoprep.spec.roles import Role

CONTROL = Role("control")

pytestmark = pytest.mark.heavy  # pixels of other sizes are fitted by torch


def times_at(rate: Fraction | int, frames: int, *, start: int = 0) -> list[int]:
    """When frames are shown, in whole milliseconds."""
    return [start + round(1000 * number / Fraction(rate)) for number in range(frames)]


def written(folder: Path, rows: str, **files: list[int]) -> Path:
    """Numbered videos with frames at some times, and a list."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, times in files.items():
        write_numbered(folder / f"{name}.mkv", len(times), times=times)
    (folder / "list.csv").write_text(f"video,caption,control,start,end\n{rows}")
    return folder


def shown(clip: Clip, role: Role | None = None) -> list[int]:
    """The numbers on the decoded frames of the clip, or of a medium beside it."""
    pixels = clip.pixels if role is None else clip.pixels_of(role)
    assert pixels is not None
    return numbers_on(load_clip(pixels).permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(
    ("rate", "own", "target"),
    [(24, 24, None), (24, 16, None), (16, 24, None), (30, 24, 24), (24, 24, 16), (30, 8, 12)],
)
def test_frames_are_of_the_same_instants(
    tmp_path: Path, rate: int, own: int, target: float | None
) -> None:
    """Within half a frame of the control, at whatever rates the two are, and the plan is."""
    video, control = times_at(rate, 3 * rate), times_at(own, 3 * own)
    data = written(tmp_path, "a.mkv,one,c.mkv,,\na.mkv,two,c.mkv,1,\n", a=video, c=control)
    options = {"profile": "wan", "reshape": "resize"}
    if target is not None:
        options["target_fps"] = target
    index = vp.BucketIndex.build(data, height_buckets=HEIGHT, width_buckets=WIDTH, **options)
    clips = list(index.clips())
    assert [clip.caption for clip in clips] == ["one", "two"]
    for clip in clips:
        instants = np.array([video[number] for number in shown(clip)])
        taken = np.array([control[number] for number in shown(clip, CONTROL)])
        assert len(taken) == clip.bucket.frames
        assert np.abs(taken - instants).max() <= 500 / own + 1
        if rate == own:
            assert (taken == instants).all()
        assert has_own_keys(clip)


def built(data: Path, **options: object) -> vp.BucketIndex:
    """The plan at the numbered videos' own size."""
    return vp.BucketIndex.build(
        data, profile="wan", reshape="resize", height_buckets=HEIGHT, width_buckets=WIDTH,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_variable_rate_is_followed_by_time(tmp_path: Path) -> None:
    video = [0, 40, 200, 240, 280, 600, 640, 680, 720, 1000, 1040, 1080, 1120, 1400, 1440, 1480]
    control = [0, 100, 150, 200, 300, 500, 600, 700, 900, 1000, 1200, 1300, 1400, 1450]
    data = written(tmp_path, "a.mkv,one,c.mkv,,\n", a=video, c=control)
    (clip,) = built(data, frame_buckets=(13,)).clips()
    for number, own in zip(shown(clip), shown(clip, CONTROL), strict=True):
        nearest = min(range(len(control)), key=lambda n: (abs(control[n] - video[number]), n))
        assert own == nearest


def test_an_image_of_one_frame_goes_with_all(tmp_path: Path) -> None:
    data = written(tmp_path, "a.mkv,one,c.mkv,,\n", a=times_at(24, 30), c=[0])
    (clip,) = built(data).clips()
    assert shown(clip, CONTROL) == [0] * clip.bucket.frames


@pytest.mark.parametrize(
    ("zero", "first"), [("container", [1, 2, 3, 4]), ("first-frame", [0, 1, 2, 3])]
)
def test_late_starts_count_from_where_times_do(tmp_path: Path, zero: str, first: list[int]) -> None:
    """A picture that starts 40 ms late shows what a control shows that starts with its file."""
    data = written(tmp_path, "late.mkv,one,c.mkv,,\n", a=times_at(25, 30), c=times_at(25, 40))
    ffmpeg(
        "-itsoffset", "0.04", "-i", data / "a.mkv", "-f", "lavfi", "-t", "2", "-i",
        "anullsrc=r=16000", "-map", "0:v", "-map", "1:a", "-c:v", "copy", data / "late.mkv",
    )  # fmt: skip
    (clip,) = built(data, time_zero=zero, frame_buckets=(25,)).clips()
    assert shown(clip)[:4] == [0, 1, 2, 3]
    assert shown(clip, CONTROL)[:4] == first


def test_a_lead_of_less_than_a_frame_is_none(tmp_path: Path) -> None:
    data = written(tmp_path, "late.mkv,one,c.mkv,,\n", a=times_at(25, 30), c=times_at(25, 40))
    ffmpeg(
        "-itsoffset", "0.005", "-i", data / "a.mkv", "-f", "lavfi", "-t", "2", "-i",
        "anullsrc=r=16000", "-map", "0:v", "-map", "1:a", "-c:v", "copy", data / "late.mkv",
    )  # fmt: skip
    (clip,) = built(data, frame_buckets=(25,)).clips()
    assert shown(clip) == shown(clip, CONTROL)


@pytest.mark.parametrize(
    ("rate", "frames", "fits"),
    [
        (24, 49, True),
        (24, 48, False),
        (16, 33, True),
        (16, 32, False),
        (48, 97, True),
        (48, 96, False),
    ],
)
def test_a_control_has_to_span_the_clip(
    tmp_path: Path, rate: int, frames: int, *, fits: bool
) -> None:
    """Half a frame may be missing: 49 frames at 24 a second end at 2.042 s."""
    data = written(tmp_path, "a.mkv,one,c.mkv,,\n", a=times_at(24, 49), c=times_at(rate, frames))
    index = built(data, frame_buckets=(49,))
    assert len(index) == int(fits)
    if not fits:
        ((left,)) = index.left_out
        assert left.code == Code.NOT_SPANNED.value
        assert "its control c.mkv: ends before the clip" in left.reason
        report = vp.validate(data, profile="wan", reshape="resize", frame_buckets=(49,))
        assert "VP315" in {finding.code for finding in report.findings}


def test_a_box_in_another_resolution() -> None:
    assert scaled_box(Box(240, 0, 1440, 1080), (1920, 1080), (960, 540)) == Box(120, 0, 720, 540)
    assert scaled_box(Box(0, 0, 1920, 1080), (1920, 1080), (848, 480)) == Box(0, 0, 848, 480)
    assert scaled_box(Box(1919, 0, 1, 1), (1920, 1080), (2, 2)) == Box(1, 0, 1, 1)
    assert scaled_box(Box(3, 5, 7, 9), (20, 20), (20, 20)) == Box(3, 5, 7, 9)


def test_the_crop_is_the_same_part_of_the_picture(tmp_path: Path) -> None:
    """In the control's own resolution; it goes where the video's goes, and its size is as odd."""
    for name, width, height in (("a", 96, 64), ("half", 48, 32), ("odd", 194, 130)):
        write_video(tmp_path / f"{name}.mp4", frames=9, width=width, height=height)
    rows = "a.mp4,one,half.mp4\na.mp4,two,odd.mp4\n"
    (tmp_path / "list.csv").write_text(f"video,caption,control\n{rows}")
    index = vp.BucketIndex.build(
        tmp_path, profile="cogvideox", reshape="center-crop", buckets=["9x64x64"]
    )
    half, odd = (clip.pixels_of(CONTROL) for clip in index.clips())
    assert half is not None
    assert odd is not None
    assert (half.crop, half.fit) == (Box(8, 0, 32, 32), Box(0, 0, 64, 64))
    assert odd.crop == Box(32, 0, 130, 130)
    assert load_clip(half).shape == load_clip(odd).shape == (9, 3, 64, 64)
    padded = vp.BucketIndex.build(tmp_path, profile="cogvideox", reshape="pad", buckets=["9x96x96"])
    (first, _) = padded.clips()
    pixels = first.pixels_of(CONTROL)
    assert pixels is not None
    assert (pixels.crop, pixels.fit) == (Box(0, 0, 48, 32), first.pixels.fit)


def test_another_aspect_ratio_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=9, width=96, height=64)
    write_video(tmp_path / "square.mp4", frames=9, width=64, height=64)
    (tmp_path / "list.csv").write_text("video,caption,mask\na.mp4,one,square.mp4\na.mp4,two,\n")
    index = vp.BucketIndex.build(tmp_path, profile="cogvideox")
    assert [clip.caption for clip in index.clips()] == ["two"]
    ((left,)) = index.left_out
    assert left.code == "VP316"
    assert left.reason == (
        "its mask square.mp4: 64×64 has another aspect ratio than the video, which is 96×64"
    )


def test_a_reference_keeps_its_own_size(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=9, width=96, height=64)
    write_video(tmp_path / "tall.mp4", frames=30, width=64, height=176)
    write_video(tmp_path / "tiny.mp4", frames=9, width=96, height=14)
    rows = "a.mp4,one,tall.mp4\na.mp4,two,tiny.mp4\n"
    (tmp_path / "list.csv").write_text(f"video,caption,reference_0\n{rows}")
    index = vp.BucketIndex.build(tmp_path, profile="wan", max_num_frames=17, reshape="resize")
    (clip,) = index.clips()
    pixels = clip.pixels_of(Role("reference:0"))
    assert pixels is not None
    assert pixels.shape == (17, 3, 176, 64)
    assert [(one.code, one.line) for one in index.left_out] == [("VP301", 3)]
    small = vp.BucketIndex.build(
        tmp_path, profile="wan", reference_max_pixels=64 * 64, reshape="resize"
    )
    (clip,) = small.clips()
    pixels = clip.pixels_of(Role("reference:0"))
    assert pixels is not None
    assert (pixels.width, pixels.height) == (32, 96)
    assert pixels.crop == Box(2, 0, 59, 176)
    assert small.policy["reference_max_pixels"] == 64 * 64


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("control_fingerprint", None, "it has no control_fingerprint"),
        ("control_source_width", 0, "its control_source_width is out of bounds"),
        ("control_frame_indices", "0:3", "of its control: it has not as many frame_indices"),
        ("control_frame_indices", "3,2,1", "of its control: its frame_indices are no ascending"),
        ("control_time_base", "1/0", "of its control: its time_base is no fraction"),
        ("control_frame_ticks", "1,2", "of its control: its frame_ticks are not one a frame"),
        ("reference_crop_width", 500, "the crop of its reference reaches out of the picture"),
        ("reference_height", 17, "the size of its reference is illegal for wan"),
        ("reference_frames", 4, "the size of its reference is illegal for wan"),
    ],
)
def test_what_no_plan_can_hold_is_refused(
    tmp_path: Path, column: str, value: object, words: str
) -> None:
    write_video(tmp_path / "a.mp4", frames=9, width=96, height=64)
    rows = "a.mp4,none,,\na.mp4,one,a.mp4,a.mp4\n"
    (tmp_path / "list.csv").write_text(f"video,caption,control,reference\n{rows}")
    path = tmp_path / "index.parquet"
    vp.BucketIndex.build(tmp_path, profile="wan", reshape="resize").save(path)
    assert [clip.caption for clip in vp.BucketIndex.load(path).clips()] == ["none", "one"]
    table = pq.read_table(path)
    values = [None, value]
    at = table.schema.get_field_index(column)
    kind = table.schema.field(at)
    changed = table.set_column(at, kind, pa.array(values, kind.type))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(PlanError, match=re.escape(words)):
        vp.BucketIndex.load(path)


def test_frames_that_were_changed_by_hand_are_noticed(tmp_path: Path) -> None:
    """What is encoded is found by its key."""
    write_video(tmp_path / "a.mp4", frames=10, width=96, height=64)
    (tmp_path / "list.csv").write_text("video,caption,control\na.mp4,one,a.mp4\n")
    index = vp.BucketIndex.build(tmp_path, profile="wan", reshape="resize")
    (clip,) = index.clips()
    assert clip.media[CONTROL].key == clip.video_key
    at = index.table.schema.get_field_index("control_frame_indices")
    field = index.table.schema.field(at)
    table = index.table.set_column(at, field, pa.array(["1:10"], pa.string()).dictionary_encode())
    with pytest.raises(PlanError, match="was changed after it was made"):
        vp.BucketIndex(table, index.data_root, index.policy).check_sources()


def test_what_is_skipped_is_what_validate_tells(tmp_path: Path) -> None:
    """With the same reasons, also of rules that look at nothing else than the video."""
    for name, width, height, frames in (
        ("a", 96, 64, 9), ("square", 64, 64, 9), ("short", 96, 64, 5), ("tiny", 96, 14, 9),
    ):  # fmt: skip
        write_video(tmp_path / f"{name}.mp4", frames=frames, width=width, height=height)
    rows = "a.mp4,one,square.mp4,\na.mp4,two,short.mp4,\na.mp4,three,,tiny.mp4\na.mp4,four,,\n"
    (tmp_path / "list.csv").write_text(f"video,caption,control,reference\n{rows}")
    index = vp.BucketIndex.build(tmp_path, profile="wan", reshape="resize")
    report = vp.validate(tmp_path, profile="wan", reshape="resize", ignore=["VP013", "VP2"])
    told = {(one.line, one.code): one.message for one in report.findings if one.line}
    left = {(one.line, one.code): one.reason for one in index.left_out}
    assert left.keys() == {(2, "VP316"), (3, "VP315"), (4, "VP301")}
    assert {place: told[place] for place in left} == left
    assert report.overview.planned == 1
