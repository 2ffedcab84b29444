"""Which frames and which part of a control go with a clip: arithmetic, and numbered frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import videoprep as vp
from tests.support.numbered import HEIGHT, WIDTH, numbers_on, write_numbered
from videoprep.errors import Code
from videoprep.index.clip import Clip, has_own_keys
from videoprep.media.clip import load_clip
from videoprep.media.geometry import Box, scaled_box
from videoprep.spec.roles import Role

CONTROL = Role("control")


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
    from tests.media.sounds import ffmpeg  # a film with sound needs it

    data = written(tmp_path, "late.mkv,one,c.mkv,,\n", a=times_at(25, 30), c=times_at(25, 40))
    ffmpeg(
        "-itsoffset", "0.04", "-i", data / "a.mkv", "-f", "lavfi", "-t", "2", "-i",
        "anullsrc=r=16000", "-map", "0:v", "-map", "1:a", "-c:v", "copy", data / "late.mkv",
    )  # fmt: skip
    (clip,) = built(data, time_zero=zero, frame_buckets=(25,)).clips()
    assert shown(clip)[:4] == [0, 1, 2, 3]
    assert shown(clip, CONTROL)[:4] == first


def test_a_lead_of_less_than_a_frame_is_none(tmp_path: Path) -> None:
    from tests.media.sounds import ffmpeg

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
