"""Runs the rules over a dataset: every file is opened once at most, every finding is kept."""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

from videoprep.errors import Code, MediaError, Problem, SpecError
from videoprep.families.profile import DEFAULT
from videoprep.families.registry import TokenCounter, token_counter
from videoprep.fs.mirror import shown, shown_in
from videoprep.index.aligned import PlannedClip
from videoprep.index.beside import PicturePlanner, refusals
from videoprep.index.placement import LeftOut, Placement, place, seconds_of_range
from videoprep.index.policy import Policy, for_model
from videoprep.index.survey import resolve
from videoprep.media.inspect import (
    DEFAULT_LIMITS,
    InspectedSample,
    Inspection,
    inspect_samples,
)
from videoprep.media.probe import MediaInfo
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup, Datasets, group_of
from videoprep.spec.dataset_options import DatasetOptions
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
from videoprep.workers.pool import Limits

_MOST_KINDS = 4096
_FAILED = Code.RULE_FAILED.value

# Problems of a whole file: no entry of it can be used.
_OF_ALL = (Code.UNEQUAL_COUNTS, Code.NOT_UTF8, Code.LINE_ENDS)


def validate(
    spec: Datasets | str | os.PathLike[str],
    *,
    rules: Sequence[Rule] | None = None,
    model: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Unpack[DatasetOptions],
) -> Report:
    """Checks a whole dataset against the rules. Reads files and changes none.

    Args:
        spec: the dataset, or several that are one, or their path.
        rules: apply exactly these; by default what the spec selects.
        model: a model folder or hub id. Its tokenizer counts the captions' tokens, and its family
            is the profile if the dataset names none.
        limits: what opening one video may take.
        on_progress: called with how many samples are done, and how many there are.
        options: fields of the spec to replace, for instance ``profile="cogvideox"``.

    Raises:
        SpecError: there is no dataset to look at, or no such rule or profile.
        PlanError: a bucket is illegal.
        ModelError: the model cannot be found, or has no tokenizer.
    """
    group = group_of(spec, **options)
    if group is not None:
        from videoprep.validators.group import validate_group  # which is made of these

        return validate_group(
            group, rules=rules, model=model, limits=limits, on_progress=on_progress
        )
    assert not isinstance(spec, DatasetGroup)  # noqa: S101 (it is one of itself)
    begun = begin(spec, rules=rules, model=model, limits=limits, **options)
    if isinstance(begun, Report):
        return begun
    begun.check_samples(limits, on_progress)
    begun.check_whole()
    return begun.report()


def begin(
    spec: DatasetSpec | str | os.PathLike[str],
    *,
    rules: Sequence[Rule] | None,
    model: str | None,
    limits: Limits,
    counter: TokenCounter | None = None,
    **options: Unpack[DatasetOptions],
) -> ValidationRun | Report:
    """Read the lists of a dataset, and choose the rules; return a report if that is all there is.

    Args:
        spec: see `validate`.
        rules: likewise.
        model: likewise.
        limits: likewise.
        counter: the model's, if it is open already.
        options: likewise.

    Raises:
        SpecError, PlanError, ModelError: see `validate`.
    """
    remarks: tuple[Problem, ...] = ()
    there = registry()
    try:
        spec = for_model(DatasetSpec.of(spec, **options), model)
        policy = Policy.of(spec)  # wrong choices are said before the lists are read
        selection = (
            select(spec, there.rules) if rules is None else of_rules(spec, there.rules, rules)
        )
        if counter is None and model is not None:
            counter = token_counter(model)
        listing = spec.listing()
        remarks = listing.remarks
        if not listing.total and not listing.problems:
            raise spec.empty_error()
    except SpecError as error:
        if error.code is None:
            raise
        return hopeless(spec, error, remarks, options)
    if any(need is Need.PLAN for need in selection.needs):
        policy = resolve(policy, spec.data_root, listing.samples, limits=limits)
    run = ValidationRun(spec, policy, selection, listing, counter)
    run.take(there.problems if rules is None else [])
    return run


def hopeless(
    spec: DatasetSpec | str | os.PathLike[str],
    error: SpecError,
    remarks: Iterable[Problem],
    options: Mapping[str, Any],
) -> Report:
    """Return the report on a dataset whose lists cannot be read at all."""
    code = (error.code or Code.MISSING_LIST).value
    rule = built_in()[code]()
    where = error.where or (str(spec.data_root) if isinstance(spec, DatasetSpec) else str(spec))
    finding = rule.finding(where, error.message, error.remedy)
    others = [_of_problem(remark, mild=True) for remark in remarks]
    given = spec.model_dump() if isinstance(spec, DatasetSpec) else options
    return Report(
        root=shown_in(str(given.get("data_root") or spec)),
        profile=given.get("profile") or DEFAULT.name,
        reshape=given.get("reshape") or "none",
        fail_on=given.get("fail_on") or DatasetSpec.model_fields["fail_on"].default,
        total=0,
        clean=0,
        unusable=0,
        findings=(finding, *others),
        rules={found.code: built_in()[found.code]() for found in (finding, *others)},
    )


def config_findings(group: DatasetGroup) -> Iterator[Finding]:
    """Yield what the user has to know of a trainer's config, if the datasets are of one."""
    for note in group.config_notes:
        yield _of_problem(note, mild=True)


class CaptionRules:
    """The rules of a dataset that look at single captions alone, for captions that change.

    Args:
        spec: the dataset; it says which rules are applied.
        counter: counts tokens; None: nothing is counted.

    Raises:
        SpecError, PlanError: see `validate`.
    """

    def __init__(self, spec: DatasetSpec, counter: TokenCounter | None = None) -> None:
        self._policy = Policy.of(spec)
        self._counter = counter
        self._selection = select(spec, registry().rules)
        self._rules = [
            rule
            for rule in self._selection.rules.values()
            if isinstance(rule, Validator) and not any(need.opens_videos for need in rule.needs)
        ]
        self.codes = frozenset(rule.code for rule in self._rules)
        """Their codes."""

    def name_of(self, code: str) -> str:
        """Return the name of the rule with a code."""
        rule = self._selection.rules.get(code)
        return code if rule is None else rule.name

    def count(self, sample: Sample) -> int | None:
        """Return how many tokens a sample's first caption has; None if nothing is counted."""
        return None if self._counter is None else self._counter.count(sample.caption)

    @property
    def limit(self) -> int | None:
        """How many tokens the model takes; None if nothing is counted."""
        return None if self._counter is None else self._counter.limit

    def check(self, sample: Sample, tokens: int | None = None) -> list[Finding]:
        """Return what is wrong with a sample's captions.

        Args:
            sample: with the captions.
            tokens: how many the first of them has; see `count`.
        """
        further = _tokens_of(sample.texts[1:], self._counter)
        counts = () if tokens is None else (tokens, *further)
        subject = Subject(sample, self._policy, tokens, self.limit)
        found = _apply_to_captions(self._rules, subject, counts)
        return [judged for finding in found if (judged := self._selection.judge(finding))]


@dataclass(slots=True)
class _AlikeFiles:
    """Files that differ in their fingerprint alone.

    Attributes:
        plan: where their clips go, or why there are none.
        clips: what decides which part of other media goes with them.
        speaking: the rules that look at nothing else and have something to say; None as long as
            this is not known.
    """

    plan: tuple[Placement, ...] | LeftOut
    clips: tuple[PlannedClip, ...] = ()
    speaking: list[Validator] | None = None


def _first_reasons(problems: Iterable[Problem]) -> Counter[str]:
    """How many samples problems are about, by the code of each one's first."""
    first: dict[int, str] = {}
    for problem in problems:
        if problem.number is not None:
            first.setdefault(problem.number, problem.code.value)
    return Counter(first.values())


def _looks_at_media_alone(rule: Validator) -> bool:
    """Built-in rules that need no caption and no frames say the same of files that are alike."""
    of_media = rule.needs <= {Need.HEADER, Need.TIMESTAMPS, Need.PLAN}
    return of_media and built_in().get(rule.code) is type(rule)


@dataclass(slots=True)
class ValidationRun:
    """The validation of one dataset: gathers findings, and which samples they are about.

    Attributes:
        dirty: which samples an error or a warning is about.
        failing: which samples something fails.
        broken: which samples cannot be opened, whether or not this is told.
    """

    spec: DatasetSpec
    policy: Policy
    selection: Selection
    listing: Listing
    counter: TokenCounter | None
    findings: list[Finding] = field(default_factory=list)
    overview: Overview = field(init=False)
    numbers: array[int] = field(init=False)
    dirty: NDArray[np.bool_] = field(init=False)
    failing: NDArray[np.bool_] = field(init=False)
    broken: NDArray[np.bool_] = field(init=False)
    of_media: list[Validator] = field(init=False)
    of_rest: list[Validator] = field(init=False)
    of_caption: list[Validator] = field(init=False)
    pictures: PicturePlanner = field(init=False)
    kinds: dict[tuple[Any, ...], _AlikeFiles] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listing = self.listing
        rules = self.selection.rules.values()
        of_sample = [rule for rule in rules if isinstance(rule, Validator)]
        self.of_media = [rule for rule in of_sample if _looks_at_media_alone(rule)]
        self.of_rest = [rule for rule in of_sample if not _looks_at_media_alone(rule)]
        self.of_caption = [
            rule for rule in of_sample if not any(need.opens_videos for need in rule.needs)
        ]
        count = len(listing.samples)
        self.numbers = array("q", (sample.number for sample in listing.samples))
        self.dirty, self.failing, self.broken = (np.zeros(count, np.bool_) for _ in range(3))
        self.pictures = PicturePlanner(self.policy)
        self.overview = Overview(
            shown(self.spec.list_file),
            listing.total,
            listing.samples,
            listing.identities,
            unusable=_first_reasons(listing.problems),
        )

    def take(self, found: Iterable[Finding], number: int | None = None) -> None:
        """Keeps those findings whose rules are applied.

        Args:
            found: findings.
            number: position of the sample that they are about; by default each finding says it.
        """
        kept = [judged for finding in found if (judged := self.selection.judge(finding))]
        self.findings += kept
        for finding in kept:
            self.count(finding, finding.number, number)

    def count(self, finding: Finding, entry: int | None, at: int | None = None) -> None:
        """Notes which sample a finding is about.

        Args:
            finding: one that is kept.
            entry: the sample's number among the dataset's entries, counted from 1.
            at: its position among those that can be used, if that is known.
        """
        if finding.severity is Severity.NOTE:
            return
        at = self._sample_at(entry) if at is None else at
        if at is not None:
            self.dirty[at] = True
            self.failing[at] |= finding.fails(self.spec.fail_on)

    def check_samples(self, limits: Limits, on_progress: Callable[[int, int], None] | None) -> None:
        """Looks at each sample."""
        self.take(_of_problem(problem) for problem in self.listing.problems)
        self.take(_of_problem(remark, mild=True) for remark in self.listing.remarks)
        for sample in self.listing.unusable if self.of_caption else ():
            subject, tokens = self._subject(sample)
            self.take(_apply_to_captions(self.of_caption, subject, tokens))
        looks_closer = self._opens_videos() or self._reads_captions()
        for number, (sample, found) in enumerate(
            zip(self.listing.samples, self._inspected(limits), strict=True)
        ):
            if looks_closer:
                self._check_sample(number, sample, found)
            if on_progress is not None:
                on_progress(number + 1, len(self.listing.samples))

    def check_whole(self) -> None:
        """Looks at all samples together."""
        self.take(findings_on(self.overview, self.selection))

    def report(self) -> Report:
        """What was found."""
        # Those of one line together, whatever file they are written in.
        self.findings.sort(key=lambda f: (f.number or f.line or f.row or 0, f.code, f.file))
        clean = int((~self.dirty & ~self.broken).sum())
        unusable = int((~self.dirty & self.broken).sum()) + self._untold()
        return Report(
            root=shown(self.spec.data_root),
            profile=self.policy.profile.name,
            reshape=self.policy.reshape,
            fail_on=self.spec.fail_on,
            total=self.listing.total,
            clean=clean,
            unusable=unusable,
            dropped=min(unusable, self._dropped()),
            findings=tuple(self.findings),
            rules=self.selection.rules,
            rules_left_out=self.selection.left_out,
            overview=self.overview,
            passing=~self.failing & ~self.broken,
            reading=self.listing.reading,
        )

    def _sample_at(self, number: int | None) -> int | None:
        """Return the position of the sample with a number of the dataset's entries."""
        if number is None or not self.numbers:
            return None
        at = number - self.numbers[0]  # right if every entry can be used
        if not (0 <= at < len(self.numbers) and self.numbers[at] == number):
            at = bisect_left(self.numbers, number)
        return at if at < len(self.numbers) and self.numbers[at] == number else None

    def _untold(self) -> int:
        """Entries that cannot be used, and about which nothing worse than a note is said."""
        unusable = self.listing.total - len(self.listing.samples)
        silent = {
            code
            for code in {problem.code for problem in self.listing.problems}
            if not self._is_told(code)
        }
        if not silent:
            return 0
        if silent & {*_OF_ALL}:
            return unusable
        told = {p.number for p in self.listing.problems if p.code not in silent}
        untold = {p.number for p in self.listing.problems if p.code in silent} - told
        return min(unusable, len(untold)) if told else unusable

    def _dropped(self) -> int:
        """Entries of which a person's decision is all that is to be said."""
        if self._is_told(Code.DROPPED):
            return 0
        problems = self.listing.problems
        told = {one.number for one in problems if self._is_told(one.code)}
        return len({one.number for one in problems if one.code is Code.DROPPED} - told)

    def _is_told(self, code: Code) -> bool:
        severity = built_in()[code.value].severity
        judged = self.selection.judge(Finding(code.value, severity, "", "", ""))
        return judged is not None and judged.severity is not Severity.NOTE

    def _opens_videos(self) -> bool:
        return any(need.opens_videos for need in self.selection.needs)

    def _reads_captions(self) -> bool:
        return bool({Need.CAPTION, Need.TOKENS} & self.selection.needs) or bool(self.of_caption)

    def _inspected(self, limits: Limits) -> Iterator[InspectedSample | None]:
        if not self._opens_videos():
            return repeat(None, len(self.listing.samples))
        return inspect_samples(
            self.spec.data_root,
            self.listing.samples,
            scan=Need.FRAMES in self.selection.needs,
            sound=Need.SOUND in self.selection.needs,
            masks=Need.MASKS in self.selection.needs,
            limits=limits,
        )

    def _check_sample(self, number: int, sample: Sample, found: InspectedSample | None) -> None:
        subject, tokens = self._subject(sample)
        media = None if found is None else found.video.media
        errors = [] if found is None else list(found.errors(sample))
        if errors:
            self.broken[number] = True
        if found is None or not isinstance(media, MediaInfo):
            findings = _apply_to_captions(self.of_caption, subject, tokens)
            self.overview.add(sample, None, None, tokens)
            self.overview.count_unplanned(errors)
        else:
            kind = self._kind_of(sample, found.video)
            plan = kind.plan
            if found.beside and not errors:
                plan = next(refusals(sample, found, kind.clips, self.pictures), plan)
            known = (media, kind.plan, found.video.scan, found.beside, found.sound_scan)
            subject = Subject(sample, self.policy, subject.tokens, subject.token_limit, *known)
            if isinstance(plan, LeftOut) and plan is not kind.plan:  # for a medium beside it
                told = [rule for rule in self.of_media if rule.code == plan.code.value]
                subject_left_out = replace(subject, _plan=plan)
                findings = _apply_to_captions([*self.of_rest, *told], subject_left_out, tokens)
            else:
                findings = _apply_to_captions(self.of_rest, subject, tokens)
            if kind.speaking is None:
                of_media = _apply(self.of_media, subject)
                codes = {finding.code for finding in of_media}
                kind.speaking = [rule for rule in self.of_media if codes & {rule.code, _FAILED}]
                findings += of_media
            else:
                findings += _apply(kind.speaking, subject)
            seconds = self._seconds_of_part(sample, media)
            self.overview.add(sample, media, None if errors else plan, tokens, seconds)
            self.overview.count_unplanned(errors)
        findings += [_of_media_error(sample, error) for error in errors]
        self.take(findings, number)

    def _seconds_of_part(self, sample: Sample, media: MediaInfo) -> float | None:
        """How long the part of a video is that a sample is; None if it is all of it."""
        extras = sample.extras
        if media.is_still or (extras.start is None and extras.end is None):
            return None
        found = seconds_of_range(media, extras, self.policy.time_zero)
        return 0.0 if isinstance(found, LeftOut) else found[1] - found[0]

    def _kind_of(self, sample: Sample, found: Inspection) -> _AlikeFiles:
        """What samples that are alike share: their plan, and which rules speak of them."""
        assert isinstance(found.media, MediaInfo)  # noqa: S101
        extras = sample.extras
        alike = (found.alike, extras.start, extras.end, extras.unit)
        kind = self.kinds.get(alike)
        if kind is None:
            if len(self.kinds) >= _MOST_KINDS:
                self.kinds.clear()
            plan, zero = place(found.media, self.policy, extras), self.policy.time_zero
            placed = () if isinstance(plan, LeftOut) else plan
            clips = tuple(PlannedClip(found.media, one, zero) for one in placed)
            kind = self.kinds[alike] = _AlikeFiles(plan, clips)
        return kind

    def _subject(self, sample: Sample) -> tuple[Subject, Sequence[int]]:
        """The sample as a rule sees it with its first caption, and the tokens of all captions."""
        if self.counter is None:
            return Subject(sample, self.policy), ()
        tokens = _tokens_of(sample.texts, self.counter)
        return Subject(sample, self.policy, tokens[0], self.counter.limit), tokens


def findings_on(overview: Overview, selection: Selection) -> Iterator[Finding]:
    """Yield what the rules for all samples together find, before it is judged."""
    for rule in selection.rules.values():
        if isinstance(rule, DatasetValidator):
            yield from _guarded(rule, rule.check_dataset, overview, overview.list_file)


def _tokens_of(texts: Iterable[str], counter: TokenCounter | None) -> Sequence[int]:
    """How many tokens each text has; none if nothing is counted."""
    return () if counter is None else tuple(map(counter.count, texts))


def _apply_to_captions(
    rules: Iterable[Validator], subject: Subject, tokens: Sequence[int]
) -> list[Finding]:
    """What rules find in a sample. Those that look at its caption look at each if it has several.

    Args:
        rules: which.
        subject: the sample, as it is seen with its first caption.
        tokens: of each caption; none if they are not counted.
    """
    rules = list(rules)
    found, sample = _apply(rules, subject), subject.sample
    if not sample.further:
        return found
    rules = [rule for rule in rules if rule.needs & {Need.CAPTION, Need.TOKENS}]
    codes = {rule.code for rule in rules}
    count = len(sample.captions)
    found = [one.about_caption(1, count) if one.code in codes else one for one in found]
    for number in range(1, count):
        alone = replace(subject, sample=sample.with_caption_alone(number))
        if tokens:
            alone = replace(alone, tokens=tokens[number])
        found += [one.about_caption(number + 1, count) for one in _apply(rules, alone)]
    return found


def _apply(rules: Iterable[Validator], subject: Subject) -> list[Finding]:
    found: list[Finding] = []
    for rule in rules:
        found += _guarded(rule, rule.check, subject, subject)
    return found


def _guarded(
    rule: Rule, check: Callable[[Any], Iterable[Finding]], what: Any, at: Subject | str
) -> list[Finding]:
    """What a rule yields; an exception in it is a finding, too."""
    found: list[Finding] = []
    try:
        for finding in check(what):
            _require_sound(rule, finding)
            found.append(finding)
    except Exception as error:  # noqa: BLE001 (a stranger's code may raise anything)
        failed = built_in()[Code.RULE_FAILED.value]()
        message = f"{rule.code} ({rule.name}) raised {type(error).__name__}: {error}"
        found.append(failed.finding(at, message))
    return found


def _require_sound(rule: Rule, finding: object) -> None:
    """Checks what a rule of a third party yields: reports rely on it.

    Raises:
        TypeError: it is no finding of the rule, or a field has a wrong type.
        ValueError: its data cannot be written as JSON.
    """
    if not isinstance(finding, Finding) or finding.code != rule.code:
        raise TypeError(f"it yielded {finding!r:.200}, which is no finding of its own")
    if built_in().get(rule.code) is type(rule):
        return
    texts = (finding.message, finding.remedy, finding.file, finding.video or "")
    line = finding.line
    if not all(isinstance(text, str) for text in texts) or not isinstance(line, int | None):
        raise TypeError(f"a field of its finding has a wrong type: {finding!r:.500}")
    if not isinstance(finding.severity, Severity):
        raise TypeError(f"the severity {finding.severity!r:.50} is no Severity")
    json.dumps(dict(finding.data), allow_nan=False)


def _of_problem(problem: Problem, *, mild: bool = False) -> Finding:
    """A reader's problem as a finding; one that makes no entry unusable is a warning at most."""
    rule = built_in()[problem.code.value]
    severity = Severity.WARNING if mild and rule.severity is Severity.ERROR else rule.severity
    return Finding(
        rule.code,
        Severity(problem.severity) if problem.severity is not None else severity,
        problem.message,
        problem.remedy,
        problem.file,
        problem.line,
        problem.video,
        row=problem.row,
        number=problem.number,
    )


def _of_media_error(sample: Sample, error: MediaError) -> Finding:
    rule = built_in()[error.code.value]()
    return rule.finding(sample, error.message, error.remedy)
