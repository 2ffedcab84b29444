"""A sample: one caption and one video, with the place where it was written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videoprep.errors import Problem


@dataclass(frozen=True, slots=True)
class Location:
    """Where a sample is written: a list file and a line in it, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One caption and one video.

    Attributes:
        name: the video's path as the dataset writes it.
        caption: the text to train with, id token included.
        root: the folder that ``name`` is relative to.
        source: the file and line that name the video.
    """

    name: str
    caption: str
    root: Path
    source: Location

    @property
    def video(self) -> Path:
        """The video file."""
        return self.root / self.name


@dataclass(frozen=True, slots=True)
class Listing:
    """What the lists hold: the samples that can be used, and all that is wrong with the rest.

    ``total`` counts what was written down, usable or not: it equals ``len(samples)`` plus the
    number of entries with a problem of their own.
    """

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    total: int
