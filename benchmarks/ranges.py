"""Late ranges of a long film: what they cost beside a decode of just their groups of pictures.

A film is made in each format that is read through a stream of packets rather than an index, or
whose pixels need care: 10 bit, 4:2:2, transport streams, AVI, FLV, odd sizes, interlaced. Ranges of
17 frames are spread over it. The other side opens the same file, seeks to the last key frame before
each range, whose time it has been told, decodes up to the range's end and converts the same frames.

    python benchmarks/ranges.py [--hours 2] [--ranges 100] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from videoprep.media.decode import FrameChoice, FrameDecoder
from videoprep.media.probe import MediaInfo, probe, time_of

_FRAMES = 17
_PART = 600  # seconds that are encoded; the film repeats them

FORMATS = {
    "10 bit, MP4": ("a.mp4", "-c:v libx264 -pix_fmt yuv420p10le"),
    "4:2:2, MKV": ("a.mkv", "-c:v libx264 -pix_fmt yuv422p"),
    "TS": ("a.ts", "-c:v libx264 -pix_fmt yuv420p"),
    "M2TS": ("a.m2ts", "-c:v libx264 -pix_fmt yuv420p"),
    "AVI": ("a.avi", "-c:v mpeg4 -q:v 4 -bf 0 -pix_fmt yuv420p"),
    "FLV": ("a.flv", "-c:v libx264 -pix_fmt yuv420p"),
    "odd size, MKV": ("odd.mkv", "-vf scale=319:191 -c:v libx264 -pix_fmt yuv444p"),
    "interlaced, MPEG-2 TS": ("i.ts", "-flags +ilme+ildct -c:v mpeg2video -q:v 4"),
}


def main() -> None:
    """Measure every format and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--ranges", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            film = _film(Path(folder), name, asked.hours)
            rows.append(_measure(name, film, asked.ranges))
            film.unlink()
            if not asked.json:
                print(
                    f"{name:24} {rows[-1]['seconds']:8.3f} s a range, {rows[-1]['ratio']:5.2f} x "
                    f"the groups alone ({rows[-1]['frames']:,} frames)",
                    flush=True,
                )
    if asked.json:
        print(json.dumps(rows, indent=1))


def _film(folder: Path, name: str, hours: float) -> Path:
    file, options = FORMATS[name]
    part, film = folder / f"part-{file}", folder / file
    source = f"testsrc2=size=320x192:rate=24:duration={min(_PART, hours * 3600)}"
    speed = ["-preset", "ultrafast"] if "libx264" in options else []
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*command, *options.split(), *speed, "-g", "240", str(part)], check=True)
    times = max(0, round(hours * 3600 / _PART) - 1)
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", str(times), "-i", str(part)]
    subprocess.run([*command, "-c", "copy", str(film)], check=True)
    part.unlink()
    return film


def _measure(name: str, film: Path, count: int) -> dict[str, Any]:
    info = probe(film)
    step = (info.frames - _FRAMES) // count
    ranges = [list(range(n * step, n * step + _FRAMES)) for n in range(count)]
    keys = _keys(film, info)
    plain = _time_plain(film, info, ranges, keys)
    seconds = _time_reader(film, info, ranges)
    return {
        "format": name,
        "frames": info.frames,
        "seconds": seconds / count,
        "ratio": seconds / plain,
    }


def _keys(film: Path, info: MediaInfo) -> list[tuple[int, int]]:
    """When key frames are shown, and where a seek leads to them.

    Transport streams have no index: a seek leads to the packet after the one that is named.
    """
    with av.open(str(film)) as container:
        early = 1 if container.format.name == "mpegts" else 0
        packets = container.demux(container.streams[info.stream])
        return [
            (packet.dts if packet.pts is None else packet.pts, packet.dts - early)
            for packet in packets
            if packet.is_keyframe and packet.dts is not None
        ]


def _time_reader(film: Path, info: MediaInfo, ranges: list[list[int]]) -> float:
    decoder, base = FrameDecoder(), info.timestamps.time_base
    started = time.monotonic()
    for indices in ranges:
        ticks = None
        if info.timestamps.timed:
            ticks = [int(info.timestamps.ticks[n]) for n in indices]
        made = sum(1 for _ in decoder.frames(FrameChoice(film, info.stream, indices, ticks, base)))
        assert made == _FRAMES
    decoder.close()
    return time.monotonic() - started


def _time_plain(
    film: Path, info: MediaInfo, ranges: list[list[int]], keys: list[tuple[int, int]]
) -> float:
    started = time.monotonic()
    with av.open(str(film)) as container:
        stream = cast(VideoStream, container.streams[info.stream])
        stream.codec_context.thread_count = 1
        for indices in ranges:
            first, last = (int(info.timestamps.ticks[n]) for n in (indices[0], indices[-1]))
            _, place = max((key for key in keys if key[0] <= first), default=keys[0])
            container.seek(place, stream=stream)
            made = 0
            for frame in container.decode(stream):
                tick = time_of(cast(VideoFrame, frame))
                if tick is not None and first <= tick <= last:
                    cast(VideoFrame, frame).to_ndarray(format="rgb24", threads=1)
                    made += 1
                if tick is not None and tick >= last:
                    break
            assert made == _FRAMES
    return time.monotonic() - started


if __name__ == "__main__":
    main()
