"""`encode --executor ray` on a real cluster whose processes are killed: the same bytes."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_store import SOAK, Small, counts, fresh, hidden, receipts, wait_until

pytestmark = pytest.mark.heavy

_COLD_START = 240.0
"""Seconds in which a process of the cluster has imported what it needs, on a busy machine."""


def test_the_same_bytes(cluster: Any, small: Small) -> None:
    result = small.finish("--executor", "ray", "--address", cluster.address)
    assert {counted[0] for counted in counts(result).values()} == {3}
    assert result["timings"]["video"] > 0
    assert small.finish("--executor", "ray", "--address", cluster.address)["encoded"] == 0
    verified = small.warm.start("verify", small.store, "--output-format", "json")
    assert verified.wait() == 0, verified.stdout


def test_what_the_cluster_has_begun_is_finished_elsewhere(cluster: Any, small: Small) -> None:
    started = small.start("--executor", "ray", "--address", cluster.address)
    wait_until(lambda: receipts(small.store), _COLD_START)
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 143, started.stderr
    assert hidden(small.store) == []
    small.require_sound()
    small.finish(ranks=2)


@pytest.mark.soak
@pytest.mark.slow
def test_workers_are_killed_at_random_moments(cluster: Any, small: Small) -> None:
    for seed in range(SOAK):
        moments = random.Random(f"encode on ray {seed}")
        fresh(small.store)
        started = small.start("--executor", "ray", "--address", cluster.address)
        killed: set[int] = set()
        for _ in range(2):
            _kill_some(small.store, started.pid, killed, moments)
        assert started.wait() == 0, (seed, started.stderr)
        assert killed
        small.require_whole()


def _kill_some(store: Path, driver: int, killed: set[int], moments: random.Random) -> None:
    wait_until(lambda: _workers(store, driver) - killed, _COLD_START)
    wait_until(lambda: any(store.glob(".claims/*.json")), _COLD_START)
    threading.Event().wait(moments.uniform(0, 1))
    for pid in _workers(store, driver) - killed:
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)


def _workers(store: Path, driver: int) -> set[int]:
    """The processes at work, apart from the one that waits."""
    marks = store.glob(".sessions/*.lock")
    return {int(mark.stem.split("-")[-2]) for mark in marks} - {driver}


def test_a_cluster_that_is_not_there(ray_environment: None, small: Small) -> None:
    failed = small.run("--executor", "ray", "--address", "127.0.0.1:1")
    assert failed.returncode == 2
    assert "the Ray cluster at 127.0.0.1:1 cannot be reached" in failed.stderr
    assert "--address" in failed.stderr
    assert not small.store.exists()


def test_torchrun_and_ray_are_not_combined(ray_environment: None, small: Small) -> None:
    failed = small.run("--executor", "ray", WORLD_SIZE="2")
    assert failed.returncode == 2
    assert "without torchrun" in failed.stderr


def test_an_address_alone_means_nothing(small: Small) -> None:
    failed = small.run("--address", "auto")
    assert failed.returncode == 2
    assert "--executor ray" in failed.stderr
