"""The thread that brings results home, checks and commits them, while the device goes on."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

import torch

from videoprep.encoding.unit_work import UnitBatch, UnitWork, WorkerContext
from videoprep.errors import Code
from videoprep.failpoints import reach
from videoprep.store.commit import UnitResult, commit_unit, remove_rivals
from videoprep.store.receipt import Failure

# Units that wait to be written: their tensors are in memory.
_WAITING = 1


class Writer:
    """Commits units in a thread of its own. Use it in a ``with`` block.

    When the block ends by itself, all that was given is committed; when it ends with an error,
    what is complete is committed, too, unless that is what fails.
    """

    def __init__(self, rank: WorkerContext) -> None:
        self._rank = rank
        self._queue: queue.Queue[UnitWork | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._rank.tally.writing():
            self._queue.put(None)
            self._thread.join()
        if error is None:
            self.check()

    def put(self, work: UnitWork) -> None:
        """Hands over a unit of which everything is made or set aside.

        Raises:
            OSError: a unit before could not be written.
        """
        with self._rank.tally.writing():
            self._queue.put(work)
        self.check()

    def check(self) -> None:
        """Raises the first error of the thread."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is not None:
                continue  # nobody waits in vain, and nothing is committed after an error
            try:
                self._commit(work)
            except BaseException as error:  # noqa: BLE001 (raised by `check` in the main thread)
                self._error = error

    def _commit(self, work: UnitWork) -> None:
        rank, unit = self._rank, work.unit
        with rank.watchdog.watching(f"committing the unit {unit.name}"):
            tensors: dict[str, torch.Tensor] = {}
            before = len(work.failures)
            for sent in work.sent:
                tensors |= self._landed(work, sent)
            rank.tally.spoil(unit.component, len(work.failures) - before)
            tiled = [key for key in work.tiled if key in tensors]
            truncated = [key for key in work.truncated if key in tensors]
            failures = [_counted(failure, rank) for failure in work.failures]
            damaged = {key: what for key, what in work.damaged.items() if key in tensors}
            made = UnitResult(tensors, failures, truncated, tiled, damaged)
            commit_unit(rank.store.files, work.folder, unit.name, made)
            if work.claim.deaths:
                remove_rivals(rank.store.files, work.folder, unit.name)
            reach("unit.committed", unit.name)
            rank.claims.release(work.claim)
        rank.count_failures(len(failures))

    @staticmethod
    def _landed(work: UnitWork, sent: UnitBatch) -> dict[str, torch.Tensor]:
        """A micro-batch on the host, without what is not finite."""
        results = sent.landing.wait()
        kept = {}
        for at, key in sent.keys.items():
            result = results[at]
            if bool(torch.isfinite(result).all()):
                kept[key] = result
            else:
                reason = "the model gave values that are not finite"
                work.failures.append(Failure(key, Code.NOT_FINITE.value, reason))
        return kept


def _counted(failure: Failure, rank: WorkerContext) -> Failure:
    """A failure with how often the artifact has been tried, this time included."""
    tried = rank.job.attempts.get(failure.key, 0)
    return Failure(failure.key, failure.code, failure.reason, tried + 1)
