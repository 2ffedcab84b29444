"""Validates the datasets of a ``videoprep.yaml``: each by itself, then all of them together."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np

from videoprep.errors import SpecError
from videoprep.families.profile import DEFAULT
from videoprep.families.registry import TokenCounter, token_counter
from videoprep.fs.mirror import shown
from videoprep.index.policy import for_model
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup
from videoprep.spec.group_file import DatasetEntry
from videoprep.spec.sample import Sample
from videoprep.validators.engine import (
    ValidationRun,
    begin,
    config_findings,
    findings_on,
    hopeless,
)
from videoprep.validators.overview import Overview, OverviewPart
from videoprep.validators.protocol import Finding, Rule
from videoprep.validators.registry import registry
from videoprep.validators.report import DatasetCounts, Report
from videoprep.validators.selection import of_rules, select
from videoprep.workers.pool import Limits

OnProgress = Callable[[int, int], None]

_VARIOUS = "various"


def validate_group(
    group: DatasetGroup,
    *,
    rules: Sequence[Rule] | None,
    model: str | None,
    limits: Limits,
    on_progress: OnProgress | None,
) -> Report:
    """Check several datasets: each by its own options, and then what is about all of them.

    Args:
        group: the datasets.
        rules: see `validate`.
        model: likewise.
        limits: likewise.
        on_progress: called with how many samples are done, and how many there are of the datasets
            that are begun by then.

    Raises:
        SpecError, PlanError, ModelError: see `validate`.
    """
    counter = None if model is None else token_counter(model)
    group = for_model(group, model)
    whole = group.whole
    known = registry()
    selection = select(whole, known.rules) if rules is None else of_rules(whole, known.rules, rules)
    made = _GroupValidation(group, whole, limits, on_progress)
    for entry in group.entries:
        made.check(entry, rules, model, counter)
    overview = made.overview()
    for finding in (*config_findings(group), *findings_on(overview, selection)):
        judged = selection.judge(finding)
        if judged is not None:
            made.take(judged)
    every = [*made.rules(), *selection.rules.items()]
    return replace(made.report(overview), rules=dict(every), rules_left_out=selection.left_out)


@dataclass(slots=True)
class _Part:
    """A dataset, looked at."""

    entry: DatasetEntry
    looked: ValidationRun | Report
    """A report if its lists cannot be read: it says why."""
    root: Path = Path()
    findings: list[Finding] = field(default_factory=list)
    """What rules for all datasets together say of its samples."""

    @property
    def run(self) -> ValidationRun | None:
        return None if isinstance(self.looked, Report) else self.looked

    @property
    def rules(self) -> Mapping[str, Rule]:
        looked = self.looked
        return looked.rules if isinstance(looked, Report) else looked.selection.rules

    @property
    def total(self) -> int:
        return 0 if self.run is None else self.run.listing.total

    def report(self) -> Report:
        return self.looked if isinstance(self.looked, Report) else self.looked.report()


@dataclass(slots=True)
class _GroupValidation:
    """The validations of the datasets, and what they come to."""

    group: DatasetGroup
    whole: DatasetSpec
    limits: Limits
    on_progress: OnProgress | None
    parts: list[_Part] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """Those on no single sample."""
    done: int = 0

    def check(
        self,
        entry: DatasetEntry,
        rules: Sequence[Rule] | None,
        model: str | None,
        counter: TokenCounter | None,
    ) -> None:
        """Looks at each sample of a dataset."""
        try:
            one = self.group.open(entry)
        except SpecError as error:
            if error.code is None:
                raise
            report = hopeless(self.group.folder, error, (), self.group.options)
            self.parts.append(_Part(entry, report))
            return
        with one.blamed():
            spec = one.spec.model_copy(update={"fail_on": self.whole.fail_on})
            begun = begin(spec, rules=rules, model=model, limits=self.limits, counter=counter)
            if isinstance(begun, Report):
                self.parts.append(_Part(entry, begun))
                return
            begun.check_samples(self.limits, self._told(len(begun.listing.samples)))
        self.done += len(begun.listing.samples)
        self.parts.append(_Part(entry, begun, one.spec.data_root))

    def _told(self, count: int) -> OnProgress | None:
        tell, before = self.on_progress, self.done
        if tell is None:
            return None
        return lambda done, total: tell(before + done, before + count)

    @property
    def _starts(self) -> list[int]:
        """The number of the entry before each dataset's first one."""
        return [0, *accumulate(part.total for part in self.parts)]

    def overview(self) -> Overview:
        """All samples together."""
        runs = [part.run for part in self.parts if part.run is not None]
        told = [
            OverviewPart(part.entry.name, part.entry.role, len(part.run.listing.samples))
            for part in self.parts
            if part.run is not None
        ]
        pieces = [
            _Piece(part.run.listing.samples, self._prefix(part), self._root, start)
            for part, start in zip(self.parts, self._starts, strict=False)
            if part.run is not None
        ]
        file = shown(self.group.file)
        return Overview.joined(file, [run.overview for run in runs], told, _JoinedSamples(pieces))

    @property
    def _root(self) -> Path:
        """The folder that videos are called relative to."""
        return Path(os.path.realpath(self.group.folder))

    def _prefix(self, part: _Part) -> str:
        """What comes before the names of a dataset's videos."""
        root = os.path.relpath(os.path.realpath(part.root), self._root)
        return "" if root == "." else f"{Path(root).as_posix()}/"

    def take(self, finding: Finding) -> None:
        """Takes up what is said about all datasets together."""
        if finding.number is None:
            self.findings.append(finding)
            return
        at = bisect_left(self._starts, finding.number) - 1
        part = self.parts[at]
        part.findings.append(replace(finding, dataset=part.entry.name))
        if part.run is not None:
            part.run.count(finding, finding.number - self._starts[at])

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """The rules that were applied to some dataset."""
        for part in self.parts:
            yield from part.rules.items()

    def report(self, overview: Overview) -> Report:
        """What was found in all of them."""
        known = [part.report() for part in self.parts]
        own = [
            list(self._own(part, one, start))
            for part, one, start in zip(self.parts, known, self._starts, strict=False)
        ]
        passing = [one.passing for one in known if one.passing is not None]
        return Report(
            root=shown(self._root),
            profile=_common(one.profile for one in known) or DEFAULT.name,
            reshape=_common(one.reshape for one in known) or "none",
            fail_on=self.whole.fail_on,
            total=sum(one.total for one in known),
            clean=sum(one.clean for one in known),
            unusable=sum(one.unusable for one in known),
            dropped=sum(one.dropped for one in known),
            findings=(*self.findings, *(finding for found in own for finding in found)),
            overview=overview,
            passing=np.concatenate([np.zeros(0, np.bool_), *passing]),
            datasets=tuple(
                DatasetCounts.of(part.entry.name, part.entry.role, one, found)
                for part, one, found in zip(self.parts, known, own, strict=True)
            ),
        )  # fmt: skip

    def _own(self, part: _Part, report: Report, start: int) -> Iterator[Finding]:
        """The findings on a dataset, with videos and numbers as they are called in all of them."""
        name = part.entry.name
        for finding in report.findings:
            video, number = finding.video, finding.number
            if video is not None and part.run is not None and not os.path.isabs(video):
                video = self._prefix(part) + video
            number = None if number is None else number + start
            yield replace(finding, video=video, number=number, dataset=name)
        yield from part.findings


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples of one dataset as they are called among all."""

    samples: Sequence[Sample]
    prefix: str
    root: Path
    start: int

    def __getitem__(self, at: int) -> Sample:
        return self._called(self.samples[at])

    def __iter__(self) -> Iterator[Sample]:
        return map(self._called, self.samples)

    def _called(self, sample: Sample) -> Sample:
        name = sample.name if os.path.isabs(sample.name) else self.prefix + sample.name
        return replace(sample, name=name, root=self.root, number=sample.number + self.start)


class _JoinedSamples(Sequence[Sample]):
    """The samples of all datasets; nothing is copied until it is asked for."""

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self._pieces = pieces
        self._starts = [0, *accumulate(len(piece.samples) for piece in pieces)]

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Sample]: ...
    def __getitem__(self, at: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        piece = bisect_left(self._starts, at + 1) - 1
        return self._pieces[piece][at - self._starts[piece]]

    def __iter__(self) -> Iterator[Sample]:
        for piece in self._pieces:
            yield from piece


def _common(values: Iterator[str]) -> str:
    """What all are; empty if there are none."""
    found = set(values)
    return found.pop() if len(found) == 1 else _VARIOUS if found else ""
