"""What a plan comes to: buckets, losses, tokens, disk, batches. A pure function of an index."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.families.caption_places import FURTHER_KEYS, CaptionPlaces
from videoprep.families.component import (
    FIRST_FRAMES,
    FRAMES,
    Component,
    ComponentSpec,
    for_roles,
    ordered,
)
from videoprep.families.moments import MOMENTS, PosteriorForm
from videoprep.families.profile import Profile
from videoprep.families.registry import get_profile
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.dataset_summary import DatasetSummary, draws_among, summarize_datasets
from videoprep.index.overlap import overlaps_in
from videoprep.index.policy import is_multi_bucket
from videoprep.index.row_words import row_word
from videoprep.index.schema import media_column, roles_in
from videoprep.index.shown import stretches
from videoprep.index.table import BucketIndex

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DEFAULT_GLOBAL_BATCH = 8
"""Clips in a batch over all GPUs, where nothing is said."""

GLOBAL_BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Those that a summary tells about, beside the one that is asked for."""

TRAIN = "train"
"""The split that is trained with, where there is one of that name."""

_NUMBERS = (
    "source_width", "source_height", "source_fps", "available_frames", "start", "fps", "speed",
    "crop_width", "crop_height", "fit_width", "fit_height", "frames", "height", "width",
)  # fmt: skip
_KEYS = ("video_key", "image_key", "prompt_key", "audio_key")

_VALUE_BYTES = 2  # bfloat16, in which a GPU encodes unless told otherwise
_FAR = 2**32  # frames; further than any video reaches
_DIGITS = 6  # of what is rounded: shares, factors
_ROUNDED_OFF = 1e-6  # sums of weights may miss a whole number by so much


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the mean and the greatest of some numbers; all 0 where there are none."""

    least: float = 0.0
    mean: float = 0.0
    most: float = 0.0

    @classmethod
    def of(cls, values: NDArray[Any]) -> Spread:
        """That of an array ``[values]``."""
        if not len(values):
            return cls()
        return cls(*(round(float(f(values)), _DIGITS) for f in (np.min, np.mean, np.max)))


@dataclass(frozen=True, slots=True)
class BucketSummary:
    """The clips of one bucket.

    Attributes:
        bucket: frames, height and width.
        clips: how many.
        draws: how many come in an epoch of `Summary.batched_split`, by weights and repeats, in
            whole clips.
        mean_draws: the same on average: 2.5 if weights of 0.5 make it 2 or 3.
        cut: mean share of the picture's area that is cut off.
        padded: mean share of the bucket's area that is black.
        scale: mean factor by which a side of the picture becomes shorter or longer.
        frames_used: frames at the planned rate that are in its clips.
        frames_available: those that the samples have which have clips here. One that has clips in
            several buckets is in each.
        latent_tokens: of a clip.
        clip_bytes: stored of a clip's video latents, in bfloat16.
    """

    bucket: Bucket
    clips: int
    draws: int
    mean_draws: float
    cut: float
    padded: float
    scale: float
    frames_used: int
    frames_available: int
    latent_tokens: int
    clip_bytes: int

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        values = asdict(self)
        return {**values.pop("bucket"), **values}


@dataclass(frozen=True, slots=True)
class LeftOutSummary:
    """The samples that are skipped for one reason.

    Attributes:
        code: the reason.
        samples: how many.
        frames: what those have whose frames are known, at the planned rate.
        unknown: of how many samples the frames are not known.
    """

    code: str
    samples: int
    frames: int
    unknown: int


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """Where all frames go, at the planned rate: ``available`` is the sum of the six that follow.

    Attributes:
        available: of all samples whose frames are known.
        used: in clips; what clips share counts once.
        skipped: passed over by clips that are sped up.
        between: after one clip of a sample and before the next.
        outside: before a sample's first clip, and after its last.
        left_out: of samples that are skipped.
        source_frames_each: how many frames of the file one at the planned rate stands for, on
            average over all clips; below 1 frames are repeated.
    """

    used: int
    skipped: int
    between: int
    outside: int
    left_out: int
    source_frames_each: float

    @property
    def available(self) -> int:
        """Frames of all samples, as far as they are known."""
        return self.used + self.skipped + self.between + self.outside + self.left_out

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {"available": self.available, **asdict(self)}


@dataclass(frozen=True, slots=True)
class ComponentSummary:
    """What has to be made of one kind.

    Attributes:
        name: as the store names it.
        artifacts: how many; what clips share is made once.
        pixels: frames × height × width of all of them; 0 for captions.
        bytes: what they take on disk, in bfloat16; float32 takes twice as much. 0 for sound
            of which the profile does not say the shape.
        asked_by: the option that asks for it; None: it is always made.
    """

    name: Component
    artifacts: int
    pixels: int
    bytes: int
    asked_by: str | None = None
    of_some_families: bool = False
    """Whether only some of the families make it that keep to the plan's profile."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a plan comes to.

    Attributes:
        samples: ``planned`` and those skipped.
        planned: samples that have clips.
        clips: how many. One that is in several buckets counts once: they are as many as the
            sample has in the bucket of its first one.
        assignments: clips, each counted once for every bucket that it is in: the rows of the plan.
        word: what a row of the plan is called; see `row_word`.
        stills: rows that are still images, of which nothing is made for image-to-video.
        clips_per_sample: of the planned samples.
        splits: clips of each split; those of none under the empty name.
        batched_split: the split that batches are counted for: ``train``, or else the largest;
            None: there are no splits.
        sped_up: clips that are sped up.
        speed: how much, of those alone.
        enlarged: clips whose picture is enlarged.
        enlargement: by which factor, of those alone.
        buckets: in their natural order.
        left_out: by code.
        frames: where they all go.
        components: what has to be made.
        global_batch: clips in a batch over all GPUs.
        datasets: what each comes to, if there are several.
        shared_videos: which of the datasets share videos, in sentences.
    """

    samples: int
    planned: int
    clips: int
    assignments: int
    word: str
    stills: int
    clips_per_sample: Spread
    splits: Mapping[str, int]
    batched_split: str | None
    sped_up: int
    speed: Spread
    enlarged: int
    enlargement: Spread
    buckets: tuple[BucketSummary, ...]
    left_out: tuple[LeftOutSummary, ...]
    frames: FrameSummary
    components: tuple[ComponentSummary, ...]
    of_video_alone: tuple[Component, ...]
    """Those of the components that are not made of still images."""
    global_batch: int
    datasets: tuple[DatasetSummary, ...] = ()
    shared_videos: tuple[str, ...] = ()

    @property
    def draws(self) -> int:
        """Clips that come in an epoch of the split that is counted."""
        return int(sum(one.mean_draws for one in self.buckets) + _ROUNDED_OFF)

    def dropped(self, global_batch: int) -> int:
        """Of those, how many a trainer leaves out that drops incomplete batches."""
        return sum(one.draws % global_batch for one in self.buckets)

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        flat = ("samples", "planned", "clips", "stills", "batched_split", "sped_up", "enlarged")
        spreads = ("clips_per_sample", "speed", "enlargement")
        return {
            **{name: getattr(self, name) for name in flat},
            "bucket_assignments": self.assignments,
            **{name: asdict(getattr(self, name)) for name in spreads},
            "splits": dict(self.splits),
            "buckets": [one.to_json() for one in self.buckets],
            "left_out_by_code": [asdict(one) for one in self.left_out],
            "frames": self.frames.to_json(),
            "components": [asdict(one) for one in self.components],
            "clips_in_an_epoch": self.draws,
            "global_batch": self.global_batch,
            "batches": [
                {"global_batch": size, "dropped": self.dropped(size), "share": self._share(size)}
                for size in sorted({*GLOBAL_BATCHES, self.global_batch})
            ],
            **self._of_datasets(),
        }

    def _of_datasets(self) -> dict[str, Any]:
        if not self.datasets:
            return {}
        told = [one.to_json() for one in self.datasets]
        return {"datasets": told, "shared_videos": list(self.shared_videos)}

    def _share(self, global_batch: int) -> float:
        return round(self.dropped(global_batch) / max(1, self.draws), _DIGITS)


def summarize(index: BucketIndex, global_batch: int = DEFAULT_GLOBAL_BATCH) -> Summary:
    """What a plan comes to. The rows of a sample lie together, as they do in every index.

    Args:
        index: the plan.
        global_batch: clips in a batch, over all GPUs.
    """
    table, buckets = _planned_rows(index), index.buckets
    columns = {name: table[name].to_numpy() for name in _NUMBERS}
    stills = int(np.isnan(columns["fps"]).sum())
    samples = sample_numbers(table["sample"])
    planned = int(samples[-1]) + 1 if len(samples) else 0
    covered = cover(samples, columns)
    once = samples
    if is_multi_bucket(index.policy):
        once = samples[in_first_bucket(samples, buckets.codes)]
    left_out = _left_out(index)
    splits, in_batched, batched_split = _splits(table["split"])
    across, down = stretches(columns, index.policy)
    enlargement = np.maximum(
        columns["fit_width"] / (columns["crop_width"] * across),
        columns["fit_height"] / (columns["crop_height"] * down),
    )
    speed, profile = columns["speed"], get_profile(index.policy["profile"])
    draws = draws_among(index, in_batched)
    return Summary(
        samples=planned + sum(one.samples for one in left_out),
        planned=planned,
        clips=len(once),
        assignments=len(index),
        word=row_word(index.policy),
        stills=stills,
        clips_per_sample=Spread.of(np.bincount(once)),
        splits=splits,
        batched_split=batched_split,
        sped_up=int((speed > 1).sum()),
        speed=Spread.of(speed[speed > 1]),
        enlarged=int((enlargement > 1).sum()),
        enlargement=Spread.of(enlargement[enlargement > 1]),
        buckets=_buckets(buckets, samples, columns, covered.used, draws, profile, across * down),
        left_out=left_out,
        frames=_frames(samples, columns, covered, left_out),
        components=_components(table, buckets, profile),
        of_video_alone=tuple(
            one.name for one in profile.components if one.source.of_video_alone and not one.noise
        ),
        global_batch=global_batch,
        datasets=summarize_datasets(index, in_batched),
        shared_videos=tuple(overlaps_in(index)),
    )


def _planned_rows(index: BucketIndex) -> pa.Table:
    """The columns that matter of the planned rows."""
    sizes = ("path", "frames", "height", "width", "key")
    of_roles = [media_column(role, name) for role in index.roles for name in sizes]
    there = [name for name in of_roles if name in {*index.table.column_names} - {*_KEYS}]
    there += [FURTHER_KEYS] if FURTHER_KEYS in index.table.column_names else []
    table = index.table.select(["sample", "split", *_NUMBERS, *_KEYS, *there])
    if len(index) == table.num_rows:
        return table
    return table.filter(pc.is_null(index.table["left_out_code"]))


def sample_numbers(names: pa.ChunkedArray) -> Ints:
    """The number of each row's sample, ascending from 0."""
    numbers = np.zeros(len(names), np.int64)
    if len(names) > 1:
        differs = pc.not_equal(names.slice(1), names.slice(0, len(names) - 1))
        np.cumsum(differs.to_numpy(), out=numbers[1:])
    return numbers


def in_first_bucket(samples: Ints, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which clips are in the bucket of their sample's first clip: bool ``[clips]``.

    Args:
        samples: the number of each clip's sample, ascending from 0.
        codes: the bucket of each clip.
    """
    firsts = codes[np.diff(samples, prepend=-1) > 0]
    return np.equal(codes, firsts[samples])


@dataclass(frozen=True, slots=True)
class Cover:
    """What clips cover of their samples, in frames at the planned rate.

    Attributes:
        passed: int64 ``[clips]``: frames of each that no earlier clip of its sample covers.
        used: int64 ``[clips]``: those of them that are taken: not all where it is sped up.
        span: from the first clip's start to the last one's end, of all samples together.
    """

    passed: Ints
    used: Ints
    span: int


def cover(samples: Ints, columns: Mapping[str, NDArray[Any]]) -> Cover:
    """What clips cover of their samples.

    Args:
        samples: the number of each clip's sample, ascending from 0, ``[clips]``.
        columns: ``start``, ``speed``, ``frames`` and ``fps`` of each clip.
    """
    if not len(samples):
        return Cover(samples, samples, 0)
    # A still image has no time: its one frame is all of its sample.
    columns = {**columns, **{n: np.nan_to_num(columns[n]) for n in ("start", "fps")}}
    order = np.lexsort((columns["start"], samples))
    start, speed, frames, fps = (columns[n][order] for n in ("start", "speed", "frames", "fps"))
    is_first = np.diff(samples, prepend=-1) > 0
    begins = np.repeat(start[is_first], np.bincount(samples))
    begin = np.rint((start - begins) * fps * speed).astype(np.int64)
    end = begin + np.rint(frames * speed).astype(np.int64)
    # One running maximum for all samples: each lies far beyond the one before.
    reached = np.maximum.accumulate(end + samples * _FAR) - samples * _FAR
    before = np.where(is_first, begin, np.roll(reached, 1))
    passed = np.empty_like(begin)
    passed[order] = np.maximum(0, end - np.maximum(begin, before))
    used = np.rint(passed / columns["speed"]).astype(np.int64)
    return Cover(passed, used, int(reached[np.roll(is_first, -1)].sum()))


def _frames(
    samples: Ints,
    columns: Mapping[str, NDArray[Any]],
    covered: Cover,
    left_out: Sequence[LeftOutSummary],
) -> FrameSummary:
    of_samples = columns["available_frames"][np.diff(samples, prepend=-1) > 0]
    passed, used = int(covered.passed.sum()), int(covered.used.sum())
    each = columns["source_fps"] / (columns["fps"] * columns["speed"])
    each = each[~np.isnan(each)] if np.isnan(each).any() else each
    return FrameSummary(
        used=used,
        skipped=passed - used,
        between=covered.span - passed,
        outside=int(of_samples.sum()) - covered.span,
        left_out=sum(one.frames for one in left_out),
        source_frames_each=Spread.of(each).mean,
    )


def _buckets(
    buckets: BucketColumn,
    samples: Ints,
    columns: Mapping[str, NDArray[Any]],
    used: Ints,
    draws: Floats,
    profile: Profile,
    stretch: Floats,
) -> tuple[BucketSummary, ...]:
    def area(name: str) -> Floats:
        product: Floats = columns[f"{name}width"] * columns[f"{name}height"].astype(np.float64)
        return product

    def total(values: NDArray[Any]) -> Floats:
        sums = np.bincount(buckets.codes, weights=values, minlength=len(buckets.kinds))
        return sums.astype(np.float64)

    # Each sample's frames count once in a bucket, however many of its clips are there.
    once = np.zeros(len(samples), np.bool_)
    pairs = samples * len(buckets.kinds) + buckets.codes
    _, firsts, numbers = np.unique(pairs, return_index=True, return_inverse=True)
    once[firsts] = True
    if len(firsts) > np.count_nonzero(np.diff(samples, prepend=-1)):
        used = _used_in_pairs(numbers.astype(np.int64), columns)
    totals = {
        "clips": total(np.ones(len(samples))),
        "draws": total(draws),
        "cut": total(1 - area("crop_") / area("source_")),
        "padded": total(1 - area("fit_") / area("")),
        "scale": total(np.sqrt(area("fit_") / (area("crop_") * stretch))),
        "used": total(used),
        "available": total(columns["available_frames"] * once),
    }
    rows = zip(*(values.tolist() for values in totals.values()), strict=True)
    return tuple(
        _bucket(bucket, dict(zip(totals, row, strict=True)), profile)
        for bucket, row in zip(buckets.kinds, rows, strict=True)
        if row[0]
    )


def _used_in_pairs(pairs: Ints, columns: Mapping[str, NDArray[Any]]) -> Ints:
    """How many frames of each clip no earlier clip of its sample and bucket uses: ``[clips]``.

    Args:
        pairs: the number of each clip's sample and bucket.
        columns: see `cover`.
    """
    order = np.argsort(pairs, kind="stable")
    names = ("start", "speed", "frames", "fps")
    used = np.empty_like(pairs)
    used[order] = cover(pairs[order], {name: columns[name][order] for name in names}).used
    return used


def _bucket(bucket: Bucket, totals: Mapping[str, float], profile: Profile) -> BucketSummary:
    clips = totals["clips"]
    cut, padded, scale = (
        round(totals[name] / clips, _DIGITS) for name in ("cut", "padded", "scale")
    )
    form = profile.whole_clips.posterior or MOMENTS
    return BucketSummary(
        bucket=bucket,
        clips=int(clips),
        draws=int(totals["draws"] + _ROUNDED_OFF),
        mean_draws=round(totals["draws"], _DIGITS),
        cut=cut,
        padded=padded,
        scale=scale,
        frames_used=int(totals["used"]),
        frames_available=int(totals["available"]),
        latent_tokens=profile.latent_tokens(bucket.frames, bucket.height, bucket.width),
        clip_bytes=_moments_bytes(profile, bucket.frames, bucket, form),
    )


def _moments_bytes(profile: Profile, frames: int, bucket: Bucket, form: PosteriorForm) -> int:
    shape = profile.moments_shape(frames, bucket.height, bucket.width, form)
    return int(np.prod(shape, dtype=np.int64)) * _VALUE_BYTES


def _left_out(index: BucketIndex) -> tuple[LeftOutSummary, ...]:
    table = index.table.filter(pc.is_valid(index.table["left_out_code"]))
    codes = pc.cast(table["left_out_code"], pa.string())
    grouped = (
        pa.table({"code": codes, "frames": table["available_frames"]})
        .group_by("code")
        .aggregate([("frames", "sum"), ("frames", "count"), ("code", "count")])
        .sort_by("code")
    )
    return tuple(
        LeftOutSummary(
            code=row["code"],
            samples=row["code_count"],
            frames=row["frames_sum"] or 0,
            unknown=row["code_count"] - row["frames_count"],
        )
        for row in grouped.to_pylist()
    )


def _splits(column: pa.ChunkedArray) -> tuple[dict[str, int], NDArray[np.bool_], str | None]:
    """Clips of each split; which clips are in the one that is trained with, and its name.

    All clips are, and there are no names, where none has a split.
    """
    array = column.unify_dictionaries().combine_chunks()
    codes, names = pc.fill_null(array.indices, -1).to_numpy(), array.dictionary.to_pylist()
    counts = np.bincount(codes + 1, minlength=len(names) + 1)
    if not counts[1:].any():
        return {}, np.ones(len(codes), np.bool_), None
    found = dict(zip(["", *names], counts.tolist(), strict=True))
    trained = TRAIN if found.get(TRAIN) else max(names, key=found.__getitem__)
    sizes = {name: count for name, count in sorted(found.items()) if count}
    return sizes, codes == names.index(trained), trained


def _components(
    table: pa.Table, buckets: BucketColumn, profile: Profile
) -> tuple[ComponentSummary, ...]:
    """What models of the profile make always, or if first frames are asked for."""
    declared = [*profile.components, *profile.of_some_families]
    specs = {
        spec.name: spec
        for spec in for_roles(declared, roles_in(table.column_names))
        if not spec.options or FIRST_FRAMES in spec.options
    }
    return tuple(_component(specs[name], table, buckets, profile) for name in ordered(specs))


def _component(
    spec: ComponentSpec, table: pa.Table, buckets: BucketColumn, profile: Profile
) -> ComponentSummary:
    """What artifacts come to: how many there are of each bucket, times what one of them takes."""
    places = CaptionPlaces.of(table)
    if spec.source.size_columns != FRAMES.size_columns:
        sizes = (pc.fill_null(one, 0).to_numpy() for one in spec.source.sizes(table).columns)
        buckets = BucketColumn.of(*sizes)
    codes = buckets.codes[places.rows(_first_of_each(spec.source.all_keys(table)))]
    counts = np.bincount(codes, minlength=len(buckets.kinds)).tolist()
    pixels = size = 0
    for count, bucket in zip(counts, buckets.kinds, strict=True):
        if not count:  # of clips without it nothing is known
            continue
        frames = spec.source.length(bucket.frames)
        pixels += count * frames * bucket.height * bucket.width
        if spec.source.sound and spec.shape is None:
            continue  # only the model's own family knows how large they are
        if spec.shape is None:
            form = spec.posterior or MOMENTS
            moments = _moments_bytes(profile, frames, bucket, form)
            whole = form.tensors * profile.latent_channels
            size += count * moments * (spec.channels or whole) // whole
        else:
            size += count * math.prod(spec.shape) * (1 if spec.mask else _VALUE_BYTES)
    return ComponentSummary(
        name=spec.name,
        artifacts=sum(counts),
        pixels=pixels,
        bytes=size,
        asked_by=next(iter(spec.options), None),
        of_some_families=spec.declared in {one.name for one in profile.of_some_families},
    )


def _first_of_each(column: pa.ChunkedArray) -> Ints:
    """Where each distinct value stands first; null is none."""
    chunks = column.dictionary_encode().chunks
    codes = np.concatenate(
        [np.zeros(0, np.int32), *(pc.fill_null(c.indices, -1).to_numpy() for c in chunks)]
    )
    # Values are numbered as they come: a number above all before is a new value.
    return np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1))
