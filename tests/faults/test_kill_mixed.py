"""A run on a dataset with every kind of sample is killed at random moments: the same store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mixed_dataset import COMMAND, encode_mixed
from tests.support.small_store import (
    SOAK,
    Small,
    differences,
    fresh,
    hidden,
    passed,
    wait_for_place,
)
from tests.support.warm import Process, Warm

JOBS = 2


@pytest.fixture
def mixed(warm: Warm, tiny_model: Path, tmp_path: Path) -> Iterator[Small]:
    yield encode_mixed(warm, tiny_model, tmp_path)
    warm.end_all()


@pytest.mark.soak
@pytest.mark.parametrize("ranks", [0, 2])
def test_killed_at_random_moments(mixed: Small, tmp_path: Path, ranks: int) -> None:
    log = tmp_path / "log"
    done = mixed.run(*COMMAND, ranks=ranks, VIDEOPREP_FAILPOINTS_LOG=str(log))
    assert done.returncode == 1, done.stderr
    usual = passed(log)
    assert usual > 100
    for seed in range(SOAK):
        moments = random.Random(f"mixed {ranks} {seed}")
        fresh(mixed.store)
        for _ in range(moments.randint(1, 3)):
            log.unlink(missing_ok=True)
            process = mixed.start(*COMMAND, ranks=ranks, VIDEOPREP_FAILPOINTS_LOG=str(log))
            wait_for_place(process, log, moments.randint(0, usual))
            process.kill_tree()
        done = mixed.run(*COMMAND, ranks=ranks)
        assert done.returncode == 1, (seed, done.stderr)
        assert (differences(mixed.store, mixed.whole), hidden(mixed.store)) == ([], []), seed


@pytest.mark.soak
def test_jobs_of_an_array_are_killed_at_random_moments(mixed: Small, tmp_path: Path) -> None:
    """One of them or all, up to three times in a row; then each is submitted again."""
    log = tmp_path / "log"
    assert [job.wait() for job in _start_jobs(mixed, log)] == [1] * JOBS
    usual = passed(log)
    assert usual > 100
    for seed in range(SOAK):
        moments = random.Random(f"jobs of mixed {seed}")
        fresh(mixed.store)
        for _ in range(moments.randint(1, 3)):
            log.unlink(missing_ok=True)
            jobs = _start_jobs(mixed, log)
            victims = moments.sample(jobs, moments.randint(1, JOBS))
            wait_for_place(victims[0], log, moments.randint(0, usual))
            for victim in victims:
                victim.kill_tree()
            for job in jobs:
                job.wait()
        again = _start_jobs(mixed, log)
        assert [job.wait() for job in again] == [1] * JOBS, (seed, [job.stderr for job in again])
        assert (differences(mixed.store, mixed.whole), hidden(mixed.store)) == ([], []), seed


def _start_jobs(mixed: Small, log: Path) -> list[Process]:
    """All jobs of an array, each of which does its share of the units."""
    share = [("--num-jobs", JOBS, "--job-id", number) for number in range(JOBS)]
    return [mixed.start(*COMMAND, *one, VIDEOPREP_FAILPOINTS_LOG=str(log)) for one in share]
