"""Runs the rules over a dataset: every file is opened once, every finding is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from videoprep.errors import MediaError, Problem
from videoprep.index.placement import place
from videoprep.index.policy import Policy
from videoprep.media.cache import ProbeCache
from videoprep.media.probe import MediaInfo
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Sample
from videoprep.validators.protocol import Finding, Severity, Subject, Validator
from videoprep.validators.registry import validators
from videoprep.validators.report import Report


def validate(
    spec: DatasetSpec | str | os.PathLike[str],
    *,
    rules: Sequence[Validator] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Report:
    """Checks a whole dataset against the rules. Reads files and changes none.

    Args:
        spec: the dataset, or its path.
        rules: the rules to apply; all there are by default.
        on_progress: called with how many samples are done, and how many there are.
        options: fields of the spec to replace, for instance ``profile="cogvideox"``.

    Raises:
        SpecError: there is no dataset to look at.
        PlanError: a bucket is illegal.
    """
    spec = DatasetSpec.of(spec, **options)
    policy = Policy.of(spec)
    rules = validators() if rules is None else rules
    listing = spec.listing()
    if not listing.total and not listing.problems:
        raise spec.empty_error()
    findings = [_of_problem(problem) for problem in listing.problems]
    clean = 0
    with ProbeCache(spec.data_root) as cache:
        probed = cache.probe_all(sample.video for sample in listing.samples)
        for done, (sample, media) in enumerate(zip(listing.samples, probed, strict=True), start=1):
            found = _check(sample, media, policy, rules)
            findings += found
            clean += all(finding.severity is Severity.NOTE for finding in found)
            if on_progress is not None:
                on_progress(done, len(listing.samples))
    return Report(
        root=str(spec.data_root),
        profile=policy.profile.name,
        reshape=policy.reshape,
        total=listing.total,
        clean=clean,
        findings=tuple(findings),
    )


def _check(
    sample: Sample, media: MediaInfo | MediaError, policy: Policy, rules: Sequence[Validator]
) -> list[Finding]:
    if isinstance(media, MediaError):
        return [_of_media_error(sample, media)]
    subject = Subject(sample, media, policy, place(media, policy))
    return [finding for rule in rules for finding in rule.check(subject)]


def _of_problem(problem: Problem) -> Finding:
    return Finding(
        problem.code.value,
        Severity.ERROR,
        problem.message,
        problem.remedy,
        problem.file,
        problem.line,
    )


def _of_media_error(sample: Sample, error: MediaError) -> Finding:
    return Finding(
        error.code.value,
        Severity.ERROR,
        error.message,
        error.remedy or "replace the file or remove the sample",
        sample.source.file,
        sample.source.line,
        sample.name,
    )
