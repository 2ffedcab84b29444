"""What rules for a whole dataset look at: a few numbers a sample, in arrays."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from videoprep.errors import MediaError
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut, Placement
from videoprep.media.probe import MediaInfo
from videoprep.spec.group_file import DatasetRole
from videoprep.spec.sample import NO_EXTRAS, Sample


def _whole() -> array[int]:
    return array("I")


def _real() -> array[float]:
    return array("f")


@dataclass(slots=True)
class Figures:
    """What charts show: of each video that was opened and of each caption, without their order.

    Attributes:
        widths: pixels a row, upright.
        heights: rows, upright.
        frames: frames a video, or those of the part that a sample is.
        fps: average frames a second of a video.
        seconds: the duration of a video, or of that part.
        stills: how many are still images, which have neither.
        words: what spaces part in a caption.
        tokens: of a caption, uncut; empty where no model is named.
    """

    widths: array[int] = field(default_factory=_whole)
    heights: array[int] = field(default_factory=_whole)
    frames: array[int] = field(default_factory=_whole)
    fps: array[float] = field(default_factory=_real)
    seconds: array[float] = field(default_factory=_real)
    stills: int = 0
    words: array[int] = field(default_factory=_whole)
    tokens: array[int] = field(default_factory=_whole)

    def extend(self, other: Figures) -> None:
        """Takes up those of other samples."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, array):
                value.extend(getattr(other, one.name))
        self.stills += other.stills

    def add(
        self,
        texts: Iterable[str],
        media: MediaInfo | None,
        tokens: Iterable[int],
        seconds: float | None = None,
    ) -> None:
        """Takes up the next sample, with its captions.

        Args:
            texts: the captions.
            media: its video, if it was opened.
            tokens: see `Overview.add`.
            seconds: of the part that the sample is; None: all of it; 0: none, it is not there.
        """
        self.words.extend(len(text.split()) for text in texts)
        self.tokens.extend(tokens)
        if media is not None:
            self.widths.append(media.width)
            self.heights.append(media.height)
            if media.is_still:
                self.stills += 1
                return
            if seconds == 0:
                return
            part = None if seconds is None else max(1, round(seconds * float(media.rate)))
            self.frames.append(media.frames if part is None else part)
            self.fps.append(float(media.rate))
            self.seconds.append(media.seconds if seconds is None else seconds)


class CaptionPlace(NamedTuple):
    """A caption among those of all samples."""

    sample: int
    """The position of its sample."""
    number: int
    """Its number among the captions of the sample, from 0."""


@dataclass(frozen=True, slots=True)
class OverviewPart:
    """A dataset among several."""

    name: str
    role: DatasetRole
    """What it is for."""
    samples: int
    """How many of the samples are its own; the parts follow one another."""


@dataclass(slots=True)
class Overview:
    """All samples at once, in about 70 bytes each.

    Attributes:
        list_file: the list that names the samples, for findings that are about all of them.
        total: samples written down, usable or not.
        samples: those whose videos were found.
        identities: ``[samples, 2]``, device and inode of each video.
        buckets: planned clips a bucket.
        rates: planned clips that move, by bucket and then by frames a second, to two digits;
            without those that are sped up.
        planned: samples that have a clip.
        left_out: samples that are not planned, by the reason's code.
        unusable: samples that their lists or the caption journal make unusable, by the code of the
            first reason.
        figures: numbers for charts.
        parts: the datasets, if there are several.
    """

    list_file: str
    total: int
    samples: Sequence[Sample]
    identities: NDArray[np.uint64]
    buckets: Counter[Bucket] = field(default_factory=Counter)
    rates: dict[Bucket, Counter[float]] = field(default_factory=dict)
    planned: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    figures: Figures = field(default_factory=Figures)
    parts: tuple[OverviewPart, ...] = ()
    _captions: array[int] = field(default_factory=lambda: array("Q"))
    _further: array[int] = field(default_factory=lambda: array("Q"))
    """The same of the captions after the first; then of which sample each is, and its number."""
    _owners: array[int] = field(default_factory=_whole)
    _numbers: array[int] = field(default_factory=_whole)
    _contents: array[int] = field(default_factory=lambda: array("Q"))
    _ranges: NDArray[np.uint64] | None = None

    def add(
        self,
        sample: Sample,
        media: MediaInfo | None,
        plan: tuple[Placement, ...] | LeftOut | None,
        tokens: Sequence[int] = (),
        seconds: float | None = None,
    ) -> None:
        """Takes up the next sample.

        Args:
            sample: which.
            media: its video, if it was opened.
            plan: where its clips go.
            tokens: of its captions, if a model's tokenizer counted them.
            seconds: see `Figures.add`.
        """
        self.figures.add(sample.texts, media, tokens, seconds)
        at, (first, *further) = len(self._captions), map(_caption_key, sample.texts)
        self._captions.append(first)
        self._further.extend(further)
        self._owners.extend([at] * len(further))
        self._numbers.extend(range(1, 1 + len(further)))
        self._contents.append(int(media.fingerprint[:16], 16) if media else 0)
        if isinstance(plan, LeftOut):
            self.left_out[plan.code.value] += 1
        elif plan is not None:
            self.planned += 1
            self.buckets.update(placement.bucket for placement in plan)
            self._add_rates(plan)

    def _add_rates(self, plan: tuple[Placement, ...]) -> None:
        for placement in plan:
            if placement.bucket.frames > 1 and placement.speed == 1 and placement.rate is not None:
                rates = self.rates.setdefault(placement.bucket, Counter())
                rates[round(float(placement.rate), 2)] += 1

    def count_unplanned(self, errors: Sequence[MediaError]) -> None:
        """Take up why the last sample has no plan, if files of it cannot be used."""
        if errors:
            self.left_out[errors[0].code.value] += 1

    def contents(self, *, parts: bool = False) -> NDArray[np.uint64]:
        """Return what stands for the contents of each sample's file; 0 for one that is not known.

        Args:
            parts: whether other parts of a file count as other contents.
        """
        contents = np.frombuffer(self._contents, dtype=np.uint64)
        return np.where(contents == 0, contents, contents ^ self._parts()) if parts else contents

    def datasets(self) -> NDArray[np.int64]:
        """Return the number of each sample's dataset."""
        counts = [part.samples for part in self.parts] or [len(self.samples)]
        return np.repeat(np.arange(len(counts)), counts).astype(np.int64)

    def dataset_of(self, sample: int) -> str | None:
        """Return the name of the dataset that a sample is of; None if there is only one."""
        if not self.parts:
            return None
        ends = list(accumulate(part.samples for part in self.parts))
        return self.parts[bisect_right(ends, sample)].name

    def seen_from(self, sample: int, other: int, place: str) -> str:
        """Return a place in the lists of a sample, with its dataset if that of another differs."""
        name = self.dataset_of(sample)
        return place if name == self.dataset_of(other) else f"{place} of the dataset {name!r}"

    @classmethod
    def joined(
        cls,
        list_file: str,
        overviews: Sequence[Overview],
        parts: Sequence[OverviewPart],
        samples: Sequence[Sample],
    ) -> Overview:
        """Return the overview of several datasets.

        Args:
            list_file: what names them.
            overviews: of each.
            parts: the datasets.
            samples: those of all.
        """  # fmt: skip
        identities = [one.identities.reshape(-1, 2) for one in overviews]
        empty = np.zeros((0, 2), np.uint64)
        made = cls(
            list_file,
            sum(one.total for one in overviews),
            samples,
            np.concatenate([empty, *identities]),
            parts=tuple(parts),
        )
        for one in overviews:
            made._extend(one)
        made._ranges = np.concatenate([empty[:, 0], *(one._parts() for one in overviews)])
        return made

    def _extend(self, other: Overview) -> None:
        """Takes up what is known of the samples of another dataset."""
        self.buckets.update(other.buckets)
        for bucket, rates in other.rates.items():
            self.rates.setdefault(bucket, Counter()).update(rates)
        self.planned += other.planned
        self.left_out.update(other.left_out)
        self.figures.extend(other.figures)
        before = len(self._captions)
        self._further.extend(other._further)
        self._owners.extend(before + at for at in other._owners)
        self._numbers.extend(other._numbers)
        self._captions.extend(other._captions)
        self._contents.extend(other._contents)

    def same_captions(self) -> Iterator[list[CaptionPlace]]:
        """Groups of captions of several samples that differ in case and spaces at most.

        Of each sample the first such caption is in it, in the order of the samples.
        """
        first, further = (
            np.frombuffer(keys, dtype=np.uint64) for keys in (self._captions, self._further)
        )
        for group in _groups(np.concatenate([first, further])):
            places = [self._place(at) for at in group]
            found = {place.sample: place for place in sorted(places, reverse=True)}
            if len(found) > 1:
                yield sorted(found.values())

    def _place(self, at: int) -> CaptionPlace:
        after = at - len(self._captions)
        if after < 0:
            return CaptionPlace(at, 0)
        return CaptionPlace(self._owners[after], self._numbers[after])

    def different_clips(self, group: Sequence[int]) -> int:
        """Return how many of some samples are different clips: other files, contents or parts."""
        found = set()
        for n in group:
            content: object = self._contents[n] or tuple(self.identities[n].tolist())
            found.add((content, _part(self.samples[n])))
        return len(found)

    def same_contents(self) -> Iterator[list[int]]:
        """Groups of samples whose files hold the same bytes, and that are about the same part."""
        return _groups(self.contents(parts=True), unknown=0)

    def same_files(self) -> Iterator[list[int]]:
        """Groups of samples that name the same part of one file, be it by another spelling."""
        folded = self.identities[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ self.identities[:, 1]
        return _groups(folded ^ self._parts())

    def _parts(self) -> NDArray[np.uint64]:
        """A hash of each sample's time range and control; 0 for a whole video without any."""
        if self._ranges is not None:
            return self._ranges
        return np.fromiter(map(_part, self.samples), dtype=np.uint64, count=len(self.samples))


def _part(sample: Sample) -> int:
    """What of a video a sample is about; with another control it is another sample of it."""
    extras = sample.extras
    if extras.start is None and extras.end is None and not sample.beside:
        return 0
    part = f"{extras.start} {extras.end} {extras.unit}"
    pictures = [f"{one.role} {one.name}" for one in sample.beside if one.role.kind.several]
    if part == _WHOLE and not pictures:
        return 0
    text = "\0".join([part, *pictures])
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogateescape"))


_WHOLE = f"{NO_EXTRAS.start} {NO_EXTRAS.end} {NO_EXTRAS.unit}"


def _caption_key(text: str) -> int:
    """A hash of a caption in which case and spaces do not count."""
    folded = " ".join(text.split()).casefold().encode("utf-8", "surrogatepass")
    return xxhash.xxh3_64_intdigest(folded)


def _groups(keys: NDArray[np.uint64], unknown: int | None = None) -> Iterator[list[int]]:
    """Positions that share a key, as lists of two or more, in the order of their first."""
    order = np.argsort(keys, kind="stable")
    changes = np.flatnonzero(np.diff(keys[order])) + 1
    bounds = np.concatenate(([0], changes, [len(keys)]))
    shared = np.flatnonzero(np.diff(bounds) > 1)
    groups = (order[bounds[n] : bounds[n + 1]].tolist() for n in shared)
    yield from sorted(group for group in groups if keys[group[0]] != unknown)
