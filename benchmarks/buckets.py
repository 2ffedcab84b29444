"""Buckets chosen from a dataset against those of a fixed grid, and how long choosing takes.

    python benchmarks/buckets.py [FOLDER]
    python benchmarks/buckets.py --mixed

FOLDER holds a dataset's videos; without it the clips are made up: common sizes and some odd ones,
lengths log-normal. The grid is the ancestor's. Of it as many buckets are taken as are chosen: those
that it would use most, as it sends each clip to the nearest height and width. Every list is judged
by `videoprep.index.auto_buckets.loss`, under the planner's rule.

``--mixed`` shows what the floor does for a few clips that are unlike each other: clips of 360p to
1080p, with a GIF and clips of 240p among them.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from videoprep.errors import MediaError
from videoprep.families.cogvideox import FAMILY
from videoprep.index.auto_buckets import (
    MIN_KEPT,
    Floor,
    Ints,
    Shapes,
    assign,
    choose_buckets,
    loss,
)
from videoprep.index.bucket import Bucket
from videoprep.media.probe import probe

PROFILE = FAMILY.profile
SIDES = (256, 320, 384, 480, 512, 576, 720, 768, 960, 1024, 1280, 1536)
LENGTHS = (16, 24, 32, 48, 64, 80)
LIMITS = ((480 * 720, 49), (720 * 1280, 81), (None, 49))
CLIPS, MANY = 100_000, 10_000_000

COMMON = {
    (1920, 1080): 25, (1280, 720): 20, (854, 480): 10, (640, 360): 5,
    (1080, 1920): 15, (720, 1280): 5,
    (1080, 1080): 5, (640, 640): 2,
    (640, 480): 5, (1440, 1080): 3,
}  # fmt: skip
ODD_SHARE = 0.05

MIXED = [
    (854, 480, 96), (640, 360, 120), (1280, 720, 96), (1920, 1080, 60), (1080, 1920, 60),
    (720, 1280, 60), (640, 480, 100), (480, 270, 300), (720, 720, 60),
    (320, 214, 60), (320, 240, 60), (426, 240, 60),
]  # fmt: skip
"""Widths, heights and frames; the last three are the GIF and the clips of 240p."""


def made_up(clips: int) -> tuple[Ints, Ints, Ints]:
    """Widths, heights and frames of clips as they may come; each ``[clips]``."""
    random = np.random.default_rng(0)
    weights = np.array(list(COMMON.values()))
    sizes = np.array(list(COMMON))[random.choice(len(COMMON), clips, p=weights / weights.sum())]
    is_odd = random.random(clips) < ODD_SHARE
    sizes[is_odd] = random.integers((240, 240), (2200, 1400), (int(is_odd.sum()), 2))
    rate = random.choice((8, 24), clips)
    seconds = np.exp(random.normal(np.log(6), 0.8, clips))
    return sizes[:, 0], sizes[:, 1], (rate * seconds).clip(20, 600).astype(np.int64)


def probed(folder: Path) -> tuple[Ints, Ints, Ints]:
    """The same of the videos in a folder that can be opened, at their own rate."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm", ".avi"):
            try:
                media = probe(path)
            except MediaError:
                continue
            found.append((*media.shown_size, media.frames))
    widths, heights, frames = np.array(found, np.int64).reshape(-1, 3).T
    return widths, heights, frames


def grid(max_pixels: int | None, max_frames: int) -> list[Bucket]:
    """All buckets of the fixed grid that are legal and within the limits."""
    return [
        Bucket(frames, height, width)
        for frames, height, width in product(LENGTHS, SIDES, SIDES)
        if frames <= max_frames
        and (max_pixels is None or height * width <= max_pixels)
        and PROFILE.accepts_size(width, height)
    ]


def most_used(shapes: Shapes, buckets: Sequence[Bucket], number: int) -> list[Bucket]:
    """Those that most clips go to: the nearest size, and of its lengths the longest there is."""
    nearest = np.zeros(len(shapes.counts), np.int64)
    least = np.full(len(nearest), np.iinfo(np.int64).max)
    for index, bucket in enumerate(buckets):
        distance = abs(shapes.heights - bucket.height) + abs(shapes.widths - bucket.width)
        distance = distance * 10_000 + abs(shapes.frames - bucket.frames)
        distance[shapes.frames < bucket.frames] += 10**12
        nearer = distance < least
        nearest[nearer], least[nearer] = index, distance[nearer]
    clips = np.bincount(nearest, shapes.counts, len(buckets))
    return [buckets[i] for i in np.argsort(-clips, kind="stable")[:number]]


def compare(shapes: Shapes) -> None:
    """Prints the losses under each limit."""
    print(f"{shapes.counts.sum()} clips of {len(shapes.counts)} shapes")
    for max_pixels, max_frames in LIMITS:
        print(f"  at most {max_pixels or 'any number of'} pixels, {max_frames} frames")
        limits = {"max_pixels": max_pixels, "max_frames": max_frames}
        whole_grid = grid(max_pixels, max_frames)
        for number in (None, 4, 8, 16):
            started = time.perf_counter()
            chosen = choose_buckets(
                shapes, PROFILE, max_pixels=max_pixels, max_frames=max_frames, number=number
            )
            seconds = time.perf_counter() - started
            rivals = most_used(shapes, whole_grid, len(chosen))
            floor = Floor(MIN_KEPT, PROFILE.divisor, max_pixels, crops=True)
            left_out = shapes.counts[assign(shapes, chosen, floor=floor) < 0].sum()
            print(
                f"    {len(chosen):3} {'chosen' if number else 'by default'} in {seconds:.2f} s: "
                f"loss {loss(shapes, chosen, **limits, floor=floor):.3f}, {left_out} left out; "
                f"{len(rivals)} of the grid: {loss(shapes, rivals, **limits):.3f}"
            )
        print(
            f"    {len(whole_grid)}, the whole grid: loss {loss(shapes, whole_grid, **limits):.3f}"
        )


def show_floor() -> None:
    """Prints what the mixed clips keep of their pixels, without the floor and with it."""
    shapes = Shapes.of(*np.array(MIXED, np.int64).T)
    for max_pixels, number in product((None, 480 * 832), (None, 4)):
        print(f"{max_pixels or 'no'} pixels at most, {number or 'any number of'} buckets")
        for least in (0.0, MIN_KEPT):
            options = {"max_pixels": max_pixels, "max_frames": 49}
            chosen = choose_buckets(shapes, PROFILE, number=number, min_kept=least, **options)
            floor = Floor(least, PROFILE.divisor, max_pixels, crops=True)
            goes_to = assign(shapes, chosen, floor=floor)
            lost = loss(shapes, chosen, floor=floor, **options)
            print(
                f"  at least {least:.0%} of the pixels: {len(chosen)} buckets, "
                f"{(goes_to < 0).sum()} left out, loss {lost:.3f}"
            )
            for width, height, bucket in zip(shapes.widths, shapes.heights, goes_to, strict=True):
                to = chosen[bucket] if bucket >= 0 else None
                kept = float(floor.kept(width, height, to.width, to.height)) if to else 0
                print(f"    {width}×{height} → {to or 'left out'}: {kept:.0%}")


def time_many() -> None:
    """Prints the seconds for very many clips, and in a second round the memory."""
    columns = made_up(MANY)
    started = time.perf_counter()
    shapes = Shapes.of(*columns)
    counted = time.perf_counter()
    chosen = choose_buckets(shapes, PROFILE, max_pixels=720 * 1280, max_frames=81)
    ended = time.perf_counter()
    tracemalloc.start()
    choose_buckets(Shapes.of(*columns), PROFILE, max_pixels=720 * 1280, max_frames=81)
    peak = tracemalloc.get_traced_memory()[1]
    print(
        f"{MANY} clips: {counted - started:.1f} s to count {len(shapes.counts)} shapes, "
        f"{ended - counted:.1f} s to choose {len(chosen)} buckets, {peak >> 20} MiB at most"
    )


def main() -> None:
    """Compares, and times where the clips are made up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--mixed", action="store_true")
    given = parser.parse_args()
    if given.mixed:
        show_floor()
        return
    if given.folder:
        compare(Shapes.of(*probed(given.folder)))
        return
    compare(Shapes.of(*made_up(CLIPS)))
    time_many()


if __name__ == "__main__":
    main()
