"""Small video files with known contents, written by PyAV.

Each frame shows its own number: its grey level is `level(number)`, brighter in the upper left
quarter, so that a test sees which frame it has and how it lies.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LEVEL_STEP = 4
LIFT = 60

# FFmpeg's display matrices: a b u c d v x y w, 16.16 fixed point and 2.30 for the last column.
_ONE, _LAST = 1 << 16, 1 << 30
MATRICES = {
    "upright": (1, 0, 0, 1),
    "turned-90": (0, 1, -1, 0),
    "turned-180": (-1, 0, 0, -1),
    "turned-270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside-down-mirrored": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "anti-transposed": (0, -1, -1, 0),
}


def level(number: int) -> int:
    """Grey level of frame ``number`` outside its bright quarter."""
    return 16 + LEVEL_STEP * (number % 40)


def write_video(
    path: Path,
    *,
    width: int = 96,
    height: int = 64,
    frames: int = 9,
    fps: Fraction | int = 8,
    times: Sequence[int] | None = None,
    matrix: str = "upright",
    codec: str = "libx264",
    lift: int = LIFT,
    grey: int | None = None,
) -> Path:
    """Writes a video.

    Args:
        path: its ending chooses the container.
        width: as stored, before the matrix.
        height: likewise.
        frames: how many.
        fps: frame rate, or ticks a second where ``times`` is given.
        times: presentation time of each frame in ticks, for a variable rate.
        matrix: a name in `MATRICES`.
        codec: an encoder of FFmpeg.
        lift: how much brighter the upper left quarter is.
        grey: level of all frames, instead of each its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "4", "threads": "1", "g": "12"}
        if matrix != "upright":
            a, b, c, d = MATRICES[matrix]
            stream.set_display_matrix([a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, _LAST])
        for number in range(frames):
            value = level(number) if grey is None else grey
            picture = np.full((height, width, 3), value, dtype=np.uint8)
            picture[: height // 2, : width // 2] += lift
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, int(fps))
                stream.codec_context.time_base = Fraction(1, int(fps))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


CLIPS = (("a", 96, 64, 9), ("b", 96, 64, 9), ("c", 64, 96, 5))


def write_dataset(folder: Path) -> Path:
    """Three clips in two buckets, with ``prompt.txt`` and ``videos.txt``."""
    for number, (name, width, height, frames) in enumerate(CLIPS):
        path = folder / f"videos/{name}.mp4"
        write_video(path, width=width, height=height, frames=frames, lift=LIFT - 10 * number)
    write_lists(folder, [f"A grey clip named {clip[0]}." for clip in CLIPS])
    return folder


RATES = (24, 30, 60)


def write_mixed_rates(folder: Path) -> Path:
    """Three clips of one second or a little more, at 24, 30 and 60 frames a second."""
    names = [f"videos/{rate}fps.mp4" for rate in RATES]
    for name, rate, frames in zip(names, RATES, (24, 32, 60), strict=True):
        write_video(folder / name, width=96, height=64, frames=frames, fps=rate)
    write_lists(folder, [f"A grey clip at {rate} frames a second." for rate in RATES], names)
    return folder


def write_lists(folder: Path, captions: Sequence[str], videos: Sequence[str] | None = None) -> None:
    """Writes the two line files."""
    videos = videos or [f"videos/{clip[0]}.mp4" for clip in CLIPS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.txt").write_text("".join(f"{line}\n" for line in captions), encoding="utf-8")
    (folder / "videos.txt").write_text("".join(f"{line}\n" for line in videos), encoding="utf-8")


def spoil_video(path: Path, last: int = 2) -> None:
    """Spoils the last packets: the file opens, shows pictures, and breaks off."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, end = packets[-last][0], sum(packets[-1])
    data = bytearray(path.read_bytes())
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)


def damage_video(path: Path) -> None:
    """Writes a video of 49 frames of which some are damaged, as flipped bits leave it."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1.96"]
    how = ["-c:v", "libx264", "-qp", "10", "-g", "8", "-bf", "0", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *source, *how, path], check=True)
    data = bytearray(path.read_bytes())
    for at in range(30, 60, 3):
        data[len(data) * at // 100] ^= 16
    path.write_bytes(data)
