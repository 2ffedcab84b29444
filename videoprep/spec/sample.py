"""A sample: one caption and one video, with the place where it was written down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Problem, place_of
from videoprep.spec.roles import VIDEO, Media, Role

if TYPE_CHECKING:
    from videoprep.spec.entries import Reading


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is written: a list file, and a line or a row in it, counted from 1."""

    file: str
    line: int | None
    row: int | None = None

    def __str__(self) -> str:
        return place_of(self.file, self.line, self.row)

    def seen_from(self, other: Location) -> str:
        """Return the place as it is told beside another: ``line 3`` of the same file, or a file."""
        if self.file != other.file:
            return place_of(os.path.basename(self.file), self.line, self.row)
        return f"line {self.line}" if self.row is None else f"row {self.row}"


@dataclass(frozen=True, slots=True)
class Extras:
    """What a row says beside its video and caption.

    Attributes:
        start: where the sample begins in the video, in ``unit``; None: at its first frame.
        end: where it ends, exclusive; None: where the video ends.
        unit: what both are in.
        split: the split that it belongs to.
        weight: how often it comes in an epoch on average, times ``repeats``.
        repeats: how often it comes in an epoch.
    """

    start: float | None = None
    end: float | None = None
    unit: Literal["seconds", "frames"] = "seconds"
    split: str | None = None
    weight: float = 1.0
    repeats: int = 1


NO_EXTRAS = Extras()
"""Those of a row that says nothing more."""


@dataclass(frozen=True, slots=True)
class CaptionOrigin:
    """Where a caption comes from that the dataset itself does not hold."""

    stage: Literal["caption", "refine", "review"]
    """Who wrote it: a captioner, a refiner, or a person."""
    model: str
    """The model as the user named it; empty for a person."""
    run: str
    """The way of asking in the caption journal; empty for a person."""
    file: str
    """The file of the caption journal."""
    line: int
    """Its line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One video with its captions, and what goes with them."""

    name: str
    """The video's path as the dataset writes it."""
    caption: str
    """The text to train with: the first caption, after the id token."""
    root: Path
    """The folder that ``name`` is relative to."""
    source: Location
    """The file and the line or row that names the video."""
    caption_file: str
    """The file that holds the caption: ``source.file``, at the same line, or a file of its own."""
    token: str = ""
    """What of ``caption`` is the id token, with the space after it."""
    extras: Extras = NO_EXTRAS
    """What its row says beside."""
    number: int = 0
    """Its number among all entries of the dataset, usable or not, counted from 1."""
    further: tuple[str, ...] = ()
    """The captions after the first, without the id token."""
    beside: tuple[Media, ...] = ()
    """The media beside the video, such as its sound if that is in a file of its own."""
    origin: CaptionOrigin | None = None
    """Where the first caption comes from, if the caption journal holds it and not the dataset."""

    @property
    def media(self) -> Mapping[Role, Media]:
        """All media by role. ``media["video"]`` is the target, and always there."""
        video = Media(VIDEO, self.name, self.root, self.source)
        return {VIDEO: video, **{one.role: one for one in self.beside}}

    @property
    def written(self) -> str:
        """The first caption as it is written, without the id token."""
        return self.caption[len(self.token) :]

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions as they are written, without the id token."""
        return (self.written, *self.further)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts to train with: the captions, each after the id token."""
        return (self.caption, *(self.token + text for text in self.further))

    def with_caption_alone(self, number: int) -> Sample:
        """Return the sample with one of its captions, counted from 0, as its only one."""
        if not number:
            return replace(self, further=()) if self.further else self
        return replace(self, caption=self.texts[number], further=(), origin=None)

    @property
    def video(self) -> Path:
        """The video file."""
        return self.root / self.name

    @property
    def path(self) -> str:
        """The video file as text, which is several times as fast as `video`."""
        return os.path.join(self.root, self.name)

    @property
    def caption_source(self) -> Location:
        """The file and the line or row that hold the caption."""
        if self.origin is not None:
            return Location(self.origin.file, self.origin.line)
        if self.caption_file == self.source.file:
            return self.source
        return Location(self.caption_file, self.source.line, self.source.row)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the lists hold."""

    samples: tuple[Sample, ...]
    """Those that can be used."""
    unusable: tuple[Sample, ...]
    """Those with a caption and a path that leads to no video."""
    problems: tuple[Problem, ...]
    """All that makes an entry unusable. Each names its entry by ``number``; one without a number
    makes the pairing of several entries uncertain."""
    remarks: tuple[Problem, ...]
    """What is odd and may be meant."""
    total: int
    """Entries written down, usable or not: ``len(samples)`` plus the number of entries with a
    problem of their own."""
    identities: NDArray[np.uint64]
    """Uint64 ``[samples, 2]``: device and inode of each sample's video."""
    reading: Reading
    """Which files and columns were read, and what was not."""
