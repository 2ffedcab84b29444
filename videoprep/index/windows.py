"""Which parts of a video become clips. Pure arithmetic on frames at the planned rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

from videoprep.errors import PlanError
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import ClipMode

SINGLE = ("head", "middle", "all-frames-stride")
"""The modes that give one clip a sample."""


class Window(NamedTuple):
    """A clip's place in the video.

    Attributes:
        offset: the first frame, counted at the planned rate from where the sample begins.
        frames: how many are taken.
        stride: frames of the planned rate from one to the next: 1, but for ``all-frames-stride``.
    """

    offset: int
    frames: int
    stride: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """Which parts of a video become clips.

    Attributes:
        mode: ``head``: the beginning; ``middle``; ``uniform``: spread evenly, the first at the
            beginning and the last at the end; ``chunk``: one after the other; ``slide``:
            overlapping; ``all-frames-stride``: one clip that spans everything, in time lapse.
        limit: clips a sample at most; None: as many as there are.
        gap: seconds from one clip's end to the next one's start; for ``slide`` from start to start.
    """

    mode: ClipMode = "head"
    limit: int | None = None
    gap: float | None = None

    @classmethod
    def of(cls, spec: DatasetSpec) -> WindowPolicy:
        """What a spec asks for.

        Raises:
            PlanError: the mode does not go with a number of clips or a gap.
        """
        mode, limit, gap = spec.clip_mode, spec.clips_per_video, spec.min_gap
        if mode in SINGLE and ((limit or 1) > 1 or gap is not None):
            raise PlanError(
                f"`clip_mode={mode!r}` gives one clip a sample: no more clips and no gap",
                remedy="leave out `clips_per_video` and `min_gap`, or choose `clip_mode='chunk'`, "
                "uniform or slide",
            )
        if mode == "uniform" and limit is None:
            raise PlanError(
                "`clip_mode='uniform'` has to know how many clips to spread",
                remedy="add `clips_per_video`, or choose `clip_mode='chunk'` for all of the video",
            )
        return cls(mode, limit, gap)

    def to_json(self) -> dict[str, Any]:
        """What a saved index says."""
        return {"clip_mode": self.mode, "clips_per_video": self.limit, "min_gap": self.gap}

    def cut(self, available: int, counts: Sequence[int], rate: Fraction) -> list[Window]:
        """The windows of one sample, in the order of time.

        Args:
            available: frames that there are at the planned rate.
            counts: frame counts that are wanted, ascending; the longest that fits is taken.
            rate: frames a second.

        Returns:
            Nothing where even the shortest count does not fit.
        """
        fitting = [count for count in counts if count <= available]
        if not fitting:
            return []
        gap = None if self.gap is None else ceil(Fraction(str(self.gap)) * rate)
        return _MODES[self.mode](available, fitting, gap, self.limit)


_Mode = Callable[[int, Sequence[int], "int | None", "int | None"], list[Window]]


def _head(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    return [Window(0, counts[-1])]


def _middle(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    return [Window((available - counts[-1]) // 2, counts[-1])]


def _stride(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    return [Window(0, counts[-1], Fraction(available, counts[-1]))]


def _uniform(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    """As many as are wanted and fit without overlapping; a single one in the middle."""
    frames = counts[-1]
    free = available - frames
    number = min(limit or 1, 1 + free // (frames + (gap or 0)))
    if number == 1:
        return _middle(available, counts, gap, limit)
    return [Window(n * free // (number - 1), frames) for n in range(number)]


def _chunk(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    """The longest that fits, then again in what is left, down to the shortest."""
    found = []
    offset = 0
    while fitting := [count for count in counts if offset + count <= available]:
        found.append(Window(offset, fitting[-1]))
        offset += fitting[-1] + (gap or 0)
        if len(found) == limit:
            break
    return found


def _slide(
    available: int, counts: Sequence[int], gap: int | None, limit: int | None
) -> list[Window]:
    """Every clip begins so much after the one before; half a clip where nothing is said."""
    frames = counts[-1]
    step = max(1, frames // 2) if gap is None else max(1, gap)
    starts = range(0, available - frames + 1, step)[:limit]
    return [Window(start, frames) for start in starts]


_MODES: Mapping[ClipMode, _Mode] = {
    "head": _head,
    "middle": _middle,
    "uniform": _uniform,
    "chunk": _chunk,
    "slide": _slide,
    "all-frames-stride": _stride,
}
