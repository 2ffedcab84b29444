"""Worker processes that open untrusted files: one that crashes, hangs or swells costs one file.

A worker is a fresh Python process, not a fork: it inherits neither the parent's threads nor its
GPU, and the caller's main module is not run again. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

from videoprep.errors import VideoprepError

# A worker has its next request while it answers one, so that it never waits for the parent.
_IN_HAND = 2

# Requests ahead of the answer that is given next: enough to keep all workers busy while one of
# them takes long, few enough to keep memory flat.
_WINDOW = 512

_START_SECONDS = 120.0
_KILL_SECONDS = 5.0
_MOST_WORDS = 2000
_READ = 1 << 16
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from videoprep.media.inspector import serve; serve(int(sys.argv[2]))"
)

# One thread of computing, and one heap: a second would count as 64 MiB of memory.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}

# Bytes of answers that may wait for the one that is given next.
_MOST_HELD = 64 << 20

# A worker that has begun to answer gets so many seconds to end.
_ANSWER_SECONDS = 10.0

_MOST_SECONDS = 1e6

Do = Literal["fingerprint", "probe", "scan", "thumbnail"]
Answer = dict[str, Any]
"""What was asked for, each as ``{"value": …}`` or ``{"error": …}``; see the inspector."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take.

    Attributes:
        seconds: time to open a small file; a large one gets more.
        memory_mib: memory, in MiB, on top of what a worker takes by itself.
    """

    seconds: float = 60.0
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.seconds < _MOST_SECONDS or self.memory_mib <= 0:
            raise VideoprepError(
                f"no limits: {self.seconds} seconds, {self.memory_mib} MiB",
                remedy=f"give positive numbers, and less than {_MOST_SECONDS:.0f} seconds",
            )


@dataclass(frozen=True, slots=True)
class Request:
    """What to do with a file, one after the other, and the seconds that it may take."""

    do: tuple[Do, ...]
    path: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that took its worker with it.

    Attributes:
        why: ``time``: it was stopped; ``crash``: it ended by itself.
        detail: in words.
    """

    why: Literal["time", "crash"]
    detail: str


@dataclass(slots=True)
class _Job:
    """A request on its way, and what became of it."""

    request: Request
    tries: int = 0
    result: Answer | Lost | None = None
    length: int = 0


class _Worker:
    """One process and the jobs it has in hand."""

    def __init__(self, memory_mib: int) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        try:
            self.process = _process(memory_mib, self.errors)
        except OSError:
            self.errors.close()
            raise
        self.jobs: deque[_Job] = deque()
        self.buffer = bytearray()
        self.ready = False
        self.deadline = time.monotonic() + _START_SECONDS

    def fileno(self) -> int:
        assert self.process.stdout is not None  # noqa: S101
        return self.process.stdout.fileno()

    def give(self, job: _Job) -> None:
        """Hands a job over; a worker that is gone is noticed when it is read from."""
        request = job.request
        text = json.dumps({"do": request.do, "path": os.fspath(request.path.absolute())})
        if not self.jobs and self.ready:
            self.deadline = time.monotonic() + request.seconds
        self.jobs.append(job)
        try:
            assert self.process.stdin is not None  # noqa: S101
            os.write(self.process.stdin.fileno(), text.encode() + b"\n")
        except BrokenPipeError:
            return

    def read(self) -> bool:
        """Takes the answers that have come; False where there will be no more."""
        data = os.read(self.fileno(), _READ)
        self.deadline = max(self.deadline, time.monotonic() + _ANSWER_SECONDS)
        if b"\n" not in data:
            self.buffer += data
            return bool(data)
        *lines, rest = (bytes(self.buffer) + data).split(b"\n")
        self.buffer = bytearray(rest)
        for line in lines:
            if self.ready:
                job = self.jobs.popleft()
                job.result, job.length = json.loads(line), len(line)
            self.ready = True
            if self.jobs:
                self.deadline = time.monotonic() + self.jobs[0].request.seconds
        return True

    def stop(self, grace: float) -> tuple[int, str]:
        """Ends the process; gives its exit status and what it wrote to standard error.

        Args:
            grace: seconds to wait for one that is ending by itself, to learn why.
        """
        try:
            status = self.process.wait(grace)
        except subprocess.TimeoutExpired:
            status = self._kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None  # noqa: S101
            stream.close()
        with self.errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MOST_WORDS))
            words = errors.read(_MOST_WORDS).decode("utf-8", "replace").strip()
        return status, words

    def _kill(self) -> int:
        """A process that waits for a disk that hangs does not end; it is left to itself."""
        self.process.kill()
        try:
            return self.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL


def _process(memory_mib: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (this very Python)
        [sys.executable, "-I", "-c", _CODE, _search_path(), str(memory_mib)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **_ENVIRONMENT},
    )


@dataclass(slots=True)
class WorkerPool:
    """Worker processes, started when there is work for them. Use it in a ``with`` block.

    Attributes:
        limits: what one file may take.
        size: how many processes at most; all cores by default.
    """

    limits: Limits = field(default_factory=Limits)
    size: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    _workers: list[_Worker] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in list(self._workers):
            self._remove(worker, grace=0.0)
        self._selector.close()

    def run(self, requests: Iterable[Request]) -> Iterator[Answer | Lost]:
        """Gives an answer a request, in the order of the requests.

        Raises:
            VideoprepError: a worker cannot be started.
        """
        coming = iter(requests)
        window: deque[_Job] = deque()
        waiting: deque[_Job] = deque()
        while True:
            while len(window) < _WINDOW and (request := next(coming, None)) is not None:
                window.append(_Job(request))
                waiting.append(window[-1])
            while window and (result := window[0].result) is not None:
                window.popleft()
                yield result
            if window:
                self._hand_out(waiting, window)
                self._wait(waiting)
            elif request is None:
                return

    def _hand_out(self, waiting: deque[_Job], window: deque[_Job]) -> None:
        """Gives jobs to workers; ``window`` begins with the one whose answer is given next."""
        held = sum(job.length for job in window)
        while waiting:
            busy = any(worker.jobs for worker in self._workers)
            if held > _MOST_HELD and busy and waiting[0] is not window[0]:
                return  # the answers that are given next are on their way
            worker = min(self._workers, key=lambda w: len(w.jobs), default=None)
            if (worker is None or worker.jobs) and len(self._workers) < self.size:
                worker = self._start()
            if worker is None or len(worker.jobs) >= _IN_HAND:
                return
            worker.give(waiting.popleft())

    def _wait(self, waiting: deque[_Job]) -> None:
        """Waits for an answer or a deadline."""
        busy = [worker for worker in self._workers if worker.jobs]
        soonest = min(worker.deadline for worker in busy)
        events = self._selector.select(max(0.0, soonest - time.monotonic()))
        for key, _ in events:
            worker = key.fileobj
            if isinstance(worker, _Worker) and not worker.read():
                self._lose(worker, waiting, None)
        now = time.monotonic()
        for worker in [w for w in self._workers if w.jobs and w.deadline < now]:
            self._lose(worker, waiting, "time")

    def _lose(self, worker: _Worker, waiting: deque[_Job], why: str | None) -> None:
        """A worker is gone, or has to go: its first job is to blame, the others start anew."""
        status, words = self._remove(worker, grace=0.0 if why else 5.0)
        if not worker.ready:
            raise _no_worker(words or _status(status))
        guilty, *others = worker.jobs or [None]
        waiting.extendleft(reversed([job for job in others if job is not None]))
        if guilty is None:
            return
        guilty.tries += 1
        if why == "time":
            guilty.result = Lost("time", f"took more than {guilty.request.seconds:.0f} seconds")
        elif guilty.tries == 1:
            waiting.appendleft(guilty)  # it may have been the victim of another
        else:
            guilty.result = Lost("crash", _status(status))

    def _start(self) -> _Worker:
        try:
            worker = _Worker(self.limits.memory_mib)
        except OSError as error:
            raise _no_worker(str(error)) from error
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ)
        return worker

    def _remove(self, worker: _Worker, grace: float) -> tuple[int, str]:
        self._selector.unregister(worker)
        self._workers.remove(worker)
        return worker.stop(grace)


def _no_worker(why: str) -> VideoprepError:
    return VideoprepError(
        f"a worker process cannot be started: {why}",
        remedy="look whether memory or processes of this machine are used up",
    )


def _search_path() -> str:
    """Where Python looks for modules here; the current folder by its name."""
    return json.dumps([os.path.abspath(entry) for entry in map(str, sys.path)])


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    known = -status in set(signal.Signals)
    name = signal.Signals(-status).name if known else f"signal {-status}"
    hint = ", perhaps by the kernel for lack of memory" if -status == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
