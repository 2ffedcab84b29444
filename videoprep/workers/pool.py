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
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, Literal, TypeVar

from videoprep.errors import VideoprepError

IN_HAND = 2
"""A worker has its next request while it answers one, so that it never waits for the parent."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that terminals, torchrun and batch systems send to all processes: the parent decides."""

# What a worker runs begins with this; the arguments that follow are sys.argv[2:].
BEGIN = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "

# Requests ahead of the answer that is given next: enough to keep all workers busy while one of
# them takes long, few enough to keep memory flat.
_WINDOW = 512

_START_SECONDS = 120.0
_KILL_SECONDS = 5.0

# Who waits looks so often whether it is still to wait.
_LOOK_SECONDS = 0.5

_MOST_WORDS = 2000
_READ = 1 << 16
_CODE = BEGIN + "from videoprep.media.inspector import serve; serve(int(sys.argv[2]))"

# One thread of computing, one heap (a second would count as 64 MiB of memory), and no GPU.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "CUDA_VISIBLE_DEVICES": "",
}

# Bytes of answers that may wait for the one that is given next.
_MOST_HELD = 64 << 20

# A worker that has begun to answer gets so many seconds to end.
_ANSWER_SECONDS = 10.0

_MOST_SECONDS = 1e6

AT = b'{"at": '
"""How a line begins that says how many frames a worker has decoded; the answer is still to come."""

Do = Literal[
    "fingerprint", "probe", "scan", "scenes", "transnet", "sound", "sound_scan", "thumbnail",
    "pictures",
]  # fmt: skip
Answer = dict[str, Any]
"""What was asked for, each as ``{"value": …}`` or ``{"error": …}``; see the inspector."""

OnFrames = Callable[[int, int], None]
OnAnswer = Callable[[int, Answer], None]


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
class InspectionRequest:
    """What to do with a file, one after the other, and the seconds that it may take."""

    do: tuple[Do, ...]
    path: Path
    seconds: float
    frames: tuple[int, ...] = ()
    """Numbers of the frames of which ``pictures`` are wanted, in order."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that took its worker with it.

    Attributes:
        why: ``time``: it was stopped; ``crash``: it ended by itself.
        detail: in words.
    """

    why: Literal["time", "crash"]
    detail: str


@dataclass(slots=True, eq=False)
class WorkerJob(ABC):
    """What a worker is asked for, and what becomes of it."""

    seconds: float
    """How long it may take."""
    tries: int = field(default=0, init=False)
    """How often it took its worker with it."""
    given: bool = field(default=False, init=False)
    """Whether a worker has had it."""
    done: bool = field(default=False, init=False)
    """Whether there is an answer, or will be none."""

    def admit(self, *, first: bool) -> bool:
        """Return whether there is room for what it brings; asked until it is so.

        Args:
            first: whether its answer is the one that is given next.
        """
        del first
        return True

    @abstractmethod
    def line(self) -> str:
        """Return the request: one line of JSON, short enough for a pipe to hold a few."""

    @abstractmethod
    def take(self, line: bytes) -> None:
        """Take the answer.

        Raises:
            ValueError: it is none; the worker is not to be trusted any more.
        """

    def hear(self, line: bytes) -> bool:
        """Take a line that says how far the worker is; return False if it is the answer.

        Raises:
            ValueError: it is neither.
        """
        del line
        return False

    def tell(self) -> None:  # noqa: B027 (most tell nobody)
        """Pass on what was heard or taken; what this raises ends the `run`."""

    @abstractmethod
    def lose(self, lost: Lost) -> None:
        """Take it that there will be no answer."""

    def abandon(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back what it holds: nobody will ask for its answer."""


J = TypeVar("J", bound=WorkerJob)


class Worker(Generic[J]):
    """One process and the jobs it has in hand.

    Attributes:
        jobs: the first is the one that it is at.
        ready: whether it has started.
        deadline: when it is late, by the monotonic clock, if it has jobs.
    """

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], start: float) -> None:
        self.jobs: deque[J] = deque()
        self.ready = False
        self.deadline = time.monotonic() + start
        self._process = process
        self._errors = errors
        self._buffer = bytearray()

    def fileno(self) -> int:
        """What it answers is read from here."""
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout.fileno()

    @property
    def is_alone(self) -> bool:
        """Whether it is to have no other job: the one it has took its worker with it before."""
        return any(job.tries for job in self.jobs)

    def give(self, job: J) -> None:
        """Hands a job over; a worker that is gone is noticed when it is read from."""
        if not self.jobs and self.ready:
            self.deadline = time.monotonic() + job.seconds
        self.jobs.append(job)
        try:
            assert self._process.stdin is not None  # noqa: S101
            os.write(self._process.stdin.fileno(), job.line().encode() + b"\n")
        except BrokenPipeError:
            return

    def read(self) -> bool:
        """Takes the answers that have come; False where there will be no more."""
        data = os.read(self.fileno(), _READ)
        if b"\n" not in data:
            self._begin_answer()
            self._buffer += data
            return bool(data)
        *lines, rest = (bytes(self._buffer) + data).split(b"\n")
        self._buffer = bytearray(rest)
        if rest or not all(line.startswith(AT) for line in lines):
            self._begin_answer()
        return all(self._take(line) for line in lines)

    def _begin_answer(self) -> None:
        self.deadline = max(self.deadline, time.monotonic() + _ANSWER_SECONDS)

    def _take(self, line: bytes) -> bool:
        if self.ready:
            try:
                job = self.jobs[0]
                is_answer = not job.hear(line)
                if is_answer:
                    job.take(line)
            except (ValueError, IndexError):
                return False  # whatever it has become, it is no longer a worker
            if not is_answer:
                job.tell()
                return True
            self.jobs.popleft().done = True
            job.tell()
        self.ready = True
        if self.jobs:
            self.deadline = time.monotonic() + self.jobs[0].seconds
        return True

    def kill(self) -> None:
        """Begins to end it; `stop` has to follow."""
        self._process.kill()

    def stop(self, grace: float) -> tuple[int, str]:
        """Ends the process; gives its exit status and what it wrote to standard error.

        Args:
            grace: seconds to wait for one that is ending by itself, to learn why.
        """
        try:
            status = self._process.wait(grace)
        except subprocess.TimeoutExpired:
            status = self._kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None  # noqa: S101
            stream.close()
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MOST_WORDS))
            words = errors.read(_MOST_WORDS).decode("utf-8", "replace").strip()
        return status, words

    def _kill(self) -> int:
        """A process that waits for a disk that hangs does not end; it is left to itself."""
        self._process.kill()
        try:
            return self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL


@dataclass(slots=True)
class Workers(Generic[J]):
    """Processes that do one kind of work: jobs are handed out, and come back in their order."""

    code: str
    """What they run; it starts with `BEGIN`."""
    arguments: Sequence[str]
    """It finds them in ``sys.argv[2:]``."""
    size: int
    """How many there are at most."""
    ahead: int
    """How many jobs may be done, or in progress, before they are asked for."""
    files: Sequence[int] = ()
    """Descriptors that they inherit under the same numbers."""
    start_seconds: float = _START_SECONDS
    """How long one may take to start."""
    in_hand: int = IN_HAND
    """How many jobs one has at most."""
    check: Callable[[], None] = lambda: None
    """Called now and then while a job is waited for; what it raises ends the `run`."""
    waited: float = 0.0
    """Seconds that `run` spent waiting for a worker when it was asked for a job."""
    running: list[Worker[J]] = field(default_factory=list)
    """Those that run."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, jobs: Iterable[J]) -> Generator[J, None, None]:
        """Yield each job once it is done, in the order of the jobs.

        Jobs are taken from ``jobs`` only while one is asked for, and only as many as there is room
        for. The others go on while the one that is asked for takes long. A job that crashes its
        worker is tried once more, alone.

        Raises:
            VideoprepError: a worker cannot be started.
        """
        coming = iter(jobs)
        window: deque[J] = deque()
        waiting: deque[J] = deque()
        try:
            while True:
                self._fill(coming, window, waiting)
                if not window:
                    return
                while not window[0].done:
                    self.check()
                    before = time.monotonic()
                    try:
                        self._wait(waiting)
                    finally:
                        self.waited += time.monotonic() - before
                    # Others are not kept waiting by the job that is asked for.
                    self._fill(coming, window, waiting)
                yield window.popleft()
        finally:
            self._abandon(window)

    def _fill(self, coming: Iterator[J], window: deque[J], waiting: deque[J]) -> None:
        """Takes jobs as long as there is room for them."""
        self._hand_out(window, waiting)
        while not waiting and len(window) < self.ahead:
            job = next(coming, None)
            if job is None:
                return
            window.append(job)
            waiting.append(job)
            self._hand_out(window, waiting)

    def _hand_out(self, window: deque[J], waiting: deque[J]) -> None:
        """Gives jobs to workers; ``window`` begins with the one that is asked for next."""
        while waiting:
            job = waiting[0]
            if not job.given and not job.admit(first=job is window[0]):
                return
            worker = self._worker_for(job)
            if worker is None:
                return
            job.given = True
            worker.give(waiting.popleft())

    def _worker_for(self, job: J) -> Worker[J] | None:
        """One that has room for a job; a new one rather than one that is busy.

        A job that took its worker with it gets a new one for itself.
        """
        room = [w for w in self.running if len(w.jobs) < self.in_hand and not w.is_alone]
        best = min(room, key=lambda w: len(w.jobs), default=None)
        if job.tries and len(self.running) == self.size and best is not None and not best.jobs:
            self.remove(best)
        if (job.tries or best is None or best.jobs) and len(self.running) < self.size:
            return self.start()
        return None if job.tries else best

    def _abandon(self, window: deque[J]) -> None:
        """Nobody will ask for these jobs: the workers that are at them end."""
        for worker in [w for w in self.running if any(job in window for job in w.jobs)]:
            self.remove(worker)
        for job in window:
            job.abandon()

    def start(self) -> Worker[J]:
        """Starts one more, without waiting until it is ready.

        Raises:
            VideoprepError: that is not possible.
        """
        try:
            errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
            try:
                process = self._process(errors)
            except BaseException:
                errors.close()
                raise
        except OSError as error:
            raise _no_worker(str(error)) from error
        worker: Worker[J] = Worker(process, errors, self.start_seconds)
        self.running.append(worker)
        self._selector.register(worker, selectors.EVENT_READ)
        return worker

    def _process(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        # A worker keeps what is held back here: it is deaf to these signals from its first moment.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            return subprocess.Popen(  # noqa: S603 (this very Python)
                [sys.executable, "-I", "-c", self.code, _search_path(), *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_ENVIRONMENT},
                pass_fds=self.files,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait(self, waiting: deque[J]) -> None:
        """Waits for an answer or a deadline, or a moment; some worker has to have a job.

        Of a worker that is gone, or has to go, the first job is to blame. The others go back to
        ``waiting``, and so does the first after its first crash.

        Raises:
            VideoprepError: a worker did not start.
        """
        soonest = min(worker.deadline for worker in self.running if worker.jobs)
        events = self._selector.select(min(max(0.0, soonest - time.monotonic()), _LOOK_SECONDS))
        for key, _ in events:
            worker = key.fileobj
            if isinstance(worker, Worker) and not worker.read():
                self._lose(worker, waiting, late=False)
        now = time.monotonic()
        for late in [w for w in self.running if w.jobs and w.deadline < now]:
            self._lose(late, waiting, late=True)

    def _lose(self, worker: Worker[J], waiting: deque[J], *, late: bool) -> None:
        status, words = self.remove(worker, grace=0.0 if late else _KILL_SECONDS)
        if not worker.ready:
            slow = f"it takes more than {self.start_seconds:.0f} seconds" if late else ""
            raise _no_worker(words or slow or _status(status))
        guilty, *others = worker.jobs or [None]
        waiting.extendleft(reversed([job for job in others if job is not None]))
        if guilty is None:
            return
        guilty.tries += 1
        if late:
            guilty.lose(Lost("time", f"took more than {guilty.seconds:.0f} seconds"))
            guilty.done = True
        elif guilty.tries == 1:
            waiting.appendleft(guilty)  # it may have been the victim of another
        else:
            guilty.lose(Lost("crash", _status(status, words)))
            guilty.done = True

    def remove(self, worker: Worker[J], grace: float = 0.0) -> tuple[int, str]:
        """Ends one; see `Worker.stop`."""
        self._selector.unregister(worker)
        self.running.remove(worker)
        return worker.stop(grace)

    def close(self) -> None:
        """Ends all, for good."""
        for worker in self.running:
            worker.kill()
        for worker in list(self.running):
            self.remove(worker)
        self._selector.close()


@dataclass(slots=True, eq=False)
class _Inspection(WorkerJob):
    """A request on its way, and what became of it."""

    request: InspectionRequest
    pool: WorkerPool
    number: int
    on_frames: OnFrames | None = None
    on_answer: OnAnswer | None = None
    result: Answer | Lost | None = None
    length: int = 0
    frames: int = 0

    def admit(self, *, first: bool) -> bool:
        return first or self.pool.held <= _MOST_HELD

    def line(self) -> str:
        request = self.request
        what: dict[str, Any] = {"do": request.do, "path": os.fspath(request.path.absolute())}
        if request.frames:
            what["frames"] = request.frames
        if self.on_frames is not None:
            what["tells"] = True
        return json.dumps(what)

    def hear(self, line: bytes) -> bool:
        if self.on_frames is None or not line.startswith(AT):
            return False
        told = json.loads(line)["at"]
        if not isinstance(told, int):
            raise ValueError(f"no number of frames: {told!r}")
        self.frames = told
        return True

    def take(self, line: bytes) -> None:
        self.result, self.length = json.loads(line), len(line)
        self.pool.held += self.length

    def tell(self) -> None:
        if self.result is None and self.on_frames is not None:
            self.on_frames(self.number, self.frames)
        elif isinstance(self.result, dict) and self.on_answer is not None:
            self.on_answer(self.number, self.result)

    def lose(self, lost: Lost) -> None:
        self.result = lost


@dataclass(slots=True)
class WorkerPool:
    """Worker processes, started when there is work for them. Use it in a ``with`` block.

    Attributes:
        limits: what one file may take.
        size: how many processes at most; all cores by default.
        held: bytes of answers that wait for the one that is given next.
    """

    limits: Limits = field(default_factory=Limits)
    size: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    held: int = field(default=0, init=False)
    _workers: Workers[_Inspection] = field(init=False)

    def __post_init__(self) -> None:
        self._workers = Workers(_CODE, [str(self.limits.memory_mib)], self.size, _WINDOW)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workers.close()

    def run(
        self,
        requests: Iterable[InspectionRequest],
        on_frames: OnFrames | None = None,
        on_answer: OnAnswer | None = None,
    ) -> Iterator[Answer | Lost]:
        """Gives an answer a request, in the order of the requests.

        Args:
            requests: what is asked.
            on_frames: called now and then while frames are decoded, with the number of the
                request, from 0, and how many frames of it are done.
            on_answer: called with the number of a request and its answer when it comes, which may
                be long before its turn.

        Raises:
            VideoprepError: a worker cannot be started.
        """
        self.held = 0
        asked = (
            _Inspection(request.seconds, request, self, number, on_frames, on_answer)
            for number, request in enumerate(requests)
        )
        with closing(self._workers.run(asked)) as done:
            for job in done:
                self.held -= job.length
                assert job.result is not None  # noqa: S101
                yield job.result


def _no_worker(why: str) -> VideoprepError:
    return VideoprepError(
        f"a worker process cannot be started: {why}",
        remedy="look whether memory or processes of this machine are used up",
    )


def _search_path() -> str:
    """Where Python looks for modules here; the current folder by its name."""
    return json.dumps([os.path.abspath(entry) for entry in map(str, sys.path)])


def _status(status: int, words: str = "") -> str:
    if status >= 0:
        return ": ".join([f"exit status {status}", *words.splitlines()[-1:]])
    known = -status in set(signal.Signals)
    name = signal.Signals(-status).name if known else f"signal {-status}"
    hint = ", perhaps by the kernel for lack of memory" if -status == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
