"""A run on a dataset with every kind of sample is killed at random moments: the same store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.mixed_dataset import OPTIONS, write_mixed_dataset
from tests.support.small_store import (
    SOAK,
    Small,
    differences,
    fresh,
    hidden,
    passed,
    wait_for_place,
)
from tests.support.warm import Warm

COMMAND = (
    *("--reshape", OPTIONS["reshape"], "--target-fps", OPTIONS["target_fps"], "--multi-bucket"),
    *("--frame-buckets", "9,17", "--height-buckets", "64", "--width-buckets", "64,96"),
    *("--mask-meaning", "loss"),
)


@pytest.fixture
def mixed(warm: Warm, tiny_model: Path, tmp_path: Path) -> Iterator[Small]:
    """The undisturbed run skips one sample, whose depth map is not there."""
    dataset = write_mixed_dataset(tmp_path / "data")
    small = Small(warm, dataset, tiny_model, tmp_path / "store", tmp_path / "whole")
    done = replace(small, store=small.whole).run(*COMMAND)
    assert done.returncode == 1, done.stderr
    assert hidden(small.whole) == []
    yield small
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
