"""Finds where one scene becomes another, from the scores of frames. Pure.

A cut is a frame that differs from the one before far more than its neighbours do: fast motion of
the camera makes all of them differ. A dissolve is a frame that is the mean of what comes before and
after it, while these have nothing in common and it has less detail than either. A fade loses its
contrast step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.media.scene_scan import DAMAGED, INTACT, SPANS, SceneScores, difference

Kind = Literal["cut", "dissolve", "fade", "transition"]
Floats = NDArray[np.float64]

# Frames to either side whose differences are what is usual at a place.
_NEIGHBOURS = 3

# What neighbours are taken to differ by at least: of a still scene every frame would be a cut.
_FLOOR = 0.3

# Two pictures that differ by less are of one scene.
_LEAST_CUT = 1.1
_SAME_SCENE = 0.8

# Levels by which a flash brightens the picture.
_FLASH = 12

# A frame that differs by more from the one before is no part of a dissolve.
_FAST = 0.8

# The contrast at the darkest of a fade, as a share of that where it begins; frames that it takes.
_DIM = 0.2
_DIMMING = 3

# Share of the contrast that no single step of a fade brings back.
_ABRUPT = 0.6

# Half levels of contrast: less is one colour; less than that much more begins no fade.
_ONE_COLOUR = 6
_LEAST_FADE = 8

# By how much the contrast, in half levels, and the brightness together come back after a fade.
_LEAST_LIGHT = 24

# How far from the middle of a transition its ends are looked for, in steps.
_REACH = 45

# Share of the fastest change in a transition below which nothing changes any more.
_STEADY = 0.2

# Steps that are added at both ends of what changes slowly: a few per cent of another scene are not
# measured, and seen.
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Transition:
    """How one scene becomes another."""

    kind: Kind
    """What it is."""
    first: int
    """The first frame that is no longer the old scene alone."""
    after: int
    """The first frame that is the new scene alone; for a cut the same."""
    score: float
    """How sure it is; see `Sensitivity`."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """From which scores on there is a transition."""

    cut: float = 2.4
    """How many times more than its neighbours a frame has to differ from the one before."""
    dissolve: float = 0.35
    """How much a frame has to be a mixture of those before and after it, up to 1."""


def find_transitions(scores: SceneScores, sensitivity: Sensitivity) -> list[Transition]:
    """Return the transitions of a film in order; they do not overlap."""
    differences = differences_of(scores)
    flashes = _flashes(scores, differences)
    cuts = _cuts(scores, differences, flashes, sensitivity.cut)
    fades = _fades(scores, differences, flashes, [cut.first for cut in cuts])
    dissolves = _dissolves(scores, differences, flashes, cuts, fades, sensitivity.dissolve)
    return _without_overlaps([*fades, *dissolves, *cuts])


def differences_of(scores: SceneScores) -> Floats:
    """Return float64 ``[frames]``: how different each frame is from the one before."""
    unlike, residue, palette = (
        array.astype(np.float64) for array in (scores.unlike, scores.residue, scores.palette)
    )
    found = difference(unlike, residue, palette)
    # What is damaged says nothing of scenes.
    sound = scores.state != DAMAGED
    found[1:][~(sound[1:] & sound[:-1])] = 0.0
    return found


def cut_scores(differences: Floats) -> Floats:
    """Return float64 ``[frames]``: each difference relative to what is usual around it."""
    count, reach = len(differences), min(_NEIGHBOURS, max(1, len(differences) - 1))
    if count < 2:
        return np.zeros(count)
    padded = np.pad(differences, reach, mode="reflect")
    around = [padded[n : n + count] for n in range(2 * reach + 1) if n != reach]
    usual: Floats = np.median(np.stack(around), axis=0)
    found: Floats = differences / (_FLOOR + usual)
    return found


def dissolve_scores(
    scores: SceneScores, breaks: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.intp]]:
    """Return how much each frame is a mixture, up to about 1, and the column of its best span.

    Args:
        scores: of the film.
        breaks: bool ``[frames]``: where something else happens; nothing is compared across it.
    """
    count = len(scores.detail)
    best, columns = np.zeros(count), np.zeros(count, dtype=np.intp)
    detail = scores.detail / 4.0
    passed = np.concatenate([[0], np.cumsum(breaks)])
    for column, span in enumerate(SPANS):
        reach = span * scores.step
        if 2 * reach >= count:
            break
        found = np.zeros(count)
        within = passed[2 * reach + 1 :] - passed[1 : -2 * reach]
        found[reach:-reach] = np.where(within, 0.0, _mixture(scores, detail, column, reach))
        better = found > best
        best[better], columns[better] = found[better], column
    return best, columns


def _mixture(scores: SceneScores, detail: Floats, column: int, span: int) -> Floats:
    """How much the frames that have so many before and after them are mixtures of these."""
    inner = slice(span, -span)
    before, after = detail[: -2 * span], detail[2 * span :]
    apart, wash = scores.span[inner, column] / 4.0, scores.wash_span[inner, column] / 2.0
    off, wash_off = (array[inner, column] / 255.0 for array in (scores.blend, scores.wash_blend))
    # 1 for pictures without anything in common.
    unlike = np.minimum(1, apart**2 / (before**2 + after**2 + 5))
    # Half of two such pictures has 0.71 times the detail of each.
    dip = (1 - np.sqrt((detail[inner] ** 2 + 1) / ((before**2 + after**2) / 2 + 1))) / 0.29
    # A frame that is as far from the mean as these two is one of them, and half as far anything.
    linear = np.clip(1 - 2 * off, -1, 1)
    linear_wash = np.clip(1 - 2 * wash_off, -1, 1) * wash / (wash + 6)
    # Motion hardly moves large areas: what does not mix them has to mix the detail all the more.
    mixes = np.clip((0.45 - wash_off) / 0.05, 0, 1) * np.clip((wash - 14) / 10, 0, 1)
    mixes = np.maximum(mixes, np.clip((0.3 - off) / 0.1, 0, 1))
    evidence = mixes * (linear + linear_wash + np.clip(dip, 0, 1.3)) / 3
    found: Floats = np.where(unlike > 0.5, unlike * evidence, 0.0)
    return found


def _flashes(scores: SceneScores, differences: Floats) -> NDArray[np.bool_]:
    """Bool ``[frames]``: lit by a flash, or the first frame after it; the scene goes on."""
    lit = np.zeros(len(differences), dtype=bool)
    starts = np.flatnonzero((scores.apart < 100 * _SAME_SCENE) & (differences > 0.5))
    brightness = scores.brightness.astype(np.int64)
    for start in starts.tolist():
        end = start + int(scores.lasts[start])
        beside = max(brightness[max(0, start - 1)], brightness[min(end, len(lit) - 1)])
        if end > start and brightness[start:end].max() >= beside + _FLASH:
            lit[start : end + 1] = True
    return lit


def _cuts(
    scores: SceneScores, differences: Floats, flashes: NDArray[np.bool_], threshold: float
) -> list[Transition]:
    found = cut_scores(np.where(flashes, np.minimum(differences, _FLOOR), differences))
    certain = (found >= threshold) & (differences >= _LEAST_CUT) & ~flashes
    certain[:1] = False
    del scores
    return [Transition("cut", at, at, float(found[at])) for at in np.flatnonzero(certain).tolist()]


# Fades


def _fades(
    scores: SceneScores, differences: Floats, flashes: NDArray[np.bool_], cuts: Sequence[int]
) -> list[Transition]:
    """Where the contrast sinks to next to nothing, or rises from it, step by step."""
    contrast, brightness = (
        array.astype(np.int64) for array in (scores.contrast, scores.brightness)
    )
    barriers = set(cuts)
    found: list[Transition] = []
    reached = 0
    for low, high in _valleys(contrast, flashes, _REACH * scores.step):
        if high <= reached:
            continue
        reach = _REACH * scores.step
        left = _climb(contrast, brightness, low, -reach, barriers, flashes)
        right = _climb(contrast, brightness, high - 1, reach, barriers, flashes)
        both = left is not None and right is not None
        if (left is None and right is None) or not (both or contrast[low] <= _ONE_COLOUR):
            continue
        first = low if left is None else left
        after = high if right is None else right + 1
        first, after = _widened(scores, max(first, reached), after, left, right)
        found.append(Transition("fade", first, after, 1.0))
        reached = after
    return found


def _valleys(
    contrast: NDArray[np.int64], flashes: NDArray[np.bool_], reach: int
) -> Iterator[tuple[int, int]]:
    """Runs of frames with the least contrast far and wide, and next to none."""
    count = len(contrast)
    reach = min(reach, count)
    padded = np.pad(contrast, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach + 1)
    before, after = windows[:count].max(axis=1), windows[reach : reach + count].max(axis=1)
    peak = np.maximum(before, after)
    dim = ((contrast <= _DIM * peak) | (contrast <= _ONE_COLOUR)) & ~flashes
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dim.astype(np.int8), [0]])))
    for start, end in edges.reshape(-1, 2).tolist():
        part = contrast[start:end]
        least = np.flatnonzero(part <= part.min() + 2)
        yield start + int(least[0]), start + int(least[-1]) + 1


def _climb(
    contrast: NDArray[np.int64],
    brightness: NDArray[np.int64],
    start: int,
    reach: int,
    cuts: set[int],
    flashes: NDArray[np.bool_],
) -> int | None:
    """How far the picture comes back from frame to frame, going one way; None if it does not.

    Args:
        contrast: of each frame.
        brightness: of each frame.
        start: where it is darkest.
        reach: how many frames to go at most; below zero to go back.
        cuts: frames that are cuts.
        flashes: frames that are lit by a flash.
    """
    step = 1 if reach > 0 else -1
    at, top, stalled, height = start, start, 0, contrast[start]
    while 0 <= at + step < len(contrast) and abs(at + step - start) <= abs(reach):
        if (at if step < 0 else at + 1) in cuts:
            break
        at += step
        if flashes[at]:
            continue
        # What comes from black gets brighter, what comes from white darker.
        now = contrast[at] + 2 * abs(brightness[at] - brightness[start])
        if now > height:
            top, height, stalled = at, now, 0
        else:
            stalled += 1
            if stalled > 1:
                break
    rise = contrast[top] - contrast[start]
    light = height - contrast[start]
    if abs(top - start) < _DIMMING or rise < _LEAST_FADE or light < _LEAST_LIGHT:
        return None
    if contrast[start] > _dim(contrast[top]):
        return None
    part = slice(min(start, top), max(start, top) + 1)
    inner = np.abs(np.diff(contrast[part][~flashes[part]]))
    return None if inner.max() > _ABRUPT * rise else top


def _dim(peak: int) -> float:
    """The contrast up to which a picture is dim beside one of another contrast."""
    return max(_ONE_COLOUR, _DIM * peak)


def _widened(
    scores: SceneScores, first: int, after: int, left: int | None, right: int | None
) -> tuple[int, int]:
    """The same with all frames at its ends that change as it does."""
    if left is not None:
        first = max(0, _steady(scores, first, -1) + 1 - _MARGIN * scores.step)
    if right is not None:
        after = min(len(scores.state), _steady(scores, after - 1, 1) + _MARGIN * scores.step)
    return first, after


def _steady(scores: SceneScores, start: int, step: int) -> int:
    """The first frame, going one way, that changes no more as those inside do."""
    speed = _speed(scores)
    near = 6 * scores.step
    fastest = speed[max(0, start - near) : start + near + 1].max()
    at = start
    while 0 <= at < len(speed) and abs(at - start) <= _REACH * scores.step // 2:
        if speed[at] <= _STEADY * fastest:
            return at
        at += step
    return min(
        max(start + 2 * step * scores.step, 0), len(speed) - 1
    )  # it moves as much as it changes


def _speed(scores: SceneScores) -> NDArray[np.uint8]:
    """How fast the colours of large areas change: over two steps before and after each."""
    return scores.wash_span[:, 0]


# Dissolves


def _dissolves(
    scores: SceneScores,
    differences: Floats,
    flashes: NDArray[np.bool_],
    cuts: Sequence[Transition],
    fades: Sequence[Transition],
    threshold: float,
) -> list[Transition]:
    """Frames that are mixtures more than all others near them, with what belongs to them."""
    breaks = flashes | (scores.state != INTACT)
    breaks[[cut.first for cut in cuts]] = True
    for fade in fades:
        breaks[fade.first : fade.after] = True
    likely, columns = dissolve_scores(scores, breaks)
    likely[differences > _FAST] = 0.0
    found = []
    limits = sorted([0, len(likely), *(cut.first for cut in cuts)])
    for low, high in pairwise(limits):
        for middle in _peaks(likely, low, high, threshold, SPANS[-1] * scores.step):
            span = SPANS[int(columns[middle])] * scores.step
            first, after = _extent(scores, middle, span, low, high)
            found.append(Transition("dissolve", first, after, float(likely[middle])))
    return found


def _peaks(likely: Floats, low: int, high: int, threshold: float, apart: int) -> Iterator[int]:
    """The frames that score the most, each far from a better one."""
    likely = likely[low:high]
    free = np.ones(len(likely), dtype=bool)
    candidates = np.flatnonzero(likely >= threshold)
    for at in candidates[np.argsort(-likely[candidates], kind="stable")].tolist():
        if free[at]:
            yield low + at
            free[max(0, at - apart) : at + apart + 1] = False


def _extent(scores: SceneScores, middle: int, span: int, low: int, high: int) -> tuple[int, int]:
    """The first frame of a dissolve, and the first after it."""
    speed = _speed(scores)
    fastest = float(np.median(speed[max(0, middle - 2) : middle + 3]))
    reach = max(2 * span, 16 * scores.step)
    first = after = middle
    while first > max(low, middle - reach) and speed[first] > _STEADY * fastest:
        first -= 1
    while after < min(high, middle + reach) and speed[after] > _STEADY * fastest:
        after += 1
    # The speed of a frame is that of two steps before and after it.
    beside = (_MARGIN - 2) * scores.step
    first, after = first - beside, after + beside
    return max(low, min(first, middle)), min(high, max(after, middle + 1))


def _without_overlaps(found: Sequence[Transition]) -> list[Transition]:
    """In order; of those that overlap the first given stays, and takes the others' frames."""
    kept: list[Transition] = []
    ranks = {id(one): rank for rank, one in enumerate(found)}
    for one in sorted(found, key=lambda t: (t.first, t.after)):
        if kept and one.first < kept[-1].after:
            last = kept.pop()
            winner = min(last, one, key=lambda t: ranks[id(t)])
            merged = Transition(winner.kind, last.first, max(last.after, one.after), winner.score)
            ranks[id(merged)] = ranks[id(winner)]
            kept.append(merged)
        else:
            kept.append(one)
    return kept
