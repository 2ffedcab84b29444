"""The thread that commits results, while the next ones are made."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Generic

from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import Opened, Result, Task
from videoprep.failpoints import reach

# Units that wait to be written: their results are in memory.
_WAITING = 1


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
