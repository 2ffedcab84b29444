"""A sample: one caption and one video, with the place where it was written down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Problem


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is written: a list file and a line in it, counted from 1."""

    file: str
    line: int | None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


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
class Sample:
    """One caption and one video.

    Attributes:
        name: the video's path as the dataset writes it.
        caption: the text to train with, id token included.
        root: the folder that ``name`` is relative to.
        source: the file and line that name the video.
        caption_file: the file that holds the caption, at the same line.
        token: what of ``caption`` is the id token, with the space after it.
        extras: what its row says beside.
    """

    name: str
    caption: str
    root: Path
    source: Location
    caption_file: str
    token: str = ""
    extras: Extras = NO_EXTRAS

    @property
    def written(self) -> str:
        """The caption as it is written, without the id token."""
        return self.caption[len(self.token) :]

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
        """The file and line that hold the caption."""
        if self.caption_file == self.source.file:
            return self.source
        return Location(self.caption_file, self.source.line)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the lists hold.

    Attributes:
        samples: those that can be used.
        unusable: those with a caption and a path that leads to no video.
        problems: all that makes an entry unusable.
        remarks: what is odd and may be meant.
        total: entries written down, usable or not: ``len(samples)`` plus the number of entries
            with a problem of their own.
        identities: uint64 ``[samples, 2]``: device and inode of each sample's video.
    """

    samples: tuple[Sample, ...]
    unusable: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]
    total: int
    identities: NDArray[np.uint64]
