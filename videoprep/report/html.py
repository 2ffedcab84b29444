"""One page for people: counts, charts, findings with filters, and pictures of the clips.

The page is one file that asks for nothing else. Captions, paths and messages hold what strangers
wrote: all of it goes through the template's escaping and `_plain`, none of it through a script,
and the page's own policy lets a browser run nothing but the two blocks written in the template.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray

import videoprep
from videoprep.errors import Code, VideoprepError
from videoprep.media.workers import Answer, Lost, Request, WorkerPool
from videoprep.plain import plain
from videoprep.spec.sample import Sample
from videoprep.validators.overview import Figures, Overview
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.report import Report

logger = logging.getLogger(__name__)

# What a browser opens at once; a million findings would be a page that nobody can read.
_FINDINGS = 2000
_PICTURES = 200
_CHARACTERS = 600

# A picture is a nicety: a video that takes long gives none, and all together take so long at most.
_SECONDS = 10.0
_SECONDS_OF_ALL = 60.0
_PICTURE_BYTES = 1 << 16

# What opening a video with such a finding does is known already.
_NOT_OPENED = {Code.TIME_LIMIT.value, Code.DECODER_CRASH.value, Code.MEMORY_LIMIT.value}

_BARS = 8
_BINS = 12


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


@dataclass(frozen=True, slots=True)
class _Chart:
    """A drawing, what it shows and its figures in words."""

    title: str
    note: str
    drawing: Markup


def as_html(report: Report) -> Iterator[str]:
    """The page in pieces. Opens the videos of up to 200 samples with findings, for pictures."""
    listed = _listed(report.findings)
    clips = _clips(report, listed)
    _add_pictures(clips)
    by_code = report.by_code
    yield from _template().generate(
        report=report,
        version=videoprep.__version__,
        severities={severity.value: report.count(severity) for severity in Severity},
        shares=_shares(report),
        charts=_charts(report.overview),
        rules=_rules(report, by_code),
        quiet=[rule for code, rule in report.rules.items() if code not in by_code],
        clips=clips,
        listed=len(listed),
        place=partial(_place, report.root),
        pictures=_PICTURES,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("videoprep.report", ""),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _sha256
    environment.filters["count"] = _count
    environment.filters["plain"] = _plain
    return environment.get_template("page.html.j2")


def _plain(value: Any) -> Any:
    """Makes visible what could reorder or hide text, and cuts what would flood the page."""
    if isinstance(value, Markup):
        return value  # the template's own, or made in this file
    text = str(value)
    more = f" … and {len(text) - _CHARACTERS:,} more characters"
    shown = plain(text[:_CHARACTERS])
    return shown + more if len(text) > _CHARACTERS else shown


def _sha256(block: str) -> str:
    """How a content security policy names a block of the page."""
    return base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()


def _count(number: int, noun: str = "") -> str:
    """A number for people, with the noun, in the plural where it is not one."""
    plural = "s" if noun and number != 1 else ""
    return f"{number:,} {noun}{plural}".rstrip()


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
        at = (finding.video, finding.line, None if finding.video else finding.file)
        if at not in clips:
            clips[at] = _Clip(finding, samples.get((finding.video, finding.line)))
        clips[at].findings.append(finding)
    return list(clips.values())


def _samples(
    overview: Overview | None, videos: set[str | None]
) -> dict[tuple[str | None, int | None], Sample]:
    """The samples with these videos, which were checked to lie inside the data root."""
    there = overview.samples if overview is not None else ()
    return {(s.name, s.source.line): s for s in there if s.name in videos}


def _place(root: str, finding: Finding) -> str:
    """Where it is written, as seen from the data root."""
    try:
        file = os.fspath(Path(finding.file).relative_to(root))
    except ValueError:
        file = finding.file
    return file if finding.line is None else f"{file}:{finding.line}"


def _rules(report: Report, by_code: dict[str, int]) -> list[dict[str, Any]]:
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
        for code, total in by_code.items()
    ]


# Pictures


def _add_pictures(clips: list[_Clip]) -> None:
    shown = [(clip, video) for clip in clips if (video := clip.video)]
    pictures = _thumbnails(list(dict.fromkeys(video for _, video in shown[:_PICTURES])))
    for number, (clip, video) in enumerate(shown):
        clip.late = number >= _PICTURES
        clip.picture = None if clip.late else pictures.get(video)


def _thumbnails(paths: list[Path]) -> dict[Path, Markup]:
    """Pictures of those videos that give one, as data URLs."""
    found: dict[Path, Markup] = {}
    requests = (Request(("thumbnail",), path, _SECONDS) for path in paths)
    until = time.monotonic() + _SECONDS_OF_ALL
    try:
        with WorkerPool() as pool:
            for path, answer in zip(paths, pool.run(requests), strict=True):
                picture = _picture(answer)
                if picture is not None:
                    found[path] = picture
                if time.monotonic() > until:
                    break
    except VideoprepError as error:  # without workers there is a report, though no pictures
        logger.warning("the report has no pictures: %s", error)
    return found


def _picture(answer: Answer | Lost) -> Markup | None:
    """The data URL in a worker's answer, once it is sure to be one: the video is a stranger's."""
    if isinstance(answer, Lost) or "value" not in answer.get("thumbnail", {}):
        return None
    try:
        data = base64.b64decode(answer["thumbnail"]["value"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
    if not data.startswith(b"\xff\xd8") or len(data) > _PICTURE_BYTES:
        return None
    return Markup("data:image/jpeg;base64,{}").format(base64.b64encode(data).decode())


# Charts


def _shares(report: Report) -> list[tuple[str, float, float]]:
    """The kinds of samples as parts of one bar: name, start and width in percent."""
    counts = {"clean": report.clean, "found": report.with_findings, "unusable": report.unusable}
    parts, start = [], 0.0
    for name, count in counts.items():
        width = 100 * count / max(report.total, 1)
        parts.append((name, round(start, 3), round(width, 3)))
        start += width
    return parts


def _charts(overview: Overview | None) -> list[_Chart]:
    """What there are figures for."""
    if overview is None:
        return []
    figures = overview.figures
    charts = [*_of_videos(figures), *_of_buckets(overview)]
    if figures.tokens:
        tokens = np.asarray(figures.tokens)
        charts.append(_distribution("Caption length", tokens, "tokens", "captions"))
    elif figures.words:
        words = np.asarray(figures.words)
        charts.append(_distribution("Caption length", words, "words", "captions"))
    return charts


def _of_videos(figures: Figures) -> Iterator[_Chart]:
    if not figures.widths:
        return
    sizes = Counter(zip(figures.widths, figures.heights, strict=True))
    named = {f"{width}×{height}": count for (width, height), count in sizes.items()}
    yield _common("Picture size", named, "size")
    seconds = np.asarray(figures.seconds, dtype=np.float64).round(4)
    yield _distribution("Duration", seconds, "s", "clips", f"; {_time(seconds.sum())} in all")
    rates = Counter(np.asarray(figures.fps, dtype=np.float64).round(2).tolist())
    yield _common("Frames a second", {_number(rate): n for rate, n in rates.items()}, "rate")
    yield _distribution("Frames", np.asarray(figures.frames), "frames", "clips")


def _of_buckets(overview: Overview) -> Iterator[_Chart]:
    if not (overview.buckets or overview.left_out):
        return
    left_out = sum(overview.left_out.values())
    named = {str(bucket): count for bucket, count in overview.buckets.items()}
    yield _common("Bucket (frames × height × width)", named, "bucket", left_out)


def _common(title: str, counts: dict[str, int], what: str, left_out: int = 0) -> _Chart:
    """A bar for each of the most frequent values, one for all others."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown, others = ordered[:_BARS], ordered[_BARS:]
    rest = {f"{len(others):,} others": sum(count for _, count in others)} if others else {}
    rest |= {"left out": left_out} if left_out else {}
    note = f"{_count(len(counts), what)}; {_count(sum(counts.values()), 'clip')}"
    note += f", {left_out:,} left out" if left_out else ""
    return _Chart(title, note, _lying(title, "clips", dict(shown), rest))


def _distribution(title: str, values: NDArray[Any], unit: str, of: str, more: str = "") -> _Chart:
    """A bar a value where there are few, a histogram where there are many."""
    low, middle, high = values.min(), np.median(values), values.max()
    note = f"{_number(low)} to {_number(high)} {unit}, median {_number(middle)}{more}"
    different = Counter(values.round(2).tolist())
    if len(different) > _BARS:
        return _Chart(title, note, _histogram(title, values, unit, of))
    counts = {f"{_number(value)} {unit}": different[value] for value in sorted(different)}
    return _Chart(title, note, _lying(title, of, counts, {}))


def _histogram(title: str, values: NDArray[Any], unit: str, of: str) -> Markup:
    whole = values.dtype.kind in "iu"
    edges, step = _edges(values, whole=whole)
    digits = 0 if whole else max(2, 1 - floor(log10(step)))
    named = [_number(edge, digits) for edge in edges]
    ends = [_number(edge - 1) for edge in edges] if whole else named
    counts, _ = np.histogram(values[values < edges[-1]], edges)
    bars = [
        (f"{start} {unit}" if start == end else f"{start} to {end} {unit}", count)
        for start, end, count in zip(named, ends[1:], counts.tolist(), strict=False)
    ]
    above = int((values >= edges[-1]).sum())
    if above:
        bars.append((f"{named[-1]} {unit} and more", above))
        named[-1] += "+"
    return _standing(title, of, bars, named, more=above > 0)


def _edges(values: NDArray[Any], *, whole: bool) -> tuple[list[float], float]:
    """Round bounds of bins; a few values far above the others do not stretch them."""
    low, high = float(values.min()), float(values.max())
    most = float(np.percentile(values, 95, method="lower"))
    if most > low and high - low > 2 * (most - low):
        high = most
    least = (high - low) / _BINS
    power = 10.0 ** floor(log10(least))
    steps = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(n * power for n in steps if n * power >= least * (1 - 1e-9))
    step = max(1.0, step) if whole else step
    start = floor(low / step)
    return [round((start + n) * step, 9) for n in range(floor(high / step) - start + 2)], step


def _lying(title: str, of: str, counts: dict[str, int], rest: dict[str, int]) -> Markup:
    """Bars to the right, names on the left; those of ``rest`` are paler."""
    every = {**counts, **rest}
    total, longest = f"{sum(every.values()):,}", max(every.values())
    left = 8 * max(map(len, every))
    drawn = []
    for row, (name, count) in enumerate(every.items()):
        width = max(2, round((290 - left) * count / longest))
        drawn.append(
            Markup(
                "<g><title>{name}: {count} of {total} {of}</title>"
                '<text class="name" x="{left}" y="{text}">{name}</text>'
                '<rect class="{kind}" x="{start}" y="{top}" width="{width}" height="16" rx="3"/>'
                '<text class="figure" x="{end}" y="{text}">{count}</text></g>'
            ).format(
                name=name,
                count=f"{count:,}",
                total=total,
                of=of,
                kind="bar" if name in counts else "rest",
                left=left,
                start=left + 8,
                width=width,
                end=left + width + 14,
                top=24 * row + 4,
                text=24 * row + 17,
            )
        )
    return _svg(f"{title}: {of}", 24 * len(drawn) + 4, drawn)


def _standing(
    title: str, of: str, bars: list[tuple[str, int]], edges: list[str], *, more: bool
) -> Markup:
    """A histogram with names at the edges of its bins; a last bin without end is paler."""
    total = sum(count for _, count in bars)
    longest = max(count for _, count in bars)
    wide = 344 / len(bars)
    drawn = []
    for column, (name, count) in enumerate(bars):
        tall = max(2, round(126 * count / longest)) if count else 0
        drawn.append(
            Markup(
                "<g><title>{name}: {count} of {total} {of}</title>"
                '<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{tall}" rx="2"/>'
                '<text class="top" x="{middle}" y="{above}">{figure}</text></g>'
            ).format(
                name=name,
                count=f"{count:,}",
                total=f"{total:,}",
                of=of,
                kind="rest" if more and column == len(bars) - 1 else "bar",
                x=round(8 + column * wide + 1, 1),
                y=146 - tall,
                width=round(wide - 2, 1),
                tall=tall,
                middle=round(8 + (column + 0.5) * wide, 1),
                above=142 - tall,
                figure=_short(count) if count else "",
            )
        )
    drawn.append(Markup('<path class="axis" d="M8 146.5H352"/>'))
    every = ceil(max(map(len, edges)) * 7 / wide)
    for number, edge in list(enumerate(edges))[::-every]:
        mark = Markup('<text class="edge" x="{x}" y="162">{edge}</text>')
        drawn.append(mark.format(x=round(8 + number * wide, 1), edge=edge))
    return _svg(f"{title}: {of}", 168, drawn)


def _svg(title: str, height: int, drawn: list[Markup]) -> Markup:
    return Markup(
        '<svg viewBox="0 0 360 {height}" role="img"><title>{title}</title>{drawn}</svg>'
    ).format(height=height, title=title, drawn=Markup("").join(drawn))


def _number(value: float, digits: int = 2) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _short(count: int) -> str:
    """A count that fits on a narrow bar."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{unit}"
    return str(count)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{_number(seconds)} seconds"
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
