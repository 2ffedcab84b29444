"""Runs the rules over a dataset: every file is opened once at most, every finding is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError, Problem, SpecError
from videoprep.families.registry import TokenCounter, token_counter
from videoprep.index.placement import place
from videoprep.index.policy import Policy
from videoprep.media.inspect import DEFAULT_LIMITS, Inspection, inspect_all
from videoprep.media.workers import Limits
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Listing, Sample
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import (
    DatasetValidator,
    Finding,
    Need,
    Rule,
    Severity,
    Subject,
    Validator,
)
from videoprep.validators.registry import built_in, registry
from videoprep.validators.report import Report
from videoprep.validators.selection import Selection, of_rules, select

# Of problems that may be meant, or lead nowhere else.
_MILD_LINE_ENDS = Severity.WARNING


def validate(
    spec: DatasetSpec | str | os.PathLike[str],
    *,
    rules: Sequence[Rule] | None = None,
    model: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Report:
    """Checks a whole dataset against the rules. Reads files and changes none.

    Args:
        spec: the dataset, or its path.
        rules: apply exactly these; by default what the spec selects.
        model: a model folder or hub id, whose tokenizer counts the captions' tokens.
        limits: what opening one video may take.
        on_progress: called with how many samples are done, and how many there are.
        options: fields of the spec to replace, for instance ``profile="cogvideox"``.

    Raises:
        SpecError: there is no dataset to look at, or no such rule or profile.
        PlanError: a bucket is illegal.
        ModelError: the model cannot be found, or has no tokenizer.
    """
    remarks: tuple[Problem, ...] = ()
    try:
        spec = DatasetSpec.of(spec, **options)
        listing = spec.listing()
        remarks = listing.remarks
        if not listing.total and not listing.problems:
            raise spec.empty_error()
    except SpecError as error:
        if error.code is None:
            raise
        return _hopeless(spec, error, remarks, options)
    policy = Policy.of(spec)
    there = registry()
    selection = select(spec, there.rules) if rules is None else of_rules(spec, rules)
    counter = token_counter(model) if model is not None else None
    run = _Run(spec, policy, selection, listing, counter)
    run.take(there.problems if rules is None else [])
    run.check(limits, on_progress)
    return run.report()


def _hopeless(
    spec: DatasetSpec | str | os.PathLike[str],
    error: SpecError,
    remarks: Iterable[Problem],
    options: dict[str, Any],
) -> Report:
    """The report on a dataset whose lists cannot be read at all."""
    code = (error.code or Code.MISSING_LIST).value
    rule = built_in()[code]()
    where = error.where or (str(spec.data_root) if isinstance(spec, DatasetSpec) else str(spec))
    finding = rule.finding(where, error.message, error.remedy)
    given = spec.model_dump() if isinstance(spec, DatasetSpec) else options
    return Report(
        root=str(given.get("data_root") or spec),
        profile=given.get("profile", DatasetSpec.model_fields["profile"].default),
        reshape=given.get("reshape", DatasetSpec.model_fields["reshape"].default),
        fail_on=given.get("fail_on", DatasetSpec.model_fields["fail_on"].default),
        total=0,
        clean=0,
        unusable=0,
        findings=(finding, *(_of_problem(remark, _MILD_LINE_ENDS) for remark in remarks)),
        rules={code: rule() for code, rule in built_in().items()},
    )


@dataclass(slots=True)
class _Run:
    """One validation: gathers findings, and which samples they are about."""

    spec: DatasetSpec
    policy: Policy
    selection: Selection
    listing: Listing
    counter: TokenCounter | None
    findings: list[Finding] = field(default_factory=list)
    overview: Overview = field(init=False)
    dirty: NDArray[np.bool_] = field(init=False)
    of_sample: list[Validator] = field(init=False)
    of_caption: list[Validator] = field(init=False)
    broken: int = 0

    def __post_init__(self) -> None:
        listing = self.listing
        rules = self.selection.rules.values()
        self.of_sample = [rule for rule in rules if isinstance(rule, Validator)]
        known = {Need.CAPTION, Need.TOKENS}
        self.of_caption = [rule for rule in self.of_sample if rule.needs <= known]
        self.dirty = np.zeros(len(listing.samples), dtype=np.bool_)
        self.overview = Overview(
            str(self.spec.list_file), listing.total, listing.samples, listing.identities
        )

    def take(self, found: Iterable[Finding]) -> list[Finding]:
        """Keeps those findings whose rules are applied, and gives them back."""
        kept = [judged for finding in found if (judged := self.selection.judge(finding))]
        self.findings += kept
        return kept

    def check(self, limits: Limits, on_progress: Callable[[int, int], None] | None) -> None:
        self.take(_of_problem(problem, None) for problem in self.listing.problems)
        self.take(_of_problem(remark, _MILD_LINE_ENDS) for remark in self.listing.remarks)
        for sample in self.listing.unusable:
            self.take(_apply(self.of_caption, self._subject(sample)))
        for number, (sample, found) in enumerate(
            zip(self.listing.samples, self._inspected(limits), strict=True)
        ):
            self._check_sample(number, sample, found)
            if on_progress is not None:
                on_progress(number + 1, len(self.listing.samples))
        self._check_dataset()

    def report(self) -> Report:
        # Those of one line together, whatever file they are written in.
        self.findings.sort(key=lambda f: (f.line or 0, f.code, f.file))
        return Report(
            root=str(self.spec.data_root),
            profile=self.policy.profile.name,
            reshape=self.policy.reshape,
            fail_on=self.spec.fail_on,
            total=self.listing.total,
            clean=int((~self.dirty).sum()) - self.broken,
            unusable=self.broken + self._unreported(),
            findings=tuple(self.findings),
            rules=self.selection.rules,
            overview=self.overview,
        )

    def _unreported(self) -> int:
        """Entries that cannot be used for a reason whose rule is not applied."""
        unusable = self.listing.total - len(self.listing.samples)
        problems = self.listing.problems
        told = {p.line for p in problems if p.code.value in self.selection.rules}
        if all(problem.code.value in self.selection.rules for problem in problems):
            return 0  # one problem may stand for all lines after it
        return unusable - min(unusable, len(told))

    def _inspected(self, limits: Limits) -> Iterator[Inspection | None]:
        if not any(need.opens_videos for need in self.selection.needs):
            return repeat(None, len(self.listing.samples))
        return inspect_all(
            self.spec.data_root,
            (sample.video for sample in self.listing.samples),
            scan=Need.FRAMES in self.selection.needs,
            limits=limits,
        )

    def _check_sample(self, number: int, sample: Sample, found: Inspection | None) -> None:
        subject = self._subject(sample)
        if found is None:
            findings = _apply(self.of_caption, subject)
            self.overview.add(sample, None, None, subject.tokens)
        elif isinstance(found.media, MediaError):
            findings = _apply(self.of_caption, subject)
            findings.append(_of_media_error(sample, found.media))
            self.broken += found.media.code.value not in self.selection.rules
            self.overview.add(sample, None, None, subject.tokens)
        else:
            placed = place(found.media, self.policy)
            known = (found.media, placed, found.scan)
            subject = Subject(sample, self.policy, subject.tokens, subject.token_limit, *known)
            findings = _apply(self.of_sample, subject)
            self.overview.add(sample, found.media, placed, subject.tokens)
        kept = self.take(findings)
        self.dirty[number] = any(f.severity is not Severity.NOTE for f in kept)

    def _subject(self, sample: Sample) -> Subject:
        if self.counter is None:
            return Subject(sample, self.policy)
        tokens = self.counter.count(sample.caption)
        return Subject(sample, self.policy, tokens, self.counter.limit)

    def _check_dataset(self) -> None:
        first_of_line: dict[int | None, int] | None = None
        for rule in self.selection.rules.values():
            if not isinstance(rule, DatasetValidator):
                continue
            at = self.overview.list_file
            for finding in self.take(_guarded(rule, rule.check_dataset, self.overview, at)):
                if finding.line is None or finding.severity is Severity.NOTE:
                    continue
                if first_of_line is None:
                    samples = self.listing.samples
                    first_of_line = {s.source.line: n for n, s in enumerate(samples)}
                number = first_of_line.get(finding.line)
                if number is not None:
                    self.dirty[number] = True


def _apply(rules: Iterable[Validator], subject: Subject) -> list[Finding]:
    return [f for rule in rules for f in _guarded(rule, rule.check, subject, subject)]


def _guarded(
    rule: Rule, check: Callable[[Any], Iterable[Finding]], what: Any, at: Subject | str
) -> list[Finding]:
    """What a rule yields; an exception in it is a finding, too."""
    found: list[Finding] = []
    try:
        for finding in check(what):
            if not isinstance(finding, Finding) or finding.code != rule.code:
                raise TypeError(f"it yielded {finding!r:.200}, which is no finding of its own")
            found.append(finding)
    except Exception as error:  # noqa: BLE001 (a stranger's code may raise anything)
        failed = built_in()[Code.RULE_FAILED.value]()
        message = f"{rule.code} ({rule.name}) raised {type(error).__name__}: {error}"
        found.append(failed.finding(at, message))
    return found


def _of_problem(problem: Problem, severity: Severity | None) -> Finding:
    rule = built_in()[problem.code.value]
    own = rule.severity
    if severity is not None and own is Severity.ERROR:
        own = severity
    return Finding(rule.code, own, problem.message, problem.remedy, problem.file, problem.line)


def _of_media_error(sample: Sample, error: MediaError) -> Finding:
    rule = built_in()[error.code.value]()
    return rule.finding(sample, error.message, error.remedy)
