"""Commands of FFmpeg for files of which next to nothing is known, and the names in them.

What is kept of a file is kept by its contents, wherever it lies. So the advice in an error has a
place for the file's names, and `for_file` fills it in where the message is made.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from videoprep.fs.mirror import remote_of
from videoprep.shell import quoted

_INPUT, _OUTPUT = "INPUT-FILE", "OUTPUT-FILE"
_PLACES = re.compile(rf"{_INPUT}|{_OUTPUT}(\.\w+)")

_MUXERS = {
    ".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".flv": "flv",
    ".ts": "mpegts", ".mts": "mpegts", ".m2ts": "mpegts -mpegts_m2ts_mode 1",
    ".h264": "h264", ".264": "h264", ".hevc": "hevc", ".h265": "hevc", ".265": "hevc",
}  # fmt: skip
"""FFmpeg's options for the container that an ending stands for."""

ENCODED = "-crf 12 -c:a copy"
"""Loses next to nothing of the picture, and nothing of the sound."""

_OF_ALL = f"ffmpeg -nostdin -i {_INPUT} -map 0:v:0 -map '0:a?'"

SCALED_DOWN = (
    f"{_OF_ALL} -vf 'scale=iw*sar:ih,"
    "scale=3840:3840:force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1' "
    f"-c:v libx264 {ENCODED} {_OUTPUT}.mkv"
)
"""Makes a picture small enough."""

TIMED_ANEW = f"{_OF_ALL} -vf setpts=N/FRAME_RATE/TB -c:v libx264 {ENCODED} {_OUTPUT}.mkv"
"""Shows one frame after the other at the rate that the file states."""

RATED_ANEW = f"{_OF_ALL} -vf settb=1/25,setpts=N -r 25 -c:v libx264 {ENCODED} {_OUTPUT}.mkv"
"""Shows 25 frames a second, whatever the file says."""

RATED_ANEW_WITHOUT_EDITS = RATED_ANEW.replace(" -i ", " -ignore_editlist 1 -i ")
"""The same of all frames of an MP4, also of those that its list of edits leaves out."""


def for_file(text: str, path: str | os.PathLike[str]) -> str:
    """Return an advice with the names of a file in its command."""
    if _INPUT not in text:
        return text
    return _PLACES.sub(lambda match: output(path, match[1]) if match[1] else input_name(path), text)


def input_name(path: str | os.PathLike[str]) -> str:
    """Return a file's name as a shell and FFmpeg take it."""
    return quoted(_local(os.fspath(path)))


def output(path: str | os.PathLike[str], ending: str) -> str:
    """Return the end of a command: where FFmpeg writes, and how that takes the file's place.

    The file keeps its name, which the dataset's lists and caption files go by; what is in it, its
    contents tell. The original stays beside it, under a name that no dataset takes for a video.
    Nothing is ever written over: pasted twice, the command changes nothing.

    Args:
        path: the file.
        ending: that of the container to write.
    """
    own = _local(os.fspath(path))
    name, fixed, kept = quoted(own), quoted(f"{own}.fixed"), quoted(f"{own}.orig")
    return f"-f {_MUXERS[ending]} {fixed} && mv -n {name} {kept} && mv -n {fixed} {name}"


def _local(path: str) -> str:
    """Return a path that FFmpeg takes for one; of a remote file, its name once it is downloaded."""
    folder, slash, name = path.rpartition("/")
    if _is_remote(folder):
        slash, path = "", name
    return f"./{path}" if not slash and ":" in path else path


@lru_cache(maxsize=4096)
def _is_remote(folder: str) -> bool:
    return remote_of(folder) is not None
