"""Several jobs at one store at the same time, which do not know of each other."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.support.small_store import (
    ARTIFACTS,
    SOAK,
    Small,
    fresh,
    orphans,
    places,
    receipts,
    result_of,
    wait_for_place,
    wait_until,
)


@pytest.mark.soak
@pytest.mark.parametrize("late", [False, True])
def test_all_finish_and_nothing_is_made_twice(small: Small, tmp_path: Path, late: bool) -> None:
    for seed in range(SOAK):
        moments = random.Random(f"jobs {late} {seed}")
        fresh(small.store)
        log = tmp_path / f"log-{seed}"
        jobs = [small.start(VIDEOPREP_FAILPOINTS_LOG=str(log)) for _ in range(2)]
        if late:
            wait_for_place(jobs[0], log, moments.randint(0, 60))
            jobs.append(small.start(VIDEOPREP_FAILPOINTS_LOG=str(log)))
        assert [job.wait() for job in jobs] == [0] * len(jobs), [job.stderr for job in jobs]
        small.require_whole()
        assert orphans(small.store) == []
        results = [result_of(job) for job in jobs]
        assert [result["complete"] for result in results] == [3] * len(jobs)
        made = Counter(detail for name, detail in places(log) if name == "clip.encoded")
        assert (len(made), set(made.values())) == (ARTIFACTS, {1}), seed


def test_one_is_killed(small: Small) -> None:
    """The other takes up what it had in hand."""
    jobs = [small.start(VIDEOPREP_FAILPOINTS=rule) for rule in ("clip.encoding=kill", "")]
    assert [job.wait() for job in jobs] == [-signal.SIGKILL, 0]
    small.require_whole()


def test_both_find_the_same_damage(small: Small, tmp_path: Path) -> None:
    """What one has made anew already is not taken away again by the other."""
    small.finish()
    receipt = receipts(small.store)[0]
    receipt.write_bytes(b"")
    log = tmp_path / "log"
    slow = small.start(
        VIDEOPREP_FAILPOINTS="file.read=stop@/text-", VIDEOPREP_FAILPOINTS_LOG=str(log)
    )
    wait_until(lambda: log.exists() and "file.read prompt_embeds/" in log.read_text())
    small.run()
    slow.signal(signal.SIGCONT)
    assert slow.wait() == 0
    small.require_whole()
    assert result_of(slow)["encoded"] <= 1


def test_two_runs_of_ranks(small: Small) -> None:
    jobs = [small.start(ranks=2) for _ in range(2)]
    assert [job.wait() for job in jobs] == [0, 0], [job.stderr for job in jobs]
    small.require_whole()


def test_one_hurries_through_what_the_other_has_begun(small: Small, tmp_path: Path) -> None:
    """One that is stopped for a while keeps its unit; the other waits for it, and says nothing."""
    log = tmp_path / "log"
    slow = small.start(
        VIDEOPREP_FAILPOINTS="clip.encoding=pause*0", VIDEOPREP_FAILPOINTS_LOG=str(log)
    )
    wait_until(lambda: log.exists() and " clip.encoding " in log.read_text())
    quick = small.start()
    assert (slow.wait(), quick.wait()) == (0, 0), (slow.stderr, quick.stderr)
    small.require_whole()


def test_jobs_with_different_components(small: Small) -> None:
    """One encodes image latents, too, and the other does not know."""
    command = ["encode", small.dataset, "-o", small.store, "--model", small.model]
    without = small.warm.start(*command, "--device", "cpu")
    others = small.start()
    assert (without.wait(), others.wait()) == (0, 0), (without.stderr, others.stderr)
    small.finish()
