"""How far an encode run is, over all ranks: what a panel, a log line or a notebook shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ComponentProgress:
    """How far one component is. Artifacts that were there before the run are not counted.

    Attributes:
        done: artifacts that are settled by this run: encoded or set aside.
        total: artifacts that this run has to make.
        set_aside: those of ``done`` that could not be made.
        cost_done: pixels (of captions: how many) that are done.
        cost_total: those that this run has to do.
        seconds_left: at the pace so far, by cost; None where there is no pace yet.
    """

    done: int
    total: int
    set_aside: int
    cost_done: int
    cost_total: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. Shares are means over the ranks that are at work, from 0 to 1.

    Attributes:
        phase: what is being done: ``text``, ``video``, ``finishing`` or ``done``.
        components: how far each is, in the order in which they are worked on.
        seconds: since encoding began.
        clips_per_second: clips, first frames or captions that became settled, lately.
        frames_per_second: frames of clips that were encoded, lately.
        seconds_left: for all that is left; None where there is no pace yet.
        busy: share of the time in which the accelerator (or the CPU in its place) encodes.
        waiting_for_decode: share of the time in which it waits for pixels.
        waiting_for_write: share of the time in which it waits for the disk.
        ranks: how many ranks the run has.
        lost: the ranks that have not been heard of for too long.
    """

    phase: str
    components: Mapping[str, ComponentProgress]
    seconds: float
    clips_per_second: float
    frames_per_second: float
    seconds_left: float | None
    busy: float
    waiting_for_decode: float
    waiting_for_write: float
    ranks: int
    lost: tuple[int, ...]


OnProgress = Callable[[Progress], None]
