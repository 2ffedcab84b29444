"""On a CPU the bytes are the same however the work is shared, and on whatever it depends not."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable

import pytest

from tests.support.small_store import Small, orphans, receipts, result_of


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_any_number_of_ranks(small: Small, ranks: int) -> None:
    assert small.finish(ranks=ranks)["complete"] == 3


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[::2])
def test_three_jobs_one_after_the_other(small: Small, order: tuple[int, ...]) -> None:
    pending = []
    for number in order:
        job = small.run("--num-jobs", 3, "--job-id", number)
        assert job.returncode == 0, job.stderr
        assert orphans(small.store) == []
        pending.append(result_of(job)["pending"])
    assert pending[-1] == 0
    assert pending == sorted(pending, reverse=True)
    small.require_whole()


def test_three_jobs_at_once(small: Small) -> None:
    """Whichever ends last writes a catalogue of all."""
    jobs = [small.start("--num-jobs", 3, "--job-id", number) for number in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0], [job.stderr for job in jobs]
    small.require_whole()
    assert min(result_of(job)["pending"] for job in jobs) == 0


def test_one_of_three_jobs_is_killed(small: Small) -> None:
    jobs = [
        small.start("--num-jobs", 3, "--job-id", number, VIDEOPREP_FAILPOINTS=rule)
        for number, rule in enumerate(["", "unit.committed=kill*2", ""])
    ]
    assert [job.wait() for job in jobs] == [0, -9, 0]
    assert len(receipts(small.store)) < 9
    small.run("--num-jobs", 3, "--job-id", 1)
    small.require_whole()


def test_shares_of_ranks(small: Small) -> None:
    for number in range(2):
        assert small.run("--num-jobs", 2, "--job-id", number, ranks=2).returncode == 0
    small.require_whole()


@pytest.mark.parametrize(("workers", "threads"), [(1, "2"), (3, "1"), (3, "2")])
def test_workers_and_threads(small: Small, workers: int, threads: str) -> None:
    small.finish("--decode-workers", workers, OMP_NUM_THREADS=threads)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "4711", "OMP_NUM_THREADS": "2"},
    ],
)
def test_hash_seeds_and_threads(
    small: Small,
    cold_cli: Callable[..., subprocess.CompletedProcess[str]],
    environment: dict[str, str],
) -> None:
    """Python reads these when it starts: these processes are not forked."""
    command = ["encode", small.dataset, "-o", small.store, "--model", small.model, "--device"]
    done = cold_cli(*command, "cpu", "--image-latents", "--decode-workers", 2, **environment)
    assert done.returncode == 0, done.stderr
    small.require_whole()
