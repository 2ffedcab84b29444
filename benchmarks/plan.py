"""Planning many clips whose videos are known, and loading the plan: one core.

    python benchmarks/plan.py [--clips 1000000] [--roles] [--folder FOLDER]

The paths are hard links to a few small videos, each known to the cache as contents of its own. With
--folder the dataset stays there for the next time. With --roles each sample also has a control
video, a mask and a reference, files of their own. A process of its own builds, saves and loads,
bound to one core; its peak memory is told, and the processor's time beside that of the clock: on a
machine that does other work only the former can be compared.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import xxhash

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.fs.fact_cache import FactCache, key_of
from videoprep.media.inspect import inspect_all

_SIZES = ((96, 64), (128, 96), (160, 96), (64, 96))
_LENGTHS = (9, 13, 17, 25, 49, 60)
_ROLES = ("control", "mask", "reference")
_WORDS = (
    "a the red blue old car dog woman man runs walks slowly over under green hill while camera "
    "pans left right at sunset in the city street with holding cup bright night rain and of"
)


def main() -> None:
    """Makes the dataset, then measures in another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--roles", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.folder or Path(name)
        make(folder, chosen.clips, _ROLES if chosen.roles else ())
        again = [sys.executable, __file__, "--measure", "--folder", str(folder)]
        subprocess.run(again, check=True)


def measure(folder: Path) -> None:
    """Builds, saves and loads on one core."""
    os.sched_setaffinity(0, {0})
    file = folder / "index.parquet"
    started, worked = time.perf_counter(), time.process_time()
    index = vp.BucketIndex.build(folder / "list.csv", reshape="center-crop", target_fps=8)
    built, built_worked = time.perf_counter(), time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    index.save(file)
    saved = time.perf_counter()
    clips, digest = len(index), index.digest
    del index
    before = time.perf_counter()
    again = vp.BucketIndex.load(file)
    loaded = time.perf_counter()
    if (len(again), again.digest) != (clips, digest):
        raise AssertionError("the index that was loaded is another one")
    print(
        f"{clips:,} clips: built in {built - started:.1f} s, {built_worked - worked:.1f} s of CPU "
        f"time, {peak:.0f} MiB peak; saved in {saved - built:.1f} s, "
        f"{file.stat().st_size / 1e6:.0f} MB; loaded in {loaded - before:.2f} s; load average "
        f"{os.getloadavg()[0]:.1f}"
    )


def make(folder: Path, count: int, roles: Sequence[str]) -> None:
    """A table of ``count`` videos and their other media, all of them known to the cache."""
    if (folder / "list.csv").exists():
        return
    sources = []
    for (width, height), frames in product(_SIZES, _LENGTHS):
        sources.append(folder / f"sources/{width}x{height}x{frames}.mp4")
        scene = Scene(
            "star", "yellow", "circles slowly in the air", "at sunset", width, height, frames
        )
        write_scene(sources[-1], scene)
    folders = ("video", *roles)
    numbers = range(count)
    names = [f"{role}/{n // 1000:04d}/{n:07d}.mp4" for role in folders for n in numbers]
    list(inspect_all(folder, sources))
    with FactCache(folder) as cache:
        keys = [key_of(path) for path in sources]
        known = cache.get(keys)
        facts = [known[key][1] for key in keys if key is not None]
        for number, name in enumerate(names):
            if number % count % 1000 == 0:
                (folder / name).parent.mkdir(parents=True)
            _link(sources, number % count % len(sources), folder / name)
        for number, name in enumerate(names):
            contents = xxhash.xxh3_128_hexdigest(name.encode())
            cache.put(key_of(folder / name), contents, facts[number % count % len(facts)])
    words = _WORDS.split()
    draw = random.Random(0)
    with (folder / "list.csv").open("w", encoding="utf-8") as table:
        table.write(",".join(["caption", *folders]) + "\n")
        for number in numbers:
            files = ",".join(names[number::count])
            table.write(f'"{" ".join(draw.choices(words, k=18))} {number}.",{files}\n')


def _link(sources: list[Path], number: int, path: Path) -> None:
    """A further name of a source; of a copy of it where the file system allows it no more."""
    try:
        os.link(sources[number], path)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        shutil.copyfile(sources[number], path)
        sources[number] = path


if __name__ == "__main__":
    main()
