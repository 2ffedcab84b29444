"""What every reader of datasets gives: entries as written, before any video is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from videoprep.errors import Problem
from videoprep.spec.roles import Role
from videoprep.spec.sample import NO_EXTRAS, Extras


class Entry(NamedTuple):
    """One sample as it is written down: a video's path, its captions, and what goes with them."""

    video: str
    caption: str
    number: int
    """Its number among all entries of the dataset, usable or not, counted from 1."""
    line: int | None
    row: int | None
    file: str
    """The file that names the video, at ``line`` or ``row``."""
    caption_file: str
    """The file that holds the caption."""
    extras: Extras = NO_EXTRAS
    further: tuple[str, ...] = ()
    """The captions after the first."""
    beside: tuple[tuple[Role, str], ...] = ()
    """The paths of further media, by role."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files or folders of one kind that lie in a dataset and are not read."""

    kind: str
    """What they are, such as ``still images``."""
    count: int
    examples: tuple[str, ...]
    """The first few, relative to the data root."""

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        return f"{self.kind} ({self.count}): {', '.join(self.examples)}{more}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a dataset was read: what was used, and what was not."""

    format: str
    """Name of the reader."""
    summary: str
    """What was read, in words, such as ``list.csv``."""
    files: tuple[str, ...] = ()
    """The lists that were read, relative to the data root; empty if each video has a file."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns in use, by what they hold: ``caption``, ``video``, ``start`` …"""
    time_unit: str | None = None
    """What times are in, if a column holds times."""
    unused: tuple[str, ...] = ()
    """Columns that nothing is read from."""
    passed_over: tuple[PassedOver, ...] = ()
    """What lies in the dataset's folder and is not read."""

    several_captions: int = 0
    """Of the samples that can be used, those with more than one caption as they are used."""
    journal: str | None = None
    """The folder of the caption journal, if captions are looked for in it."""
    sounds_beside: int = 0
    """Samples whose sound is a file that lies beside their video."""

    def sentences(self) -> Iterator[str]:
        """Yield what was used and what was passed over, one fact at a time."""
        columns = ", ".join(f"{what} from {name!r}" for what, name in self.columns.items())
        unit = f" (in {self.time_unit})" if self.time_unit else ""
        sound = f"sound beside videos ({self.sounds_beside})" if self.sounds_beside else ""
        used = ", ".join(filter(None, (columns and f"{columns}{unit}", sound)))
        yield f"reading {self.summary}" + (f": {used}" if used else "")
        if self.journal is not None:
            yield f"captions by models and reviewers from {self.journal}"
        if self.unused:
            more = ", …" if len(self.unused) > _SHOWN else ""
            yield f"columns not used: {', '.join(self.unused[:_SHOWN])}{more}"
        if self.several_captions:
            yield (
                f"samples with several captions, of which one is drawn each time: "
                f"{self.several_captions}"
            )
        if self.passed_over:
            yield f"passed over: {'; '.join(map(str, self.passed_over))}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Reading:
        """Return what `to_json` gave; an index keeps it in its policy."""
        passed_over = tuple(
            PassedOver(one["kind"], one["count"], tuple(one["examples"]))
            for one in values["passed_over"]
        )
        lists = {name: tuple(values[name]) for name in ("files", "unused")}
        return cls(**{**values, **lists, "passed_over": passed_over})

    def to_json(self) -> dict[str, Any]:
        """Return plain values for machines."""
        return {
            "format": self.format,
            "summary": self.summary,
            "files": list(self.files),
            "columns": dict(self.columns),
            "time_unit": self.time_unit,
            "unused": list(self.unused),
            "several_captions": self.several_captions,
            "journal": self.journal,
            **({"sounds_beside": self.sounds_beside} if self.sounds_beside else {}),
            "passed_over": [
                {"kind": one.kind, "count": one.count, "examples": list(one.examples)}
                for one in self.passed_over
            ],
        }


_SHOWN = 12


@dataclass(slots=True)
class Entries:
    """The usable entries of a dataset, what is wrong with the others, and how many there are."""

    entries: list[Entry] = field(default_factory=list)
    """Those that can be used."""
    problems: list[Problem] = field(default_factory=list)
    """All that makes an entry unusable."""
    flaws: dict[int, list[Problem]] = field(default_factory=dict)
    """What makes some of ``entries`` unusable all the same, by their numbers."""
    remarks: list[Problem] = field(default_factory=list)
    """What is odd and may be meant."""
    total: int = 0
    """Entries written down."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns in use, by what they hold."""
    time_unit: str | None = None
    """What times are in, if a column holds times."""
    unused: list[str] = field(default_factory=list)
    """Columns that nothing is read from."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """What lies in the dataset's folder and is not read."""
    files: list[str] = field(default_factory=list)
    """The lists that were read."""
    sounds_beside: int = 0
    """Entries whose sound is a file that lies beside their video."""
    header: dict[str, None] = field(default_factory=dict)
    """The columns of the table that is being read."""

    def fail(self, problem: Problem) -> None:
        """Take up the next entry, which cannot be used."""
        self.total += 1
        self.problems.append(replace(problem, number=self.total))
