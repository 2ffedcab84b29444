"""What a reader of a trainer's dataset config is, and what the trainer does to a clip.

A config says where media lie and what becomes of them. The first is a `TrainerDataset` with a
reader; the second a `Treatment`, which tells for each file what the trainer makes of it: the
`Forecast`. videoprep plans the same clips, with the frames of their true times.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from videoprep.errors import Problem
from videoprep.spec.configs.keys import TrainerKey
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.spec.readers.base import FolderReader


class ModelRules(Protocol):
    """What a treatment has to know of the model; a profile has it."""

    @property
    def name(self) -> str:
        """The name of the profile."""

    @property
    def divisor(self) -> int:
        """Width and height are multiples of it."""

    @property
    def fps(self) -> float | None:
        """Frames a second that it was trained at; None: any."""

    @property
    def frame_step(self) -> int:
        """Frames that become one latent frame."""

    def frames_within(self, frames: int) -> int | None:
        """Return the largest legal frame count not above another."""


@dataclass(frozen=True, slots=True)
class Footage:
    """A file as trainers see it."""

    width: int
    """Pixels a row of the upright picture."""
    height: int
    """Rows of the upright picture."""
    frames: int
    """Frames that are shown."""
    announced: int
    """Frames that the header announces; those that are shown if it announces none."""
    rate: Fraction | None
    """Frames a second; None of a still image."""
    turned: bool = False
    """Whether the picture is stored on its side."""

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as they are stored, for trainers that do not turn the picture."""
        return (self.height, self.width) if self.turned else (self.width, self.height)


@dataclass(frozen=True, slots=True)
class TrainerClip:
    """A clip that a trainer makes of a file."""

    width: int
    """Of the bucket, in pixels."""
    height: int
    frames: int
    source: tuple[int, ...]
    """Which frames of the file it takes; a frame may come more than once."""
    offset: int = 0
    """The first of them, at the rate of the treatment."""
    spans: bool = False
    """Whether they are spread over the whole file, however long it is."""

    @property
    def bucket(self) -> str:
        """Frames, height and width: ``25×544×960``."""
        return f"{self.frames}×{self.height}×{self.width}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a trainer makes of a file."""

    clips: tuple[TrainerClip, ...] = ()
    dropped: str = ""
    """Why it makes no clip."""
    remarks: tuple[str, ...] = ()
    """What else it does to the file."""
    meant: tuple[TrainerClip, ...] | None = None
    """The clips that its config means, if a defect of the trainer makes others: these are
    planned."""

    @property
    def planned(self) -> tuple[TrainerClip, ...]:
        """The clips to plan."""
        return self.clips if self.meant is None else self.meant


@dataclass(frozen=True, slots=True)
class Treatment(ABC):
    """What the trainer makes of each file of a dataset, by its config. Pure arithmetic."""

    trainer: ClassVar[str]

    @abstractmethod
    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        """Return what it makes of a file."""

    def rate(self, model: ModelRules) -> Fraction | None:
        """Return the rate at which it means to take frames; None for each file's own."""
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that say what it is."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"trainer": self.trainer, **values}


def exact(rate: float | None) -> Fraction | None:
    """Return a rate as a fraction; None stays None."""
    return None if rate is None else Fraction(rate).limit_denominator(1001)


@dataclass(frozen=True, slots=True)
class TrainerDataset:
    """One of the datasets that a config describes."""

    name: str
    written: str
    """Its folder or list as the config names it."""
    root: Path
    """The folder that the names of its videos are relative to."""
    reader: FolderReader
    treatment: Treatment
    repeats: int = 1
    """How often each sample comes in an epoch."""
    role: Literal["train", "validation", "regularization"] = "train"
    """What it is for: ``train``, ``validation`` or ``regularization``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of a `DatasetSpec`."""
    line: int = 1
    """Where the config describes it."""


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """What a config says."""

    datasets: tuple[TrainerDataset, ...]
    problems: tuple[Problem, ...] = ()
    """Keys that are not honoured, and what else the user has to know."""
    profile: str | None = None
    """The profile of the model that it names."""


class ConfigReader(ABC):
    """Reads the dataset config of one trainer."""

    trainer: ClassVar[str]
    """As its users call it."""
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]]
    """The keys of each of its sections, by what the documentation calls the section."""

    @abstractmethod
    def sniff(self, data: Any) -> bool:
        """Return whether a parsed file is such a config; look at little."""

    @abstractmethod
    def read(self, file: ParsedFile) -> ReadConfig:
        """Return what a config says.

        Raises:
            SpecError: a value is wrong, or something that the trainer needs is missing.
        """


def unique_names(wanted: Sequence[str]) -> list[str]:
    """Return a name for each dataset that no other has: ``clips``, ``clips-2``."""
    seen: dict[str, int] = {}
    names = []
    for text in wanted:
        name = text.replace("#", "-") or "dataset"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names
