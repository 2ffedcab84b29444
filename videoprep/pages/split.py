"""The page on where films were cut: the last frame before each change, and the first after it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from videoprep.errors import VideoprepError
from videoprep.pages.builder import load_template, shares
from videoprep.pages.pictures import jpeg_of
from videoprep.scenes.ranges import REASONS
from videoprep.scenes.run import SplitFilm, SplitResult
from videoprep.scenes.transitions import Sensitivity, Transition
from videoprep.workers.pool import InspectionRequest, Lost, WorkerPool

logger = logging.getLogger(__name__)

MOST_CUTS = 300
"""What a browser opens at once. Of more, those that are the least sure are shown."""

# A film whose frames take longer than this, and a second for each, gives no pictures; all together
# take so long at most.
_SECONDS = 30.0
_SECONDS_OF_ALL = 600.0

_FAILED = 200

# From which scores on there is a transition, by its kind; a fade has none.
_LIMITS = {"cut": Sensitivity().cut, "dissolve": Sensitivity().dissolve, "transition": 0.5}
_SURE = 1.5


@dataclass(slots=True)
class ShownCut:
    """A change of scenes in a film."""

    video: str
    """The film, as it stands in the list."""
    path: Path
    """Where it lies."""
    order: int
    """The number of the film."""
    transition: Transition
    """What happens."""
    seconds: float
    """When the new scene begins, for a player."""
    length: float
    """How long the change takes, in seconds."""
    frames: tuple[int, ...]
    """Those that are shown: the last one before, one in the middle of what is slow, the first one
    after."""
    pictures: tuple[Markup | None, ...] = ()
    """Data URLs."""

    @property
    def certainty(self) -> float:
        """How far its score is above the usual limit, as a ratio."""
        limit = _LIMITS.get(self.transition.kind)
        return _SURE if limit is None else self.transition.score / limit


@dataclass(slots=True)
class CutList:
    """Collects the changes of scenes that a page shows; memory does not grow with their number."""

    total: int = 0
    """How many there are."""
    films: int = 0
    """Of how many films."""
    kept: list[ShownCut] = field(default_factory=list)
    """Those that are shown, or may be."""

    def add(self, film: SplitFilm) -> None:
        """Take the changes in a film."""
        self.films += 1
        self.total += len(film.transitions)
        self.kept += (_cut(film, self.films, one) for one in film.transitions)
        if len(self.kept) > 2 * MOST_CUTS:
            self.kept = self.shown()

    def shown(self) -> list[ShownCut]:
        """Return those that are shown, by film and time."""
        chosen = sorted(self.kept, key=lambda cut: cut.certainty)[:MOST_CUTS]
        return sorted(chosen, key=lambda cut: (cut.order, cut.transition.first))


def _cut(film: SplitFilm, order: int, one: Transition) -> ShownCut:
    starts, last = film.times.starts, len(film.times.starts) - 2
    before, after = max(0, one.first - 1), min(one.after, last)
    slow = one.after > one.first
    middle = ((one.first + one.after - 1) // 2,) if slow else ()
    length = float(starts[one.after] - starts[one.first])
    seconds = float(starts[one.after]) + film.times.late
    return ShownCut(film.video, film.path, order, one, seconds, length, (before, *middle, after))


def as_html(cuts: CutList, result: SplitResult) -> Iterator[str]:
    """Return the page in pieces. Opens the films again for the pictures."""
    shown = cuts.shown()
    _add_pictures(shown)
    parts = {"clean": result.sample_seconds, "unusable": result.seconds - result.sample_seconds}
    films = [(name, list(group)) for name, group in groupby(shown, key=lambda cut: cut.video)]
    kept, left_over = result.shown_seconds()
    yield from load_template("videoprep.pages", "split.html.j2").generate(
        result=result,
        cuts=cuts,
        shown=len(shown),
        films=films,
        failed=result.failed[:_FAILED],
        left_over=[(reason, REASONS[reason], seconds) for reason, seconds in left_over],
        kept=kept,
        without=sum(seconds for _, seconds in left_over),
        shares=shares((name, round(1000 * seconds)) for name, seconds in parts.items()),
        clock=_clock,
    )


def _clock(seconds: float) -> str:
    """A time as players show it, to the hundredth: ``1:02:03.25``."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{lead}:{rest // 100:02d}.{rest % 100:02d}"


def _add_pictures(cuts: Sequence[ShownCut]) -> None:
    """Ask worker processes for the frames, each film once."""
    films = [list(group) for _, group in groupby(cuts, key=lambda cut: cut.order)]
    wanted = [sorted({frame for cut in film for frame in cut.frames}) for film in films]
    requests = (
        InspectionRequest(("pictures",), film[0].path, _SECONDS + len(frames), tuple(frames))
        for film, frames in zip(films, wanted, strict=True)
    )
    until = time.monotonic() + _SECONDS_OF_ALL
    try:
        with WorkerPool() as pool:
            for film, frames, answer in zip(films, wanted, pool.run(requests), strict=True):
                found = {} if isinstance(answer, Lost) else answer.get("pictures", {})
                pictures = map(jpeg_of, found.get("value", ()))
                known = dict(zip(frames, pictures, strict=False))
                for cut in film:
                    cut.pictures = tuple(known.get(frame) for frame in cut.frames)
                if time.monotonic() > until:
                    return
    except VideoprepError as error:  # without workers there is a page, though no pictures
        logger.warning("the page has no pictures: %s", error)
