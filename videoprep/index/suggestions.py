"""What to do about buckets that do not fill a batch: drop them, or repeat their clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.index.auto_buckets import Shapes, assign
from videoprep.index.bucket import Bucket
from videoprep.index.policy import CROPS, is_multi_bucket, is_treated
from videoprep.index.shown import BOXES, stretches
from videoprep.index.summary import BucketSummary, Summary
from videoprep.index.table import BucketIndex
from videoprep.index.windows import SINGLE

# More buckets than these are not looked through one by one: they are better chosen anew.
_MOST = 64

# Of each frame and clip together: a bucket that would lose more is kept, and may be repeated.
_MOST_LOST = 0.5
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Move:
    """Where the clips of a bucket would go if it alone were not there, and what that would cost.

    Attributes:
        targets: how many clips would go to which bucket.
        cut: how much more of the picture would be cut off, as a share of its area.
        pixels: how many fewer pixels a frame would have, as a share; below 0: more.
        frames: how many fewer frames a clip would have, likewise.
    """

    targets: Mapping[Bucket, int]
    cut: float
    pixels: float
    frames: float

    @property
    def lost(self) -> float:
        """The share of all pixels that would be lost: of the picture, its resolution, its frames.

        Below 0 there would be more.
        """
        return 1 - (1 - self.cut) * (1 - self.pixels) * (1 - self.frames)

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {
            "targets": [{**asdict(b), "clips": count} for b, count in self.targets.items()],
            "cut": self.cut,
            "fewer_pixels": self.pixels,
            "fewer_frames": self.frames,
        }


@dataclass(frozen=True, slots=True)
class UnfilledBucket:
    """A bucket that does not fill a batch, and of which clips come at all.

    Attributes:
        bucket: which.
        clips: how many it has.
        draws: how many of them come in an epoch.
        repeats: how often each would have to come to fill a batch, times what it comes now.
        move: what dropping it would mean; None: some of its clips would be skipped.
    """

    bucket: Bucket
    clips: int
    draws: int
    repeats: int
    move: Move | None

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {
            **asdict(self.bucket),
            "clips": self.clips,
            "draws": self.draws,
            "repeats": self.repeats,
            "move": None if self.move is None else self.move.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about all buckets that do not fill a batch.

    Attributes:
        global_batch: clips in a batch over all GPUs.
        small: these buckets, the smallest first.
        options: what to give in place of the buckets that were asked for; None: there is nothing
            that helps, or nothing to mend.
        left: how many buckets would then still be too small; None: it has to be tried.
    """

    global_batch: int
    small: tuple[UnfilledBucket, ...]
    options: str | None = None
    left: int | None = None

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {
            "global_batch": self.global_batch,
            "small_buckets": [one.to_json() for one in self.small],
            "options": self.options,
            "left": self.left,
        }


def suggest(index: BucketIndex, summary: Summary) -> Advice:
    """What to do about the buckets of a plan that do not fill the summary's global batch."""
    size = summary.global_batch
    small = sorted(
        (one for one in summary.buckets if 0 < one.draws < size),
        key=lambda one: (one.draws, one.clips),
    )
    if not small:
        return Advice(size, ())
    if is_multi_bucket(index.policy) or is_treated(index.policy):
        # The clips are in other buckets already, or a trainer's config chooses them.
        return Advice(size, tuple(_described(one, size, None) for one in small), None, len(small))
    fitting = _Fitting.of(index.policy)
    if fitting is None:
        described = tuple(_described(one, size, None) for one in small)
        return Advice(size, described, "`reshape='center-crop', buckets='auto'`")
    draws = {one.bucket: float(one.draws) for one in summary.buckets}
    if len(draws) > _MOST:
        described = tuple(_described(one, size, None) for one in small)
        return Advice(size, described, "`buckets='auto'`")
    shapes = dict(_shapes(index, [one.bucket for one in small]))
    moves = (_move(bucket, shapes[bucket], list(draws), fitting) for bucket in shapes)
    described = tuple(_described(one, size, move) for one, move in zip(small, moves, strict=True))
    if "of" in index.policy or not index.policy.get(
        "sizes"
    ):  # listing them would have clips of other buckets move, too
        return Advice(size, described, "`buckets='auto'`")
    kept = _merge(shapes, draws, size, fitting)
    left = sum(0 < count < size for count in kept.values())
    if left >= len(small):  # all of the loss, and none of the gain
        return Advice(size, described, None, len(small))
    options = f"`reshape={index.policy['reshape']!r}, {_option(kept)}`"
    return Advice(size, described, options, left)


def _described(one: BucketSummary, size: int, move: Move | None) -> UnfilledBucket:
    return UnfilledBucket(one.bucket, one.clips, one.draws, ceil(size / one.draws), move)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """How clips are fitted into buckets.

    Attributes:
        crops: whether pictures are cut to the bucket's aspect ratio.
        enlarges: whether they may be enlarged.
    """

    crops: bool
    enlarges: bool

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> _Fitting | None:
        """As an index says it; None: not at all."""
        reshape = policy.get("reshape", "none")
        if reshape == "none":
            return None
        return cls(reshape in CROPS, bool(policy.get("allow_upscale")))

    def kept(self, shapes: Shapes, buckets: Sequence[Bucket]) -> NDArray[np.float64]:
        """The share of each shape's picture that is kept in its bucket."""
        sides = np.array([(bucket.width, bucket.height) for bucket in buckets], np.float64)
        ratio = shapes.widths / shapes.heights / (sides[:, 0] / sides[:, 1])
        kept: NDArray[np.float64] = np.minimum(ratio, 1 / ratio)
        return kept if self.crops else np.ones_like(kept)


def _shapes(index: BucketIndex, buckets: Sequence[Bucket]) -> Iterator[tuple[Bucket, Shapes]]:
    """What the clips of some buckets look like."""
    column, kinds = index.buckets, index.buckets.kinds
    table = index.table.select(
        ["left_out_code", "source_width", "source_height", *BOXES, "available_frames", "frames"]
    )
    planned = np.flatnonzero(table["left_out_code"].is_null().to_numpy())
    # Where a sample has several clips, one that moves cannot become longer.
    frames = "available_frames" if index.policy.get("clip_mode") in SINGLE else "frames"
    for bucket in buckets:
        rows = table.take(planned[column.codes == kinds.index(bucket)])
        across, down = stretches({name: rows[name].to_numpy() for name in BOXES}, index.policy)
        widths = np.rint(rows["source_width"].to_numpy() * across)
        heights = np.rint(rows["source_height"].to_numpy() * down)
        yield bucket, Shapes.of(widths, heights, rows[frames].to_numpy())


def _move(
    bucket: Bucket, shapes: Shapes, buckets: Sequence[Bucket], fitting: _Fitting
) -> Move | None:
    """What it means to drop one of the buckets; None where not all of its clips fit another.

    With padding, which asks one side alone to shrink, some are overlooked that would fit.
    """
    others = _others(bucket, buckets)
    chosen = assign(shapes, others, enlarges=fitting.enlarges)
    if (chosen < 0).any():
        return None
    to = [others[number] for number in chosen.tolist()]
    counts = shapes.counts
    targets: dict[Bucket, int] = {}
    for one, count in zip(to, counts.tolist(), strict=True):
        targets[one] = targets.get(one, 0) + count

    def mean(values: Any) -> float:
        return round(float(np.average(values, weights=counts)), _DIGITS)

    area = bucket.height * bucket.width
    return Move(
        targets=targets,
        cut=mean(fitting.kept(shapes, [bucket] * len(to)) - fitting.kept(shapes, to)),
        pixels=mean([1 - one.height * one.width / area for one in to]),
        frames=mean([1 - one.frames / bucket.frames for one in to]),
    )


def _others(bucket: Bucket, buckets: Sequence[Bucket]) -> list[Bucket]:
    """Those that clips of a bucket might go to: still images and videos stay among their own."""
    return [one for one in buckets if one != bucket and (one.frames == 1) == (bucket.frames == 1)]


def _merge(
    shapes: Mapping[Bucket, Shapes], draws: Mapping[Bucket, float], size: int, fitting: _Fitting
) -> dict[Bucket, float]:
    """The buckets that are left, and their draws, if small ones are dropped whose clips fit others.

    One whose clips would lose much stays.

    Args:
        shapes: of the clips of the small buckets, the smallest first.
        draws: of all buckets.
        size: draws that a bucket needs.
        fitting: how clips are fitted.
    """
    moving, kept = dict(shapes), dict(draws)
    for bucket in shapes:
        move = _move(bucket, moving[bucket], list(kept), fitting) if kept[bucket] < size else None
        if move is None or move.lost > _MOST_LOST:
            continue
        gone = moving.pop(bucket)
        each = kept.pop(bucket) / int(gone.counts.sum())
        others = _others(bucket, list(kept))
        chosen = assign(gone, others, enlarges=fitting.enlarges)
        for number in np.unique(chosen).tolist():
            target, here = others[number], chosen == number
            kept[target] += each * int(gone.counts[here].sum())
            if target in moving:
                moving[target] = _joined(moving[target], gone, here)
    return kept


def _joined(one: Shapes, other: Shapes, which: NDArray[np.bool_]) -> Shapes:
    """The shapes of one and some of the other's."""
    names = ("widths", "heights", "frames", "counts")
    columns = ((getattr(one, name), getattr(other, name)[which]) for name in names)
    return Shapes(*(np.concatenate(pair) for pair in columns))


def _option(buckets: Mapping[Bucket, float]) -> str:
    listed = ",".join(f"{b.frames}x{b.height}x{b.width}" for b in sorted(buckets))
    return f"buckets={listed!r}"
