"""Plans of files as they come, against the times and sizes that ffprobe reads on its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import videoprep as vp
from tests.conftest import need
from tests.support.assets import write_lists
from videoprep.index.clip import Clip

_SOURCE = "testsrc2=size={size}:rate={rate}:duration={seconds}"

FILES: dict[str, tuple[str, list[str]]] = {
    "even": (_SOURCE.format(size="128x96", rate="25", seconds=5), []),
    "ntsc-film": (_SOURCE.format(size="128x96", rate="24000/1001", seconds=5), []),
    "ntsc-fast": (_SOURCE.format(size="128x96", rate="60000/1001", seconds=3), []),
    "milliseconds.mkv": (_SOURCE.format(size="128x96", rate="30000/1001", seconds=4), []),
    # Now and then a frame is shown for longer: mean 20 a second, gaps from 1/30 to 1/10 s.
    "variable": (
        _SOURCE.format(size="128x96", rate="30", seconds=6),
        ["-vf", "select='not(mod(n\\,2))+not(mod(n\\,3))*lt(n\\,90)'", "-fps_mode", "vfr"],
    ),
    "screen-recording": (
        _SOURCE.format(size="128x96", rate="30", seconds=6),
        ["-vf", "setpts='(N+20*floor(N/40))/30/TB'", "-fps_mode", "vfr"],
    ),
    "rotated": (_SOURCE.format(size="128x96", rate="25", seconds=2), []),
    "portrait": (_SOURCE.format(size="96x160", rate="25", seconds=2), []),
    "odd": (_SOURCE.format(size="131x97", rate="25", seconds=2), ["-pix_fmt", "yuv444p"]),
    "one-frame": (_SOURCE.format(size="128x96", rate="25", seconds=1), ["-frames:v", "1"]),
    "two-frames": (_SOURCE.format(size="128x96", rate="25", seconds=1), ["-frames:v", "2"]),
    "late-start": (_SOURCE.format(size="128x96", rate="25", seconds=3), ["-output_ts_offset", "7"]),
}
"""A source of FFmpeg's, and what else its command says."""

SETTINGS: dict[str, dict[str, Any]] = {
    "own rate": {},
    "8 fps": {"target_fps": 8},
    "23.976 fps": {"target_fps": 23.976},
    "chunks at 12 fps": {"target_fps": 12, "clip_mode": "chunk", "frame_buckets": (1, 5, 13)},
    "middle at 10 fps": {"target_fps": 10, "clip_mode": "middle", "frame_buckets": (1, 13)},
    "slide": {"clip_mode": "slide", "frame_buckets": (1, 17), "min_gap": 0.5},
    "everything": {"clip_mode": "all-frames-stride", "frame_buckets": (1, 17)},
}


def make(folder: Path, name: str) -> Path:
    """Makes a file with the ffmpeg command."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    source, more = FILES[name]
    path = folder / (name if "." in name else f"{name}.mp4")
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]
    ffmpeg = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", source, *codec, *more, path], check=True)
    if name == "rotated":
        turned = folder / "turned.mp4"
        turn = ["-i", path, "-c", "copy", "-metadata:s:v", "rotate=90", turned]
        subprocess.run([*ffmpeg, *turn], check=True)
        turned.replace(path)
    return path


@pytest.fixture(scope="module", params=list(FILES))
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one file, and of a longer one, for which there are long buckets."""
    folder = tmp_path_factory.mktemp("real")
    videos = [make(folder, request.param), make(folder, "even")]
    write_lists(folder, ["Moving bars."] * 2, [video.name for video in videos])
    return folder


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds, as ffprobe reads it."""
    asked = "frame=pts:stream=time_base"
    read = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", asked]
    done = subprocess.run([*read, "-of", "json", path], check=True, capture_output=True)
    found = json.loads(done.stdout)
    base = Fraction(found["streams"][0]["time_base"])
    return [frame["pts"] * base for frame in found["frames"]]


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height as FFmpeg shows it, turned as the file says."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-f", "image2pipe"]
    picture = subprocess.run([*command, "-c:v", "bmp", "-"], check=True, capture_output=True)
    width, height = np.frombuffer(picture.stdout[18:26], "<i4")
    return int(width), abs(int(height))


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_frames_are_the_nearest_in_time(dataset: Path, setting: str) -> None:
    index = vp.BucketIndex.build(dataset, reshape="center-crop", **SETTINGS[setting])
    assert not index.left_out
    first = next(index.clips()).pixels.frames.path
    shown, size = times_of(first), upright_size(first)
    rows = index.table.to_pylist()
    for clip, row in zip(index.clips(), rows, strict=True):
        if clip.pixels.frames.path == first:
            check(clip, row, shown, size)


def check(clip: Clip, row: dict[str, Any], shown: list[Fraction], size: tuple[int, int]) -> None:
    """One clip, against what ffprobe and ffmpeg say of its file."""
    frames, pixels = clip.pixels.frames, clip.pixels
    assert frames.ticks is not None
    assert len(frames.indices) == len(frames.ticks) == clip.bucket.frames
    taken = [tick * frames.time_base for tick in frames.ticks]
    assert taken == [shown[index] for index in frames.indices], "times are those of the frames"
    assert row["source_frames"] == len(shown)
    assert (pixels.source_width, pixels.source_height) == size
    box = pixels.crop
    assert 0 <= box.x <= box.x + box.width <= size[0]
    assert 0 <= box.y <= box.y + box.height <= size[1]
    seconds = np.array([float(time - shown[0]) for time in shown])
    chosen = seconds[list(frames.indices)]
    ideal = row["start"] + np.arange(clip.bucket.frames) / clip.fps
    best = np.abs(seconds[None, :] - ideal[:, None]).min(axis=1)
    if row["fps"] == row["source_fps"]:  # as they are: a time base may round each time
        best = np.maximum(best, float(frames.time_base) * 1.01)
    assert (np.abs(chosen - ideal) <= best + 1e-9).all()


def test_speed_is_kept_or_said(tmp_path: Path) -> None:
    video = make(tmp_path, "screen-recording")
    write_lists(tmp_path, ["Moving bars."], [video.name])
    plain = next(vp.BucketIndex.build(tmp_path, reshape="center-crop", target_fps=10).clips())
    span = float((plain.pixels.frames.ticks[-1] - plain.pixels.frames.ticks[0])
                 * plain.pixels.frames.time_base)  # fmt: skip
    assert span == pytest.approx((plain.bucket.frames - 1) / 10, abs=0.4), "a still of 0.7 s"
    index = vp.BucketIndex.build(
        tmp_path, reshape="center-crop", clip_mode="all-frames-stride", frame_buckets=(17,)
    )
    (row,) = index.table.to_pylist()
    assert row["speed"] == pytest.approx(row["available_frames"] / 17)
    assert row["fps"] * row["speed"] == pytest.approx(row["source_fps"])
