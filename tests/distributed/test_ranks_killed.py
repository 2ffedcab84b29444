"""Ranks that die or fall silent: the others end or go on, and the rerun gives the same bytes."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.small_store import (
    SOAK,
    Small,
    differences,
    fresh,
    hidden,
    passed,
    receipts,
    result_of,
    wait_for_place,
    wait_until,
)
from tests.support.warm import Process, ranks_of

_SILENT = {"TEST_SILENT_SECONDS": "4"}

_SLOW = "unit.claimed=pause*0"
"""A second a unit, so that another rank has its share, too."""


@pytest.mark.soak
@pytest.mark.parametrize("ranks", [2, 4])
def test_killed_at_random_moments(small: Small, tmp_path: Path, ranks: int) -> None:
    """One rank or all with torchrun, up to twice in a row; another world size ends it."""
    log = tmp_path / "log"
    usual = _places(small, log, ranks)
    for seed in range(SOAK):
        moments = random.Random(f"{ranks} ranks {seed}")
        fresh(small.store)
        for _ in range(moments.randint(1, 2)):
            log.unlink(missing_ok=True)
            chosen = moments.choice([ranks, ranks, 1])
            started = small.start(ranks=chosen, VIDEOPREP_FAILPOINTS_LOG=str(log))
            wait_for_place(started, log, moments.randint(0, usual))
            _kill(started, moments)
        last = moments.choice([0, 1, 2, 4])
        done = small.run(ranks=last)
        assert done.returncode == 0, (seed, last, done.stderr)
        assert (differences(small.store, small.whole), hidden(small.store)) == ([], []), seed


def _kill(torchrun: Process, moments: random.Random) -> None:
    """A random rank, after which torchrun ends the others; or everything."""
    alive = list(ranks_of(torchrun.pid).values())
    if not alive or moments.random() < 0.4:
        torchrun.kill_tree()
        return
    with suppress(ProcessLookupError):
        os.kill(moments.choice(alive), signal.SIGKILL)
    torchrun.wait()


def _places(small: Small, log: Path, ranks: int) -> int:
    """By how many places an undisturbed run comes."""
    assert small.run(ranks=ranks, VIDEOPREP_FAILPOINTS_LOG=str(log)).returncode == 0
    return passed(log)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_killed_with_some_ranks_and_finished_with_others(small: Small, ranks: int) -> None:
    small.run(ranks=ranks, VIDEOPREP_FAILPOINTS="unit.committed=kill*2")
    assert 2 <= len(receipts(small.store)) < 9
    small.require_sound()
    small.finish(ranks=3 - ranks // 2)


def test_rank_0_killed_when_it_has_shared_the_job(small: Small) -> None:
    killed = small.run(ranks=2, VIDEOPREP_FAILPOINTS="job.shared=kill")
    assert killed.returncode == 1
    assert "Signal 9 (SIGKILL)" in killed.stderr
    small.finish(ranks=2)


def test_a_rank_killed_under_torchrun_ends_all(small: Small, tmp_path: Path) -> None:
    once = {"VIDEOPREP_FAILPOINTS_ONCE": str(tmp_path / "once")}
    killed = small.run(ranks=2, VIDEOPREP_FAILPOINTS="clip.encoding=kill@b.mp4", **once)
    assert killed.returncode == 1
    assert "Signal 9 (SIGKILL)" in killed.stderr
    small.require_sound()
    small.finish(ranks=2)


@pytest.mark.parametrize(
    "rule",
    [
        "clip.encoding=kill@b.mp4",
        pytest.param("job.shared=kill", marks=pytest.mark.slow),
        "store.claimed=kill",
    ],
)
def test_torchrun_starts_ranks_again(small: Small, tmp_path: Path, rule: str) -> None:
    once = {"VIDEOPREP_FAILPOINTS_ONCE": str(tmp_path / "once")}
    small.finish(ranks=2, restarts=2, VIDEOPREP_FAILPOINTS=rule, **once)


@pytest.mark.soak
def test_torchrun_starts_ranks_again_whenever_one_is_killed(small: Small, tmp_path: Path) -> None:
    """By itself, and without waiting for any that does not hear that it is to end."""
    log = tmp_path / "log"
    usual = _places(small, log, 2)
    for seed in range(SOAK):
        moments = random.Random(f"restarts {seed}")
        fresh(small.store)
        log.unlink()
        process = small.start(ranks=2, restarts=2, VIDEOPREP_FAILPOINTS_LOG=str(log))
        for _ in range(2):
            wait_for_place(process, log, passed(log) + moments.randint(0, usual))
            alive = list(ranks_of(process.pid).values())
            if alive and process.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(moments.choice(alive), signal.SIGKILL)
        assert process.wait() == 0, (seed, process.stderr)
        assert (differences(small.store, small.whole), hidden(small.store)) == ([], []), seed


class _Plain:
    """Ranks that nobody watches over: started by their environment alone."""

    def __init__(self, small: Small, ranks: int, *more: object, rules: Sequence[str] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
        self.ranks = [
            small.start(
                *more,
                **places,
                RANK=str(rank),
                VIDEOPREP_FAILPOINTS=rules[rank] if rules else "",
                **_SILENT,
            )
            for rank in range(ranks)
        ]


def test_ranks_without_torchrun(small: Small) -> None:
    run = _Plain(small, 3)
    assert [rank.wait() for rank in run.ranks] == [0, 0, 0], [r.stderr for r in run.ranks]
    assert result_of(run.ranks[0])["encoded"] == 9
    assert [rank.stdout for rank in run.ranks[1:]] == ["", ""]
    small.require_whole()


def test_rank_0_does_what_a_killed_rank_leaves(small: Small) -> None:
    run = _Plain(small, 2, rules=[_SLOW, "clip.encoding=kill"])
    assert run.ranks[1].wait() == -signal.SIGKILL
    assert run.ranks[0].wait() == 0, run.ranks[0].stderr
    assert result_of(run.ranks[0])["complete"] == 3
    small.require_whole()


def test_rank_0_does_not_wait_for_a_stopped_rank(small: Small) -> None:
    run = _Plain(small, 2, rules=[_SLOW, "clip.encoding=stop"])
    assert run.ranks[0].wait() == 0, run.ranks[0].stderr
    assert differences(small.store, small.whole) == []
    os.kill(run.ranks[1].pid, signal.SIGCONT)
    assert run.ranks[1].wait() in (0, 2)
    assert differences(small.store, small.whole) == []
    small.finish()


def test_the_others_end_when_rank_0_is_killed(small: Small) -> None:
    run = _Plain(small, 3, rules=["clip.encoding=kill*2", _SLOW, _SLOW])
    assert run.ranks[0].wait() == -signal.SIGKILL
    for rank in run.ranks[1:]:
        assert rank.wait() == 2
        assert "error: " in rank.stderr
        assert "cannot be reached" in rank.stderr or "not been heard of" in rank.stderr
        assert "run the same command again" in " ".join(rank.stderr.split())
        assert "Traceback" not in rank.stderr
    small.require_sound()
    small.finish()


def test_the_others_end_when_rank_0_is_stopped(small: Small) -> None:
    """Under torchrun, whose agent keeps what they talk over."""
    slow = {"VIDEOPREP_FAILPOINTS": _SLOW, "TEST_SILENT_SECONDS": "2"}
    torchrun = small.start(ranks=2, **slow)
    wait_until(lambda: len(receipts(small.store)) > 0)
    os.kill(ranks_of(torchrun.pid)[0], signal.SIGSTOP)
    wait_until(lambda: "rank 0 has not been heard of for 2 s" in torchrun.stderr)
    torchrun.kill_tree()
    small.require_sound()
    small.finish()


def test_a_rank_that_is_told_to_go_leaves_its_work_to_the_others(small: Small) -> None:
    run = _Plain(small, 2, rules=[_SLOW, "clip.encoded=term"])
    assert run.ranks[1].wait() == 143, run.ranks[1].stderr
    assert run.ranks[0].wait() == 0, run.ranks[0].stderr
    small.require_whole()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_hangs_ends_all_with_a_last_word(small: Small, rank: int) -> None:
    rules = [_SLOW, _SLOW]
    rules[rank] = "clip.encoding=hang"
    run = _Plain(small, 2, "--watchdog", 2, rules=rules)
    assert run.ranks[rank].wait() == 2
    word = run.ranks[rank].stderr
    assert "error: encoding 1 " in word
    assert "has not ended for 2 s" in word
    assert run.ranks[1 - rank].wait() == 2
    told = f"another rank failed: rank {rank}: encoding 1 " in run.ranks[1 - rank].stderr
    # Where there is no torchrun, what they talk over ends with rank 0.
    assert told or (rank == 0 and "look at what ended rank 0" in run.ranks[1].stderr)
    small.require_sound()
    small.finish()


def test_a_hanging_process_ends_with_a_last_word(small: Small) -> None:
    hung = small.run("--watchdog", 2, VIDEOPREP_FAILPOINTS="clip.encoding=hang@b.mp4")
    assert hung.returncode == 2
    assert "videos/b.mp4 of the unit 5x64x96-" in hung.stderr
    assert "has not ended for 2 s" in hung.stderr
    assert "Run the same command again" in hung.stderr
    small.require_sound()
    small.finish()


def test_the_agent_killed(small: Small) -> None:
    """torchrun itself, which keeps what the ranks talk over: they end by themselves."""
    torchrun = small.start(ranks=2, VIDEOPREP_FAILPOINTS=_SLOW)
    wait_until(lambda: len(receipts(small.store)) > 0)
    ranks = ranks_of(torchrun.pid).values()
    assert len(ranks) == 2
    torchrun.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in ranks))
    small.require_sound()
    small.finish(ranks=2)
