"""A process killed at any place or moment: the rerun ends with the bytes of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_store import (
    ARTIFACTS,
    SOAK,
    Small,
    differences,
    fresh,
    hidden,
    kill_rules,
    passed,
    receipts,
    visible,
    wait_for_place,
    wait_until,
)
from videoprep.failpoints import POINTS

_OF_FILES = ("file.begun", "file.written", "file.synced", "file.placed")

_TEXTS = ("store.json", "/.claims/", "/prompt_embeds/", "/1x64x96-", "/5x64x96-", "/5x96x64-")
_TEXTS += ("/index.parquet", "/catalogue.parquet", "/failures.jsonl")

RULES = [
    "store.claimed=kill",
    "unit.claimed=kill",
    "unit.claimed=kill*5",
    "clip.encoding=kill@a.mp4",
    "clip.encoded=kill*2",
    "clip.encoded=kill*5",
    "unit.committed=kill",
    "unit.committed=kill*9",
    "run.finished=kill",
    *(f"{place}=kill@{text}" for text in _TEXTS for place in _OF_FILES),
    # Of a unit the shard is written first, the receipt second.
    *(f"{place}=kill*2@/5x64x96-" for place in _OF_FILES),
    *(f"{place}=kill*2@/prompt_embeds/" for place in _OF_FILES),
]

_ALIKE = {f"{place}=kill@{text}" for text in _TEXTS for place in ("file.begun", "file.synced")}
_ALIKE |= {f"{place}=kill*2@/prompt_embeds/" for place in ("file.begun", "file.synced")}
_ALIKE |= {f"{place}=kill@/5x96x64-" for place in _OF_FILES}
"""Nothing has its name yet, as at ``file.written``; or it is one more unit of videos."""

ELSEWHERE = {
    "file.read": "test_killed_while_it_reads_what_is_there",
    "decode": "tests of clips that fail",
    "film.decoding": "tests/faults/test_split_killed.py",
    "caption.answered": "tests/captions/test_caption_task.py",
    "caption.written": "tests/captions/test_caption_task.py",
    "job.shared": "tests of ranks",
}
"""Places at which a single process that encodes into an empty store does not die."""


def test_every_place_has_its_test() -> None:
    assert {rule.partition("=")[0] for rule in RULES} | ELSEWHERE.keys() == set(POINTS)


@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, marks=[pytest.mark.slow] if rule in _ALIKE else []) for rule in RULES],
)
def test_killed_at_a_place(small: Small, rule: str) -> None:
    killed = small.run(VIDEOPREP_FAILPOINTS=rule)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    small.require_sound()
    small.finish()


@pytest.mark.parametrize("nth", [1, 4, 12])
def test_killed_while_it_reads_what_is_there(small: Small, nth: int) -> None:
    small.run(VIDEOPREP_FAILPOINTS="clip.encoded=kill*6")
    killed = small.run(VIDEOPREP_FAILPOINTS=f"file.read=kill*{nth}")
    assert killed.returncode == -signal.SIGKILL
    small.finish()


def test_what_a_dead_process_committed_with_other_bits_goes(small: Small) -> None:
    """An accelerator may give other bits the next time: of two shards only one counts."""
    small.run(VIDEOPREP_FAILPOINTS="file.placed=kill@/5x96x64-")
    (shard,) = small.store.glob("video_latents/*/5x96x64-*.safetensors")
    unit, _, _ = shard.stem.rpartition("-")
    shard.rename(shard.with_name(f"{unit}-0123456789abcdef.safetensors"))
    small.finish()


def test_killed_again_and_again(small: Small) -> None:
    """Each run gets one unit further, and is taken for no killer of clips.

    The embedding of the empty caption is a unit, too.
    """
    for _ in range(ARTIFACTS + 1):
        killed = small.run(VIDEOPREP_FAILPOINTS="unit.committed=kill")
        assert killed.returncode == -signal.SIGKILL
    assert small.finish()["encoded"] == 0


@pytest.mark.soak
def test_killed_at_every_place_that_a_run_comes_by(small: Small, tmp_path: Path) -> None:
    """One after the other; in the short form some of them."""
    log = tmp_path / "log"
    assert small.run(VIDEOPREP_FAILPOINTS_LOG=str(log)).returncode == 0
    rules = [rule for rule in kill_rules(log) if not rule.startswith("decode=")]
    assert len(rules) > 100
    if SOAK < 50:
        rules = random.Random(SOAK).sample(rules, SOAK)
    for rule in rules:
        fresh(small.store)
        killed = small.run(VIDEOPREP_FAILPOINTS=rule)
        assert killed.returncode == -signal.SIGKILL, rule
        done = small.run()
        assert done.returncode == 0, (rule, done.stderr)
        assert (differences(small.store, small.whole), hidden(small.store)) == ([], []), rule


@pytest.mark.soak
def test_killed_at_random_moments(small: Small, tmp_path: Path) -> None:
    """Up to three times in a row, then left in peace."""
    log = tmp_path / "log"
    assert small.run(VIDEOPREP_FAILPOINTS_LOG=str(log)).returncode == 0
    usual = passed(log)
    for seed in range(SOAK):
        moments = random.Random(f"one process {seed}")
        fresh(small.store)
        for _ in range(moments.randint(1, 3)):
            log.unlink(missing_ok=True)
            process = small.start(VIDEOPREP_FAILPOINTS_LOG=str(log))
            wait_for_place(process, log, moments.randint(0, usual))
            process.kill_tree()
        done = small.run()
        assert done.returncode == 0, (seed, done.stderr)
        assert (differences(small.store, small.whole), hidden(small.store)) == ([], []), seed


def test_a_process_that_was_started_as_users_do(small: Small) -> None:
    """The other tests fork theirs."""
    command = [sys.executable, "-m", "videoprep", "encode", str(small.dataset), "--image-latents"]
    command += ["--model", str(small.model), "-o", str(small.store), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or len(receipts(small.store)) >= 4)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    small.require_sound()
    assert len(visible(small.store)) < len(visible(small.whole))
    small.finish()
