"""A thread in every rank that says it lives, and notices what has become of the others."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from videoprep.engine.coordination import Coordinator, OtherRankError, raise_if_failed
from videoprep.engine.progress import SILENT_SECONDS, OnProgress, RunOverview, RunStats
from videoprep.engine.sessions import BEAT_SECONDS, Session

_SECONDS = 1.0


class Heartbeat:
    """Tells once a second what this rank has done. Use it in a ``with`` block.

    On rank 0 it adds up what all tell, and gives it to ``on_progress``; the other ranks watch over
    rank 0.

    Args:
        coordinator: the ranks' board.
        session: this process's presence at the store.
        tally: what this rank has done.
        overview: on rank 0, what adds up; elsewhere None.
        on_progress: called on rank 0, in this thread.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        session: Session,
        tally: RunStats,
        overview: RunOverview | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._coordinator = coordinator
        self._session = session
        self._tally = tally
        self._overview = overview
        self._on_progress = on_progress
        self._beat = 0
        self._finished = False
        self._problem: BaseException | None = None
        self._seen: tuple[Any, float] = None, time.monotonic()
        self._session_beat = time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Heartbeat:
        if self._overview is None:
            self.tell()  # by what name its claims go, before there are any
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def check(self) -> None:
        """Raises what the thread has noticed.

        Raises:
            OtherRankError: another rank failed, or rank 0 is gone.
            CoordinatorLostError: the key-value store does not answer.
        """
        if self._problem is not None:
            raise self._problem

    def fail(self, error: BaseException) -> None:
        """Let `check` raise an error of another thread of this process."""
        self._problem = error

    def finish(self) -> None:
        """Says that this rank has no more work to do."""
        self._finished = True
        self.tell()

    def tell(self) -> None:
        """Says now what there is to say."""
        with self._lock:
            self._beat += 1
            state = {**self._tally.snapshot(), "beat": self._beat, "finished": self._finished}
            rank = self._coordinator.rank
            self._coordinator.publish(f"state/{rank}", json.dumps(state))
        self.hear()
        if self._overview is not None and self._on_progress is not None:
            with self._lock:
                self._on_progress(self._overview.progress(self._tally.phase, time.monotonic()))

    def hear(self) -> None:
        """On rank 0: takes what the ranks have told since."""
        if self._overview is None:
            return
        with self._lock:
            now = time.monotonic()
            for rank in range(self._coordinator.world_size):
                text = self._coordinator.read(f"state/{rank}")
                if text is not None:
                    self._overview.hear(rank, json.loads(text), now)

    def _run(self) -> None:
        try:
            while not self._closed.wait(_SECONDS):
                self.tell()
                if time.monotonic() - self._session_beat > BEAT_SECONDS:
                    self._session.beat()
                    self._session_beat = time.monotonic()
                raise_if_failed(self._coordinator)
                if self._overview is None:
                    self._watch_first_rank()
        except BaseException as error:  # noqa: BLE001 (raised by `check` in the main thread)
            self._problem = error

    def _watch_first_rank(self) -> None:
        now = time.monotonic()
        text = self._coordinator.read("state/0")
        seen, since = self._seen
        if text != seen:
            self._seen = text, now
        elif now - since > SILENT_SECONDS:
            raise OtherRankError(
                f"rank 0 has not been heard of for {SILENT_SECONDS:.0f} s",
                remedy="what was committed is kept: run the same command again",
            )
