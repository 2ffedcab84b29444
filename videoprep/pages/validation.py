"""The page on what the rules say: counts, charts, findings with filters, pictures of the clips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from videoprep.errors import Code, place_of
from videoprep.pages.builder import load_template, shares
from videoprep.pages.charts import Chart, common, distribution
from videoprep.pages.pictures import thumbnails
from videoprep.spec.sample import Sample
from videoprep.text import duration, numbered, written
from videoprep.validators.overview import Figures, Overview
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.report import Report

# What a browser opens at once; a million findings would be a page that nobody can read.
_FINDINGS = 2000
_PICTURES = 200

# What opening a video with such a finding does is known already.
_NOT_OPENED = {Code.TIME_LIMIT.value, Code.DECODER_CRASH.value, Code.MEMORY_LIMIT.value}


@dataclass(slots=True)
class _Clip:
    """The findings on one sample, or on one place in a list.

    Attributes:
        first: the worst of them.
        sample: what it is about; None where this is no sample whose video was found.
        findings: all that are listed.
        picture: a data URL.
        late: whether it comes after those that pictures are made of.
    """

    first: Finding
    sample: Sample | None
    findings: list[Finding] = field(default_factory=list)
    picture: Markup | None = None
    late: bool = False

    @property
    def video(self) -> Path | None:
        """What may be opened for a picture."""
        harmful = any(finding.code in _NOT_OPENED for finding in self.findings)
        return None if self.sample is None or harmful else self.sample.video


def as_html(report: Report) -> Iterator[str]:
    """The page in pieces. Opens the videos of up to 200 samples with findings, for pictures."""
    listed = _listed(report.findings)
    clips = _clips(report, listed)
    _add_pictures(clips)
    by_code = report.by_code
    kinds = {"clean": report.clean, "found": report.with_findings, "unusable": report.unusable}
    yield from load_template("videoprep.pages", "validation.html.j2").generate(
        report=report,
        severities={severity.value: report.count(severity) for severity in Severity},
        shares=shares(kinds.items()),
        charts=_charts(report.overview),
        rules=rules_found(report),
        quiet=[rule for code, rule in report.rules.items() if code not in by_code],
        clips=clips,
        listed=len(listed),
        place=partial(_place, report.root),
        pictures=_PICTURES,
        numbered=numbered,
    )


def _listed(findings: Sequence[Finding]) -> list[Finding]:
    """As many as a page holds, the worst first; no rule's take the place of another's."""
    quota = _quota(Counter(finding.code for finding in findings).values())
    ranks = {severity: rank for rank, severity in enumerate(Severity)}
    taken: Counter[str] = Counter()
    listed = []
    for finding in sorted(findings, key=lambda f: ranks[f.severity]):
        taken[finding.code] += 1
        if taken[finding.code] <= quota:
            listed.append(finding)
    return listed


def _quota(counts: Collection[int]) -> int:
    """How many findings of each rule are listed."""
    left = _FINDINGS
    for number, count in enumerate(sorted(counts)):
        share = left // (len(counts) - number)
        if count > share:
            return share
        left -= count
    return _FINDINGS


def _clips(report: Report, listed: list[Finding]) -> list[_Clip]:
    """The findings of each sample together, samples with the worst first."""
    samples = _samples(report.overview, {finding.video for finding in listed})
    clips: dict[tuple[str | None, int | None, str | None], _Clip] = {}
    for finding in listed:
        at = (finding.video, finding.number, None if finding.video else finding.file)
        if at not in clips:
            clips[at] = _Clip(finding, samples.get((finding.video, finding.number)))
        clips[at].findings.append(finding)
    return list(clips.values())


def _samples(
    overview: Overview | None, videos: set[str | None]
) -> dict[tuple[str | None, int | None], Sample]:
    """The samples with these videos, which were checked to lie inside the data root."""
    there = overview.samples if overview is not None else ()
    return {(s.name, s.number): s for s in there if s.name in videos}


def _place(root: str, finding: Finding) -> str:
    """Where it is written, as seen from the data root."""
    try:
        file = os.fspath(Path(finding.file).relative_to(root))
    except ValueError:
        file = finding.file
    return place_of(file, finding.line, finding.row)


def rules_found(report: Report) -> list[dict[str, Any]]:
    """The rules that found something: what they demand, and how much they found."""
    counts = Counter((finding.code, finding.severity.value) for finding in report.findings)
    return [
        {
            "code": code,
            "name": report.name_of(code),
            "summary": report.rules[code].summary if code in report.rules else "",
            "counts": {severity.value: counts[code, severity.value] for severity in Severity},
            "total": total,
        }
        for code, total in report.by_code.items()
    ]


# Pictures


def _add_pictures(clips: list[_Clip]) -> None:
    shown = [(clip, video) for clip in clips if (video := clip.video)]
    pictures = thumbnails(list(dict.fromkeys(video for _, video in shown[:_PICTURES])))
    for number, (clip, video) in enumerate(shown):
        clip.late = number >= _PICTURES
        clip.picture = None if clip.late else pictures.get(video)


# Charts


def _charts(overview: Overview | None) -> list[Chart]:
    """What there are figures for."""
    if overview is None:
        return []
    figures = overview.figures
    charts = [*_of_videos(figures), *_of_buckets(overview)]
    if figures.tokens:
        tokens = np.asarray(figures.tokens)
        charts.append(distribution("Caption length", tokens, "tokens", "captions"))
    elif figures.words:
        words = np.asarray(figures.words)
        charts.append(distribution("Caption length", words, "words", "captions"))
    return charts


def _of_videos(figures: Figures) -> Iterator[Chart]:
    if not figures.widths:
        return
    sizes = Counter(zip(figures.widths, figures.heights, strict=True))
    named = {f"{width}×{height}": count for (width, height), count in sizes.items()}
    yield common("Picture size", named, "size")
    if not figures.seconds:
        return
    seconds = np.asarray(figures.seconds, dtype=np.float64).round(4)
    yield distribution("Duration", seconds, "s", "clips", f"; {duration(seconds.sum(), 1)} in all")
    rates = Counter(np.asarray(figures.fps, dtype=np.float64).round(2).tolist())
    yield common("Frames a second", {written(rate): n for rate, n in rates.items()}, "rate")
    yield distribution("Frames", np.asarray(figures.frames), "frames", "clips")


def _of_buckets(overview: Overview) -> Iterator[Chart]:
    if not (overview.buckets or overview.left_out):
        return
    left_out = sum(overview.left_out.values())
    named = {str(bucket): count for bucket, count in overview.buckets.items()}
    yield common("Bucket (frames × height × width)", named, "bucket", left_out)
