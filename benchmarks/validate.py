"""Validating: cold and warm, in lists of a million rows, and how busy the cores are.

    python benchmarks/validate.py [--files 1000] [--warm 100000] [--rows 1000000]

Cold: distinct 720×480 clips of 49 frames, each opened once; also against opening them one after the
other in one process. Warm: samples whose files are known. Rows: a CSV whose lists are checked.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.media.probe import probe

_TEXT = (
    "a the red blue old car dog woman man runs walks slowly over under green hill while camera "
    "pans left right at sunset in the city street with holding cup bright night rain and of"
)


def main() -> None:
    """Runs all of them and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    chosen = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.files:
            _cold(folder / "cold", chosen.files)
        if chosen.warm:
            _warm(folder / "warm", chosen.warm)
        if chosen.rows:
            _rows(folder / "rows", chosen.rows)


def _cold(folder: Path, count: int) -> None:
    videos = _render(folder, count)
    one_by_one = _timed(lambda: [probe(video) for video in videos[:200]]) / min(count, 200)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    select = ["size-not-divisible", "unreadable"]
    seconds = _timed(lambda: vp.validate(folder, select=select))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"cold, header rules: {count / seconds:.0f} files/s, {1000 * busy / count:.1f} ms of the "
        f"workers' time a file; one process alone {1000 * one_by_one:.1f} ms"
    )
    _forget(folder)
    scanned = min(count, 100)
    _write_lists(folder, [video.name for video in videos[:scanned]])
    decoding = _timed(lambda: [_decode(video) for video in videos[:20]]) / min(scanned, 20)
    seconds = _timed(lambda: vp.validate(folder, select=["all"]))
    print(
        f"cold, all frames decoded: {scanned / seconds:.1f} files/s; time on all cores / time of "
        f"a bare decode on one: {seconds / scanned / decoding:.2f}"
    )


def _warm(folder: Path, count: int) -> None:
    clips = [video.read_bytes() for video in _render(folder / "few", 10)]
    names = [f"{number:07d}.mp4" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(clips[number % len(clips)])
    _write_lists(folder, names)
    code = (
        "import sys, time, resource, videoprep as vp; started = time.perf_counter();"
        "report = vp.validate(sys.argv[1], ignore=['same-content']);"
        "print(f'{time.perf_counter() - started:.1f} s, {report.total} samples, '"
        "f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB')"
    )
    _run(code, folder)  # makes the files known
    print("warm:", _run(code, folder))


def _rows(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number:04d}.mp4").touch()
    rng = random.Random(0)
    with (folder / "list.csv").open("w") as file:
        file.write("video,caption\n")
        for number in range(count):
            name = number % 1000 if number % 100 else f"gone-{number}"
            file.write(f'{name:0>4}.mp4,"{_caption(rng)}"\n')
    code = (
        "import sys, time, resource, videoprep as vp; started = time.perf_counter();"
        "report = vp.validate(sys.argv[1], select=['VP0']);"
        "print(f'{time.perf_counter() - started:.1f} s, {report.total} rows, '"
        "f'{report.by_code}, '"
        "f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB')"
    )
    print("rows:", _run(code, folder))


def _render(folder: Path, count: int) -> list[Path]:
    """Distinct clips: a few scenes, each with bytes of its own behind it."""
    folder.mkdir(parents=True)
    scene = Scene("star", "yellow", "circles slowly in the air", "at sunset", 704, 480, 49)
    write_scene(folder / "scene.mp4", scene)
    data = (folder / "scene.mp4").read_bytes()
    (folder / "scene.mp4").unlink()
    videos = [folder / f"{number:05d}.mp4" for number in range(count)]
    for number, video in enumerate(videos):
        padding = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        video.write_bytes(data + padding)
    _write_lists(folder, [video.name for video in videos])
    return videos


def _write_lists(folder: Path, names: list[str]) -> None:
    rng = random.Random(0)
    (folder / "videos.txt").write_text("".join(f"{name}\n" for name in names))
    (folder / "prompt.txt").write_text("".join(f"{_caption(rng)}\n" for _ in names))


def _caption(rng: random.Random) -> str:
    return " ".join(rng.choices(_TEXT.split(), k=18)) + f" {rng.randrange(10**6)}."


def _forget(folder: Path) -> None:
    for file in (folder / ".videoprep").iterdir():
        file.unlink()


def _decode(video: Path) -> int:
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _run(code: str, folder: Path) -> str:
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
