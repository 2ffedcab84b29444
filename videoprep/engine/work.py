"""Doing a task's units in one process: stage after stage, then what others have left."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Generic

from videoprep.engine.claims import Claims
from videoprep.engine.coordination import Coordinator, CoordinatorLostError, report_failure
from videoprep.engine.heartbeat import Heartbeat
from videoprep.engine.interruption import Interruption, Watchdog
from videoprep.engine.progress import Counts, OnProgress, RunOverview, RunStats
from videoprep.engine.rank import ClaimedUnit, RankContext, claimed, free, uncommitted
from videoprep.engine.sessions import Session
from videoprep.engine.task import Opened, Result, Stage, Task, TaskOptions, TaskUnit
from videoprep.errors import VideoprepError
from videoprep.failpoints import reach

_POLL_SECONDS = 0.2
_SHORTEST_PAUSE = 0.02  # ranks that have shared small work finish together
# Units that wait to be written: their results are in memory.
_WAITING = 1


def do_work(
    task: Task[Opened, Result],
    units: Sequence[TaskUnit],
    session: Session,
    coordinator: Coordinator,
    options: TaskOptions,
    on_progress: OnProgress | None = None,
) -> RunStats:
    """Do this rank's part of the units; on rank 0 also what other ranks leave behind.

    Args:
        task: whose units they are.
        units: the same for all ranks, the most expensive first.
        session: this process at the task's files.
        coordinator: the other ranks.
        options: how the task is run.
        on_progress: called about once a second on rank 0, in a thread.

    Raises:
        KeyboardInterrupt: SIGINT came; what was finished is committed.
        SystemExit: SIGTERM came; likewise.
        VideoprepError: The work cannot go on.
    """
    first = coordinator.rank == 0
    overview = overview_of(task, units, coordinator.world_size) if first else None
    with (
        at_work(task, units, session, coordinator, options, overview, on_progress) as rank,
        task.process(rank),
    ):
        for stage in rank.description.stages:
            own = [unit for unit in units if unit.stage == stage.name]
            do_stage(rank, task, stage, claimed(rank, own, stage.name, task.committed))
        rank.stats.begin("finishing")
        if overview is not None:
            _finish_for_others(rank, task, units, overview)
    return rank.stats


@contextmanager
def at_work(
    task: Task[Opened, Result],
    units: Sequence[TaskUnit],
    session: Session,
    coordinator: Coordinator,
    options: TaskOptions,
    overview: RunOverview | None,
    on_progress: OnProgress | None,
) -> Iterator[RankContext]:
    """Let this process take part in a run for the time of the block."""
    description = task.describe()
    begun = {unit.stage for unit in units}
    first = next((s for s in description.stages if s.name in begun), description.stages[0])
    counts = {group.name: Counts() for group in description.groups}
    stats = RunStats(session.id, counts, first.phase)
    claims = Claims(task.files, session)

    def say(word: str) -> None:
        report_failure(coordinator, VideoprepError(word))

    with (
        Interruption() as interruption,
        Watchdog(options.watchdog, say) as watchdog,
        Heartbeat(coordinator, session, stats, overview, on_progress) as heartbeat,
    ):
        try:
            yield RankContext(
                description=description,
                location=task.files.location,
                options=options,
                claims=claims,
                coordinator=coordinator,
                stats=stats,
                heartbeat=heartbeat,
                interruption=interruption,
                watchdog=watchdog,
            )
        finally:
            claims.release_all()
            with suppress(CoordinatorLostError):  # whoever needs it will say so
                heartbeat.finish()


def overview_of(
    task: Task[Opened, Result], units: Sequence[TaskUnit], ranks: int, *, late: bool = False
) -> RunOverview:
    """Return what adds up the ranks' reports.

    Args:
        task: whose units they are.
        units: what the run has to do.
        ranks: how many there are.
        late: whether ranks may begin long after the run.
    """
    description = task.describe()
    totals = dict.fromkeys((group.name for group in description.groups), (0, 0))
    for unit in units:
        items, cost = totals[unit.group]
        totals[unit.group] = items + unit.items, cost + unit.cost
    return RunOverview(description.phases, description.groups, totals, ranks, late=late)


def do_stage(
    rank: RankContext, task: Task[Opened, Result], stage: Stage, works: Iterator[ClaimedUnit]
) -> bool:
    """Do and commit units of a stage; return whether there were any."""
    first = next(works, None)
    if first is None:
        return False
    with task.open(stage.name, rank) as opened, Committer(task, rank) as committer:
        rank.stats.begin(stage.phase)
        with closing(task.run(opened, itertools.chain([first], works), rank)) as results:
            for work, result in results:
                committer.put(work, result)
    rank.stats.end()
    return True


def _finish_for_others(
    rank: RankContext, task: Task[Opened, Result], units: Sequence[TaskUnit], overview: RunOverview
) -> None:
    """Wait for the other ranks, and do what those that died have left."""

    def lost() -> tuple[int, ...]:
        return overview.lost(time.monotonic())

    def dead() -> set[str]:
        return overview.sessions(lost())

    pause = _SHORTEST_PAUSE
    while not overview.finished(without=lost()):
        rank.check()
        time.sleep(pause)
        pause = min(1.5 * pause, 1.0)
        rank.heartbeat.hear()
    for stage in rank.description.stages:
        own = [unit for unit in units if unit.stage == stage.name]
        _until_committed(rank, task, stage, own, dead)
    rank.stats.begin("done")


def _until_committed(
    rank: RankContext,
    task: Task[Opened, Result],
    stage: Stage,
    units: Sequence[TaskUnit],
    dead: Callable[[], set[str]],
) -> None:
    waiting = units
    while waiting := uncommitted(waiting, task.committed):
        rank.check()
        rank.claims.presume_dead(dead())
        if not do_stage(rank, task, stage, free(rank, waiting, task.committed)):
            time.sleep(_POLL_SECONDS)  # another run has them in progress


class Committer(Generic[Opened, Result]):
    """Commits units in a thread of its own. Use it in a ``with`` block.

    If the block ends by itself, all that was given is committed; if it ends with an error, what is
    complete is committed, too, unless that is what fails.
    """

    def __init__(self, task: Task[Opened, Result], rank: RankContext) -> None:
        self._task = task
        self._rank = rank
        self._queue: queue.Queue[tuple[ClaimedUnit, Result] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Committer[Opened, Result]:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._rank.stats.writing():
            self._queue.put(None)
            self._thread.join()
        if error is None:
            self.check()

    def put(self, work: ClaimedUnit, result: Result) -> None:
        """Hand over a unit that is done.

        Raises:
            Exception: A unit before could not be committed.
        """
        with self._rank.stats.writing():
            self._queue.put((work, result))
        self.check()

    def check(self) -> None:
        """Raise the first error of the thread."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            if self._error is not None:
                continue  # nobody waits in vain, and nothing is committed after an error
            try:
                self._commit(*one)
            except BaseException as error:  # noqa: BLE001 (raised by `check` in the main thread)
                self._error = error
                self._rank.heartbeat.fail(error)  # before the next unit is done for nothing

    def _commit(self, work: ClaimedUnit, result: Result) -> None:
        name = work.unit.name
        with self._rank.watchdog.watching(f"committing the unit {name}"):
            failed = self._task.commit(work, result)
            work.settle_rest(failed)
            reach("unit.committed", name)
            self._rank.claims.release(work.claim)
        self._rank.count_failures(failed)
