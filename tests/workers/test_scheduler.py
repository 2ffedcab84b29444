"""Handing jobs to workers: in order, with room, and with the right job to blame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.support.processes import children, nothing_left
from videoprep.workers import Lost, WorkerJob, Workers
from videoprep.workers.pool import BEGIN

_ECHO = (
    BEGIN
    + """
import os, signal
from videoprep.workers.child import Service

def answer(line):
    if json.loads(line) == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    return json.dumps([json.loads(line), os.getpid()])

Service().run(answer)
"""
)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield


@dataclass(slots=True, eq=False)
class _Echo(WorkerJob):
    """Says something back, with the process that said it."""

    say: str
    result: tuple[str, int] | Lost | None = None
    abandoned: bool = False

    def line(self) -> str:
        return json.dumps(self.say)

    def take(self, line: bytes) -> None:
        said, process = json.loads(line)
        self.result = said, process

    def lose(self, lost: Lost) -> None:
        self.result = lost

    def abandon(self) -> None:
        self.abandoned = True


@pytest.fixture
def workers() -> Iterator[Workers[_Echo]]:
    made: Workers[_Echo] = Workers(_ECHO, [], size=2, ahead=4)
    yield made
    made.close()


def _jobs(words: Sequence[str]) -> list[_Echo]:
    return [_Echo(30.0, word) for word in words]


def _said(jobs: Sequence[_Echo]) -> list[str]:
    return [job.result[0] if isinstance(job.result, tuple) else "lost" for job in jobs]


def test_jobs_come_back_in_order_and_are_taken_as_they_are_needed(
    workers: Workers[_Echo],
) -> None:
    words = [str(number) for number in range(40)]
    taken: list[_Echo] = []

    def jobs() -> Iterator[_Echo]:
        for job in _jobs(words):
            taken.append(job)
            yield job

    done = []
    for job in workers.run(jobs()):
        done.append(job)
        assert len(taken) <= len(done) + 3, "four ahead, the one that is given among them"
    assert _said(done) == words
    assert workers.waited > 0
    assert _said(list(workers.run(_jobs(["more"])))) == ["more"]


def test_a_job_that_crashes_its_worker_is_tried_once_more_alone(workers: Workers[_Echo]) -> None:
    jobs = _jobs(["a", "b", "crash", "c", "d", "e", "f"])
    assert _said(list(workers.run(jobs))) == ["a", "b", "lost", "c", "d", "e", "f"]
    assert jobs[2].result == Lost("crash", "killed by SIGSEGV")
    assert [job.tries for job in jobs] == [0, 0, 2, 0, 0, 0, 0]


def test_jobs_that_nobody_asks_for_give_back_what_they_hold(workers: Workers[_Echo]) -> None:
    jobs = _jobs(["a", "b", "c", "d", "e", "f", "g", "h"])
    run = workers.run(jobs)
    assert next(run) is jobs[0]
    run.close()
    assert [job.abandoned for job in jobs] == [False, *[True] * 3, *[False] * 4]
    assert not [worker for worker in workers.running if worker.jobs]
    assert _said(list(workers.run(_jobs(["again"])))) == ["again"]


def test_a_job_without_room_waits(workers: Workers[_Echo]) -> None:
    class _Large(_Echo):
        """Has room only if it is asked for next."""

        def admit(self, *, first: bool) -> bool:
            return first

    jobs = [_Large(30.0, word) for word in "abcdef"]
    assert _said(list(workers.run(jobs))) == list("abcdef")
    processes = {job.result[1] for job in jobs if isinstance(job.result, tuple)}
    assert len(processes) == 1, "one after the other"
    assert processes <= set(children())
