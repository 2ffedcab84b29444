"""Charts as inline SVG, each with its figures in words; a page's style gives them their colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from videoprep.text import counted, short, written

_BARS = 8
_BINS = 12


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, what it shows and its figures in words."""

    title: str
    note: str
    drawing: Markup


def common(title: str, counts: Mapping[str, int], what: str, left_out: int = 0) -> Chart:
    """A bar for each of the most frequent values, one for all others.

    Args:
        title: of the chart.
        counts: how many clips have each value.
        what: a value is called.
        left_out: clips that have none.
    """
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown, others = ordered[:_BARS], ordered[_BARS:]
    rest = {f"{len(others):,} others": sum(count for _, count in others)} if others else {}
    rest |= {"skipped": left_out} if left_out else {}
    note = f"{counted(len(counts), what)}; {counted(sum(counts.values()), 'clip')}"
    note += f", {left_out:,} skipped" if left_out else ""
    return Chart(title, note, _lying(title, "clips", dict(shown), rest))


def distribution(title: str, values: NDArray[Any], unit: str, of: str, more: str = "") -> Chart:
    """A bar a value where there are few, a histogram where there are many.

    Args:
        title: of the chart.
        values: at least one, ``[N]``.
        unit: they are in.
        of: what has them, in the plural.
        more: to be said of them.
    """
    low, middle, high = values.min(), np.median(values), values.max()
    note = f"{written(low)} to {written(high)} {unit}, median {written(middle)}{more}"
    different = Counter(values.round(2).tolist())
    if len(different) > _BARS:
        return Chart(title, note, _histogram(title, values, unit, of))
    counts = {f"{written(value)} {unit}": different[value] for value in sorted(different)}
    return Chart(title, note, _lying(title, of, counts, {}))


def _histogram(title: str, values: NDArray[Any], unit: str, of: str) -> Markup:
    whole = values.dtype.kind in "iu"
    edges, step = _edges(values, whole=whole)
    digits = 0 if whole else max(2, 1 - floor(log10(step)))
    named = [written(edge, digits) for edge in edges]
    ends = [written(edge - 1) for edge in edges] if whole else named
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
                figure=short(count) if count else "",
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
