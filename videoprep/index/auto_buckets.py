"""Buckets chosen from a dataset's own sizes and lengths. Pure functions of numbers.

How well a list of buckets serves a dataset is one number, its `loss`; `choose_buckets` looks for
the list that makes it small. A bucket is added while that helps, and after each one all are tried
against every candidate, as in k-medoids. If a clip would then keep less than its `Floor`, because
its neighbours are smaller, all is chosen anew under the rule that a bucket takes no such clip, and
further buckets are added for clips that found none. The candidates come from the dataset: the
legal sizes around its own, cut to the limits, at its own lengths. Effort is bounded whatever the
size of the dataset: sizes that are alike are taken together, and the candidates are thinned.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isqrt, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videoprep.errors import PlanError
from videoprep.families.profile import Profile
from videoprep.index.bucket import Bucket

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# With no number asked for: each has to lower the loss by this much.
_LEAST_GAIN = 0.01
_MOST = 16
_FEW = 4

# A bucket of clips that no other one keeps enough of is added for so large a share of all.
_LEAST_RESCUED = 0.001

MIN_KEPT = 0.5
"""The share of a clip's pixels that a chosen bucket keeps, if nothing else is asked for."""

# Up to 5:4 a picture counts as square: cutting its sides to multiples changes as much.
_SQUARE = 5 / 4
_ORIENTATIONS = (-1, 0, 1)

# What bounds the search. Doubling any of them lowers the loss by less than 0.001 on average.
_CELLS = 256  # sizes told apart among the clips
_LENGTHS = 12  # and among the candidates
_SIZES = 48
_LENGTHS_TRIED = 256
_COMMON = 12  # sizes that are looked at in pairs

_NO_LIMIT = 2**62
_SIDE_BITS, _FRAME_BITS = 20, 23
_DIGITS = 12  # that two ways to add the same shares agree in


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the clips of a dataset look like: each shape once, in order, with its count.

    Attributes:
        widths: int64 ``[shapes]``, pixels, upright.
        heights: int64 ``[shapes]``, pixels, upright.
        frames: int64 ``[shapes]``: frames that are available at the planned rate.
        counts: int64 ``[shapes]``: clips of that shape.
    """

    widths: Ints
    heights: Ints
    frames: Ints
    counts: Ints

    @classmethod
    def of(cls, widths: ArrayLike, heights: ArrayLike, frames: ArrayLike) -> Shapes:
        """The shapes of clips that are given one by one, in any order.

        Args:
            widths: integers ``[clips]``.
            heights: integers ``[clips]``.
            frames: integers ``[clips]``.

        Raises:
            PlanError: the arrays differ in length, or a value is none that a video can have.
        """
        columns = [np.asarray(column, np.int64) for column in (widths, heights, frames)]
        if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
            raise PlanError("widths, heights and frames are not lists of one length")
        for column, least, bits in zip(
            columns, (1, 1, 0), (_SIDE_BITS, _SIDE_BITS, _FRAME_BITS), strict=True
        ):
            if len(column) and not least <= column.min() <= column.max() < 1 << bits:
                raise PlanError(
                    f"a width, height or frame count is not in {least}…{(1 << bits) - 1}"
                )
        # One number for each clip: sorting numbers is ten times as fast as sorting rows.
        packed = columns[0] << _SIDE_BITS | columns[1]
        packed <<= _FRAME_BITS
        packed |= columns[2]
        distinct, counts = np.unique(packed, return_counts=True)
        sizes = distinct >> _FRAME_BITS
        return cls(
            widths=sizes >> _SIDE_BITS,
            heights=sizes & ((1 << _SIDE_BITS) - 1),
            frames=distinct & ((1 << _FRAME_BITS) - 1),
            counts=counts.astype(np.int64),
        )


@dataclass(frozen=True, slots=True)
class Floor:
    """How much of a picture a chosen bucket keeps at least, whatever its neighbours are.

    What a bucket keeps is the share of the picture times that of the resolution, as in `loss`. It
    is compared with what a bucket of the picture's own size would keep: what the divisor and the
    limit cost counts for nothing.

    Attributes:
        least: the share of what a bucket of the picture's own size would keep.
        divisor: of the sides of buckets.
        max_pixels: height × width that is wanted at most; None: all there are.
        crops: whether pictures are cropped to the bucket's aspect ratio.
    """

    least: float
    divisor: int
    max_pixels: int | None
    crops: bool

    def kept(
        self, widths: Ints | int, heights: Ints | int, to_widths: Ints | int, to_heights: Ints | int
    ) -> Floats:
        """What buckets keep of pictures, as a share of what those of their own sizes would keep."""
        widths, heights = np.asarray(widths), np.asarray(heights)
        scale = np.sqrt(np.minimum(1, (self.max_pixels or _NO_LIMIT) / (widths * heights)))
        own = (self._legal(side * scale) for side in (widths, heights))
        there = self._kept(widths, heights, np.asarray(to_widths), np.asarray(to_heights))
        found: Floats = np.minimum(1, there / self._kept(widths, heights, *own))
        return found

    def allows(
        self, widths: Ints | int, heights: Ints | int, to_widths: Ints | int, to_heights: Ints | int
    ) -> Bools:
        """Whether buckets keep enough of pictures."""
        allows: Bools = self.kept(widths, heights, to_widths, to_heights) >= self.least
        return allows

    def _legal(self, sides: NDArray[Any]) -> Ints:
        multiples: Ints = np.maximum(sides // self.divisor, 1).astype(np.int64) * self.divisor
        return multiples

    def _kept(self, widths: Ints, heights: Ints, to_widths: Ints, to_heights: Ints) -> Floats:
        return _picture_kept(widths, heights, to_widths, to_heights, self.max_pixels, self.crops)


def assign(
    shapes: Shapes,
    buckets: Sequence[Bucket],
    *,
    enlarges: bool = False,
    floor: Floor | None = None,
) -> Ints:
    """The bucket that each shape goes to: int64 ``[shapes]``, an index; -1 where none fits.

    A bucket fits that has no more frames than are available, keeps no less than the floor and,
    unless pictures may be enlarged, is neither wider nor higher. Of those that fit it is the
    nearest in aspect ratio, then in area, then the longest, then the first.
    """
    chosen = np.full(len(shapes.counts), -1, np.int64)
    longest = np.zeros_like(chosen)
    least_aspect, least_area = np.full((2, len(chosen)), np.inf)
    for number, bucket in enumerate(buckets):
        fits = _fits(shapes.widths, shapes.heights, bucket.width, bucket.height, enlarges)
        fits &= bucket.frames <= shapes.frames
        if floor is not None:
            fits &= floor.allows(shapes.widths, shapes.heights, bucket.width, bucket.height)
        aspect, area = _distances(shapes.widths, shapes.heights, bucket.width, bucket.height)
        closer = (area < least_area) | ((area == least_area) & (bucket.frames > longest))
        nearer = fits & ((aspect < least_aspect) | ((aspect == least_aspect) & closer))
        chosen[nearer], longest[nearer] = number, bucket.frames
        least_aspect[nearer], least_area[nearer] = aspect[nearer], area[nearer]
    return chosen


def loss(
    shapes: Shapes,
    buckets: Sequence[Bucket],
    *,
    max_pixels: int | None,
    max_frames: int,
    crops: bool = True,
    enlarges: bool = False,
    floor: Floor | None = None,
) -> float:
    """The mean over all clips of ``1 - kept``: 0 where all is kept, 1 where all are skipped.

    What a clip keeps in the bucket that `assign` gives it is the product of three shares:

    * of the picture: the area of the largest box of the bucket's aspect ratio inside it. This is
      also ``exp(-|difference of the log aspect ratios|)``, and stands for the distortion where
      pictures are not cropped but squashed or padded;
    * of the resolution: the bucket's area over that of the box (of the whole picture, where it is
      not cropped), or over ``max_pixels`` where that is less; at most 1;
    * of the frames: the bucket's over those available, or over ``max_frames`` where that is less.

    A clip that fits no bucket keeps nothing. Without any clip the loss is 0.

    Args:
        shapes: the dataset.
        buckets: the buckets, in the order in which they win ties.
        max_pixels: height × width that is wanted at most; None: all there are.
        max_frames: frames that are wanted at most.
        crops: whether pictures are cropped to the bucket's aspect ratio.
        enlarges: whether pictures may be enlarged. That costs nothing here.
        floor: what a bucket keeps of each of its clips at least; None: anything.
    """
    if not len(shapes.counts):
        return 0.0
    chosen = assign(shapes, buckets, enlarges=enlarges, floor=floor)
    placed = chosen >= 0
    sizes = np.array([(b.width, b.height, b.frames) for b in buckets], np.int64).reshape(-1, 3)
    widths, heights, frames = sizes[chosen[placed]].T
    kept = _picture_kept(
        shapes.widths[placed], shapes.heights[placed], widths, heights, max_pixels, crops
    )
    kept *= np.minimum(1, frames / np.minimum(shapes.frames[placed], max_frames))
    return float(1 - (kept * shapes.counts[placed]).sum() / shapes.counts.sum())


def choose_buckets(
    shapes: Shapes,
    profile: Profile,
    *,
    max_pixels: int | None,
    max_frames: int,
    min_frames: int = 1,
    frame_counts: tuple[int, ...] = (),
    number: int | None = None,
    crops: bool = True,
    enlarges: bool = False,
    min_kept: float = MIN_KEPT,
) -> tuple[Bucket, ...]:
    """The buckets, in ascending order, that serve a dataset with little `loss`.

    Portrait, square and landscape clips each get a bucket of their own shape as long as there are
    buckets left to give and the loss does not grow by it; a picture is square up to 5:4. No bucket
    is left without clips. The result does not depend on the order of the clips.

    Args:
        shapes: the dataset.
        profile: which sizes and frame counts are legal.
        max_pixels: height × width of a bucket at most; None: no limit.
        max_frames: frames of a bucket at most.
        min_frames: at least, if they are not given.
        frame_counts: the frame counts there may be; empty: all that the profile allows.
        number: how many buckets at most. None: as many as lower the loss by 0.01 each or serve
            another orientation; at most 16 and, so that batches can be made, the square root of
            the number of clips, but four in any case; and further ones, up to 16, for clips that
            no other keeps enough of.
        crops: whether pictures are cropped to the bucket's aspect ratio; if not, they are resized
            or padded.
        enlarges: whether pictures may be enlarged.
        min_kept: the share of a clip's pixels that its bucket keeps at least; see `Floor`. Clips
            that then fit none are skipped.

    Returns:
        At most ``number`` buckets. None at all where no clip fits any legal bucket: all are smaller
        than the divisor or shorter than the shortest legal frame count.

    Raises:
        PlanError: no bucket at all is within the limits, or a frame count is illegal.
    """
    _require_possible(profile, max_pixels, max_frames, frame_counts, number)
    lengths = _lengths(shapes, profile, range(min_frames, max_frames + 1), frame_counts)
    usable = _usable(shapes, 1 if enlarges else profile.divisor, lengths.min(initial=_NO_LIMIT))
    if not len(usable.counts):
        return ()
    clips = int(shapes.counts.sum())
    if number is None:
        share = clips / int(usable.counts.sum())
        limits = _Limits(min(_MOST, max(_FEW, isqrt(clips))), _LEAST_GAIN * share, _MOST)
    else:
        limits = _Limits(number, 0.0, number)
    groups = _group(usable, lengths, max_frames)
    rule = _FitRule(max_pixels or _NO_LIMIT, crops, enlarges)
    found = _chosen(groups, profile.divisor, rule, limits)
    floor = Floor(min_kept, profile.divisor, max_pixels, crops)
    placed = assign(usable, found, enlarges=enlarges)
    if (placed != assign(usable, found, enlarges=enlarges, floor=floor)).any():
        found = _chosen(groups, profile.divisor, replace(rule, floor=floor), limits)
        placed = assign(usable, found, enlarges=enlarges, floor=floor)
    return tuple(found[i] for i in np.unique(placed) if i >= 0)


def _chosen(groups: _Groups, divisor: int, rule: _FitRule, limits: _Limits) -> list[Bucket]:
    """The best buckets under a rule, ascending."""
    groups = _thin_lengths(groups, rule)
    sizes = _thin_sizes(groups, _sizes(groups, divisor, rule), rule)
    candidates = [
        Bucket(int(frames), int(height), int(width))
        for frames, (height, width) in product(groups.lengths, sizes)
    ]
    choices = _weigh(groups, candidates, rule)
    state = _search(choices, limits.number, limits.least)
    if rule.floor is not None:
        state = _rescued(choices, state, limits.most)
    return sorted(candidates[i] for i in state.chosen)


def _require_possible(
    profile: Profile,
    max_pixels: int | None,
    max_frames: int,
    frame_counts: tuple[int, ...],
    number: int | None,
) -> None:
    if max_pixels is not None and max_pixels < profile.divisor**2:
        raise PlanError(
            f"no bucket of the profile {profile.name!r} has {max_pixels} pixels or fewer",
            remedy=f"give at least `max_pixels={profile.divisor**2}`",
            option="max_pixels",
        )
    illegal = [n for n in frame_counts if not profile.accepts_frames(n)]
    if illegal:
        raise PlanError(
            f"frame buckets that are not {profile.frame_rule()}: {', '.join(map(str, illegal))}",
            remedy="use legal frame counts, or another `profile`",
        )
    shortest = min(frame_counts, default=profile.nearest_frames(0)[0])
    if max_frames < shortest:
        raise PlanError(
            f"the shortest bucket there may be has {shortest} frames, more than {max_frames}",
            remedy=f"give at least `max_num_frames={shortest}`",
            option="max_num_frames",
        )
    if number is not None and number < 1:
        raise PlanError(f"{number} buckets hold no clip", remedy="give at least `num_buckets=1`")


@dataclass(frozen=True, slots=True)
class _FitRule:
    """What decides which bucket a picture fits and how much of it is kept."""

    max_pixels: int
    crops: bool
    enlarges: bool
    floor: Floor | None = None


@dataclass(frozen=True, slots=True)
class _Limits:
    """How many buckets there may be.

    Attributes:
        number: at most, apart from those added for clips that would be skipped.
        least: the share of all that each of them makes the buckets keep more.
        most: at most, with those added.
    """

    number: int
    least: float
    most: int


@dataclass(frozen=True, slots=True)
class _Groups:
    """Clips taken together by size and by length.

    Attributes:
        widths: int64 ``[sizes]``: the least of each group, so that what fits it fits all.
        heights: int64 ``[sizes]``: likewise.
        most_widths: int64 ``[sizes]``: the greatest of each, of which most may be lost.
        most_heights: int64 ``[sizes]``: likewise.
        lengths: int64 ``[lengths]``, ascending: each clip counts under the longest it has.
        clips: float64 ``[sizes, lengths]``: how many there are.
        values: float64 ``[sizes, lengths]``: the share of a clip's frames that one frame is, summed
            over the clips.
    """

    widths: Ints
    heights: Ints
    most_widths: Ints
    most_heights: Ints
    lengths: Ints
    clips: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class _Choices:
    """What each candidate means for each group of clips.

    Attributes:
        ranks: int32 ``[groups, candidates]``: a group goes to the candidate of the lowest rank. The
            last column is for being skipped; what does not fit ranks as low.
        kept: float64, likewise: what it keeps of the group, as a share of all groups.
        serves: bool ``[candidates, 3]``: whether it is a portrait, square or landscape bucket that
            some clips of the same orientation fit.
    """

    ranks: NDArray[np.int32]
    kept: Floats
    serves: Bools


def _fits(
    widths: Ints, heights: Ints, to_width: Ints | int, to_height: Ints | int, enlarges: bool
) -> Bools:
    fits: Bools = (to_width <= widths) & (to_height <= heights)
    return fits | enlarges


def _distances(
    widths: Ints, heights: Ints, to_width: Ints | int, to_height: Ints | int
) -> tuple[Floats, Floats]:
    """In aspect ratio and in area, each as the absolute difference of the logarithms."""
    aspect = np.abs(np.log(to_width / to_height) - np.log(widths / heights))
    area = np.abs(np.log(to_width * to_height) - np.log(widths * heights))
    # Equal ratios reached by different divisions differ in the last bits: they are one ratio.
    return aspect.round(9), area


def _picture_kept(
    widths: Ints,
    heights: Ints,
    to_widths: Ints,
    to_heights: Ints,
    max_pixels: int | None,
    crops: bool,
) -> Floats:
    """The shares of the picture and of the resolution, multiplied."""
    ratio = (to_widths * heights) / (to_heights * widths)
    share = np.minimum(ratio, 1 / ratio)
    wanted = widths * heights * (share if crops else 1)
    wanted = np.minimum(wanted, max_pixels or _NO_LIMIT)
    kept: Floats = share * np.minimum(1, to_widths * to_heights / wanted)
    return kept


def _orientations(widths: Ints, heights: Ints) -> Bools:
    """Bool ``[…, 3]``: which of portrait, square and landscape a picture is."""
    aspect = np.log(widths / heights)
    sign = np.sign(aspect) * (np.abs(aspect) > log(_SQUARE))
    found: Bools = np.equal.outer(sign, _ORIENTATIONS)
    return found


def _lengths(
    shapes: Shapes, profile: Profile, allowed: range, frame_counts: tuple[int, ...]
) -> Ints:
    """The frame counts that buckets may have: of the dataset's own, cut to legal ones."""
    available = np.unique(np.minimum(shapes.frames, allowed.stop - 1))
    if frame_counts:
        longest = available.max(initial=0)
        found = {n for n in frame_counts if n <= longest}
    else:
        within = (profile.frames_within(int(n)) for n in available)
        found = {n for n in within if n is not None and n in allowed}
    lengths = np.array(sorted(found), np.int64)
    if len(lengths) > _LENGTHS_TRIED:
        lengths = lengths[np.linspace(0, len(lengths) - 1, _LENGTHS_TRIED).astype(np.int64)]
    return lengths


def _usable(shapes: Shapes, side: int, frames: int) -> Shapes:
    """The shapes with sides and frames of at least as many."""
    sides = np.minimum(shapes.widths, shapes.heights)
    found = (sides >= side) & (shapes.frames >= frames)
    return Shapes(
        shapes.widths[found], shapes.heights[found], shapes.frames[found], shapes.counts[found]
    )


def _group(shapes: Shapes, lengths: Ints, max_frames: int) -> _Groups:
    """Takes clips together that are alike in size, and as long as makes no difference."""
    cells = _cells(shapes.widths, shapes.heights, shapes.counts)
    cell = np.empty(len(shapes.counts), np.int64)
    for number, members in enumerate(cells):
        cell[members] = number
    length = np.searchsorted(lengths, shapes.frames, side="right") - 1
    clips, values = np.zeros((2, len(cells), len(lengths)))
    np.add.at(clips, (cell, length), shapes.counts)
    np.add.at(values, (cell, length), shapes.counts / np.minimum(shapes.frames, max_frames))
    return _Groups(
        widths=np.array([shapes.widths[members].min() for members in cells]),
        heights=np.array([shapes.heights[members].min() for members in cells]),
        most_widths=np.array([shapes.widths[members].max() for members in cells]),
        most_heights=np.array([shapes.heights[members].max() for members in cells]),
        lengths=lengths,
        clips=clips,
        values=values,
    )


def _cells(widths: Ints, heights: Ints, counts: Ints) -> list[Ints]:
    """Indices of the shapes of each cell, where cells hold sizes that are alike.

    As in median cut, the cell that most is lost by is halved until there are enough: the one with
    the most clips times the largest ratio of two sides. A size that many clips have is soon alone.
    """
    sides = np.log(np.stack([widths, heights]))

    def entry(members: Ints) -> tuple[float, int, int, Ints]:
        spans = np.ptp(sides[:, members], axis=1)
        axis = int(spans.argmax())
        # The first member tells cells of equal cost apart: members are never compared.
        return -float(spans[axis] * counts[members].sum()), int(members[0]), axis, members

    heap = [entry(np.arange(len(counts)))]
    while heap[0][0] < 0 and len(heap) < _CELLS:
        *_, axis, members = heapq.heappop(heap)
        values = sides[axis, members]
        low = values <= (values.min() + values.max()) / 2
        for half in (members[low], members[~low]):
            heapq.heappush(heap, entry(half))
    return sorted((members for *_, members in heap), key=lambda members: int(members[0]))


def _sizes(groups: _Groups, divisor: int, rule: _FitRule) -> Ints:
    """Legal ``(height, width)`` that may serve: int64 ``[sizes, 2]``, ascending.

    Around each picture's there are smaller ones, too: their aspect ratio may be the nearer one, and
    that decides where clips go.
    """
    widths, heights = _pictures(groups)
    scale = np.sqrt(np.minimum(1, rule.max_pixels / (widths * heights)))
    found = []
    for more_width, more_height in product((-1, 0, 1), repeat=2):
        width = np.maximum(widths * scale // divisor + more_width, 1).astype(np.int64) * divisor
        height = np.maximum(heights * scale // divisor + more_height, 1).astype(np.int64) * divisor
        room = rule.max_pixels // np.minimum(width, height) // divisor * divisor
        landscape = width >= height
        width = np.where(landscape, np.minimum(width, room), width)
        height = np.where(landscape, height, np.minimum(height, room))
        legal = (room > 0) & (rule.enlarges | ((width <= widths) & (height <= heights)))
        found.append(np.stack([height, width], axis=1)[legal])
    return np.unique(np.concatenate(found), axis=0)


def _pictures(groups: _Groups) -> tuple[Floats, Floats]:
    """Widths and heights that buckets are made for.

    They are those of all groups; and, so that few buckets can serve many, those of what the
    commonest have in common, and of the largest picture of one's aspect ratio inside another.
    """
    common = np.argsort(-groups.clips.sum(axis=1), kind="stable")[:_COMMON]
    width, height = groups.widths[common], groups.heights[common]
    aspect = (width / height)[:, None]
    pictures: list[tuple[Floats | Ints, Floats | Ints]] = [
        (groups.widths, groups.heights),
        (groups.widths.min(keepdims=True), groups.heights.min(keepdims=True)),
        (np.minimum(width[:, None], width), np.minimum(height[:, None], height)),
        # Rounded, as a whole number reached by division may be just below it.
        (np.minimum(width, aspect * height).round(6), np.minimum(height, width / aspect).round(6)),
    ]
    widths = np.concatenate([width.ravel() for width, _ in pictures])
    heights = np.concatenate([height.ravel() for _, height in pictures])
    return widths, heights


def _thin_sizes(groups: _Groups, sizes: Ints, rule: _FitRule) -> Ints:
    """Those that serve best if all clips are one frame long."""
    if len(sizes) * len(groups.lengths) <= _SIZES * _LENGTHS:
        return sizes
    clips = groups.clips.sum(axis=1, keepdims=True)
    still = replace(groups, lengths=np.ones(1, np.int64), clips=clips, values=clips)
    candidates = [Bucket(1, int(height), int(width)) for height, width in sizes]
    return sizes[_thinned(_weigh(still, candidates, rule), _SIZES)]


def _thin_lengths(groups: _Groups, rule: _FitRule) -> _Groups:
    """With the lengths only that serve best if all pictures are one pixel large."""
    if len(groups.lengths) <= _LENGTHS:
        return groups
    one = np.ones(1, np.int64)
    clips, values = (table.sum(axis=0, keepdims=True) for table in (groups.clips, groups.values))
    dots = _Groups(one, one, one, one, groups.lengths, clips, values)
    candidates = [Bucket(int(frames), 1, 1) for frames in groups.lengths]
    left = _thinned(_weigh(dots, candidates, replace(rule, floor=None)), _LENGTHS)
    return replace(
        groups,
        lengths=groups.lengths[left],
        clips=np.add.reduceat(groups.clips, left, axis=1),
        values=np.add.reduceat(groups.values, left, axis=1),
    )


def _weigh(groups: _Groups, candidates: Sequence[Bucket], rule: _FitRule) -> _Choices:
    """What each candidate means for each group that has clips."""
    frames, heights, widths = np.array([(b.frames, b.height, b.width) for b in candidates]).T
    picture = groups.widths[:, None], groups.heights[:, None]
    size, length = groups.clips.nonzero()
    available = groups.lengths[length, None]
    fits_in = _fits(*picture, widths, heights, rule.enlarges)
    if rule.floor is not None:
        largest = groups.most_widths[:, None], groups.most_heights[:, None]
        fits_in &= rule.floor.allows(*picture, widths, heights)
        fits_in &= rule.floor.allows(*largest, widths, heights)
    fits = fits_in[size] & (frames <= available)
    kept = _picture_kept(*picture, widths, heights, rule.max_pixels, rule.crops)[size]
    kept *= frames * groups.values[size, length, None] / groups.clips.sum()
    aspect, area = _distances(*picture, widths, heights)
    order = np.lexsort((np.broadcast_to(-frames, area.shape), area, aspect), axis=1)
    ranks = np.argsort(order, axis=1).astype(np.int32)[size]
    own = _orientations(*(side[size] for side in picture))[:, 0]
    serves = (fits.T @ own) & _orientations(widths, heights)
    nothing, none = ((0, 0), (0, 1)), len(candidates)
    return _Choices(
        ranks=np.pad(np.where(fits, ranks, none), nothing, constant_values=none),
        kept=np.pad(np.where(fits, kept, 0), nothing),
        serves=np.pad(serves, ((0, 1), (0, 0))),
    )


@dataclass(frozen=True, slots=True)
class _State:
    """Which candidates are chosen, how many orientations they serve, what share is kept."""

    chosen: tuple[int, ...] = ()
    served: int = 0
    kept: float = 0.0

    def betters(self, other: _State) -> bool:
        """Whether it serves or keeps more, and keeps no less."""
        return self.kept >= other.kept and (self.served, self.kept) > (other.served, other.kept)


def _search(choices: _Choices, number: int, least: float) -> _State:
    """Adds a candidate and swaps while that helps, until adding gains too little."""
    state = _State()
    while len(state.chosen) < number:
        grown = state
        for added in (_added(choices, state), _promising(choices, state)):
            swapped = _swapped(choices, added)
            grown = swapped if swapped.betters(grown) else grown
        gains = grown.served > state.served or grown.kept >= state.kept + least
        if grown is state or (state.chosen and not gains):
            break
        state = grown
    return state


def _rescued(choices: _Choices, state: _State, most: int) -> _State:
    """With further candidates for groups that are skipped, those first that keep most of them."""
    nothing = len(choices.serves) - 1
    while len(state.chosen) < most:
        left_out = (choices.ranks[:, list(state.chosen)] == nothing).all(axis=1)
        gained = choices.kept[left_out].sum(axis=0).round(_DIGITS)
        tables = _neighbours(choices, state)
        # By the rule a bucket may take clips from others that keep more of them.
        gained[tables[0][-1] < state.kept] = 0
        best = int(gained.argmax())
        if gained[best] < _LEAST_RESCUED:
            break
        state = _changed(state, tables, len(state.chosen), best)
    return state


def _thinned(choices: _Choices, number: int) -> list[int]:
    """The candidates that adding alone, without swaps, would choose; in ascending order."""
    state = _State()
    while len(state.chosen) < number and (grown := _added(choices, state)).betters(state):
        state = grown
    return sorted(state.chosen)


def _added(choices: _Choices, state: _State) -> _State:
    """With one candidate more, the best one."""
    tables = _neighbours(choices, state)
    return _changed(state, tables, len(state.chosen), int(_score(state, tables)[-1].argmax()))


def _promising(choices: _Choices, state: _State) -> _State:
    """With the one more that would be the best if each clip went where most of it is kept.

    By the rule it may take clips from buckets that keep more of them; swaps may mend that.
    """
    columns = np.array([*state.chosen, len(choices.serves) - 1])
    nearest = columns[choices.ranks[:, columns].argmin(axis=1)]
    kept = np.take_along_axis(choices.kept, nearest[:, None], axis=1)
    promise = np.maximum(choices.kept, kept).sum(axis=0).round(_DIGITS)
    tables = _neighbours(choices, state)
    return _changed(state, tables, len(state.chosen), int(promise.argmax()))


def _swapped(choices: _Choices, state: _State) -> _State:
    """With candidates in the places of others, one after the other while that is better."""
    while True:
        tables = _neighbours(choices, state)
        score = _score(state, tables)[:-1]
        changed = _changed(state, tables, *divmod(int(score.argmax()), score.shape[1]))
        if not changed.betters(state):
            return state
        state = changed


def _score(state: _State, tables: tuple[Floats, Ints]) -> Floats:
    """How good each change is: among those that keep no less, serving counts before keeping.

    But the first bucket is the one that keeps the most, whomever it serves.
    """
    kept, served = tables
    score: Floats = np.where(kept < state.kept, -1, kept + (2 * served if state.chosen else 0))
    return score


def _changed(state: _State, tables: tuple[Floats, Ints], place: int, candidate: int) -> _State:
    """With the candidate in that place, or after all others."""
    kept, served = (table[place, candidate].item() for table in tables)
    others = state.chosen[:place] + state.chosen[place + 1 :]
    return _State((*others, candidate), served, kept)


def _neighbours(choices: _Choices, state: _State) -> tuple[Floats, Ints]:
    """What is kept, and how many orientations served, with one candidate changed.

    Both are ``[chosen + 1, candidates]``: a candidate in the place of each one chosen, or added.
    As in FastPAM, one look at each group's nearest and second nearest does for all of them.
    """
    nothing = len(choices.serves) - 1
    columns = np.array([*state.chosen, nothing, nothing])
    nearest = choices.ranks[:, columns].argsort(axis=1, kind="stable")[:, :2]
    rows = np.arange(len(nearest))

    def kept_with(present: Ints) -> Floats:
        rank, kept = (table[rows, present, None] for table in (choices.ranks, choices.kept))
        result: Floats = np.where(choices.ranks < rank, choices.kept, kept)
        return result

    added = kept_with(columns[nearest[:, 0]])
    after_loss = kept_with(columns[nearest[:, 1]]) - added
    loses = np.arange(len(state.chosen))[:, None] == nearest[:, 0]
    kept = added.sum(axis=0) + np.pad(loses @ after_loss, ((0, 1), (0, 0)))
    serves = choices.serves[list(state.chosen)]
    serving = serves.sum(axis=0)
    others = np.vstack([serving - serves, serving]) > 0
    served = (others[:, None] | choices.serves).sum(axis=2)
    return kept.round(_DIGITS), served
