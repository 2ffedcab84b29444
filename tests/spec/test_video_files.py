"""One idea of what a video is: the endings of names, and the containers that the probe opens."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import pytest

from videoprep.media.probe import OPEN_OPTIONS, open_file
from videoprep.spec.video_files import (
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    is_still_name,
    is_video_name,
    suffix_of,
)

ENCODERS = {
    ".y4m": "rawvideo", ".gif": "gif", ".apng": "apng", ".mj2": "jpeg2000", ".dv": "dvvideo",
    ".ivf": "libvpx", ".webm": "libvpx", ".ogv": "libtheora", ".ogm": "libtheora",
    ".h264": "libx264", ".264": "libx264", ".avc": "libx264", ".h265": "libx265",
    ".265": "libx265", ".hevc": "libx265", ".rm": "rv20", ".rmvb": "rv20", ".obu": "libaom-av1",
    ".vob": "mpeg2video", ".m2v": "mpeg2video", ".mpg": "mpeg1video", ".mpeg": "mpeg1video",
    ".mpe": "mpeg1video", ".m1v": "mpeg1video", ".wmv": "wmv2", ".asf": "wmv2", ".flv": "flv",
    ".3gp": "mpeg4", ".3g2": "mpeg4", ".3gpp": "mpeg4", ".m4v": "mpeg4", ".divx": "mpeg4",
    ".mxf": "mpeg2video",
}  # fmt: skip
FORMATS = {
    ".qt": "mov", ".3gpp": "3gp", ".mk3d": "matroska", ".divx": "avi", ".m2t": "mpegts",
    ".mts": "mpegts", ".mpe": "mpeg", ".f4v": "mp4", ".ogm": "ogg", ".rmvb": "rm",
    ".264": "h264", ".avc": "h264", ".265": "hevc", ".mj2": "mov", ".m4v": "mp4",
}  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_the_probe_opens_what_is_called_a_video(tmp_path: Path, suffix: str) -> None:
    """A small real file of each ending; an ending that FFmpeg cannot write here is skipped."""
    path = tmp_path / f"clip{suffix}"
    size = "720x576" if suffix == ".dv" else "128x96"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}:r=25:d=0.4"]
    command += ["-pix_fmt", "yuv420p"] if suffix not in (".gif", ".apng") else []
    command += ["-c:v", ENCODERS.get(suffix, "mpeg4")]
    command += ["-f", FORMATS[suffix]] if suffix in FORMATS else []
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg")
    done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ffmpeg cannot write it: {done.stderr[-200:]}")
    assert is_video_name(path.name.upper())
    with open_file(path) as container:
        assert container.streams.best("video") is not None


def test_every_ending_stands_for_a_container_that_is_accepted() -> None:
    """FFmpeg's own lists of endings name no format that the probe refuses."""
    accepted = set(OPEN_OPTIONS["format_whitelist"].split(","))
    for name in sorted(av.formats_available):
        try:
            form = av.ContainerFormat(name, "r")
        except ValueError:
            continue  # it is only written
        endings = {f".{ending}" for ending in form.extensions}
        if endings & VIDEO_SUFFIXES and not set(form.name.split(",")) & accepted:
            shared = endings & VIDEO_SUFFIXES
            others = [
                other
                for other in sorted(accepted)
                if other in av.formats_available
                and shared & {f".{ending}" for ending in _extensions(other)}
            ]
            assert others, f"{name} has {shared}, and the probe does not open it"


def _extensions(name: str) -> set[str]:
    found: set[str] = set()
    for mode in ("r", "w"):
        try:
            found |= av.ContainerFormat(name, mode).extensions
        except ValueError:
            continue
    return found


def test_names() -> None:
    assert not VIDEO_SUFFIXES & STILL_SUFFIXES
    assert all(suffix == suffix.lower() == suffix_of(f"x{suffix}") for suffix in VIDEO_SUFFIXES)
    assert [suffix_of(name) for name in ("a.MP4", ".mp4", "a", "a.b.txt", "a.")] == [
        ".mp4", "", "", ".txt", ".",
    ]  # fmt: skip
    assert is_video_name(" clip.MP4 ")
    assert is_still_name("a.JPG")
    assert not is_video_name("a.mp4.txt")
