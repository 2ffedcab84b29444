"""The engine on an example task: killed anywhere, it finishes exactly once."""

from __future__ import annotations

import json
import random
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine import hash_task
from tests.engine.hash_task import HashTask, load
from tests.engine.hashing import FILES, Hashing
from tests.support.small_store import SOAK, differences, fresh, hidden, kill_rules, places
from tests.support.warm import Process, Warm
from videoprep.engine.coordination import SingleProcess
from videoprep.engine.run import lead, loader_named, name_of, run_task
from videoprep.engine.task import JobShare, TaskOptions, TaskUnit, deal
from videoprep.errors import FailuresError, VideoprepError
from videoprep.fs import LocalFiles

_MODULE = "tests.engine.hash_task"


@dataclass(frozen=True)
class Processes(Hashing):
    """The same, in processes of their own."""

    warm: Warm

    def start(self, share: str = "[0, 1]", options: str = "{}", **environment: str) -> Process:
        command = [self.source, self.output, share, options]
        return self.warm.start(*command, module=_MODULE, **environment)

    def run(self, **options: str) -> Process:
        process = self.start(**options)
        process.wait()
        return process

    def ranks(self, count: int, rules: Mapping[int, str]) -> list[Process]:
        """Starts ranks that nobody watches over, and says where each is to fail."""
        if count == 1:
            return [self.start(VIDEOPREP_FAILPOINTS=rules.get(0, ""))]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
        return [
            self.start(
                RANK=str(rank),
                VIDEOPREP_FAILPOINTS=rules.get(rank, ""),
                TEST_SILENT_SECONDS="4",
                **own,
            )
            for rank in range(count)
        ]


@pytest.fixture
def processes(warm: Warm, hashing: Hashing) -> Iterator[Processes]:
    yield Processes(hashing.source, hashing.output, hashing.whole, warm)
    warm.end_all()


def test_it_does_what_it_is_for(hashing: Hashing) -> None:
    result = run_task(hashing.plan)
    assert result is not None
    counts = result.stats.counts["text"]
    assert (counts.done, counts.failed) == (FILES, 1)
    sizes = [path.stat().st_size for path in hashing.source.iterdir()]
    assert [unit.cost for unit in result.units] == sorted(sizes, reverse=True)
    empty = hashing.output / "hash/0.txt.json"
    assert json.loads(empty.read_bytes()) == {"failed": "it is empty"}
    assert hidden(hashing.output) == []
    again = run_task(hashing.plan)
    assert again is not None
    assert again.units == []


def test_progress_adds_up(hashing: Hashing) -> None:
    told: list[Any] = []
    run_task(hashing.plan, on_progress=told.append)
    last = told[-1]
    assert (last.phase, last.label, last.items, last.amounts) == ("done", "Done", "files", None)
    group = last.groups["text"]
    assert (group.done, group.total, group.failed, group.seconds_left) == (FILES, FILES, 1, 0)
    assert group.cost_done == group.cost_total > 0


@pytest.mark.soak
def test_killed_at_every_place_that_it_comes_by(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert processes.run(VIDEOPREP_FAILPOINTS_LOG=str(log)).returncode == 0
    rules = kill_rules(log)
    names = {rule.partition("=")[0] for rule in rules}
    assert {"unit.claimed", "file.begun", "file.placed", "unit.committed"} <= names
    for rule in random.Random(SOAK).sample(rules, min(len(rules), 5 * SOAK)):
        fresh(processes.output)
        killed = processes.run(VIDEOPREP_FAILPOINTS=rule)
        assert killed.returncode == -signal.SIGKILL, (rule, killed.stderr)
        done = processes.run()
        assert done.returncode == 0, (rule, done.stderr)
        processes.require_whole()


_PLACES = ("unit.claimed", "clip.encoding", "file.begun", "file.written", "file.placed")
_PLACES += ("unit.committed",)


@pytest.mark.soak
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_killed_at_random_moments(processes: Processes, ranks: int) -> None:
    """Some of the ranks, up to twice in a row; another number of ranks ends it."""
    for seed in range(SOAK):
        moments = random.Random(f"{ranks} ranks {seed}")
        fresh(processes.output)
        for _ in range(moments.randint(1, 2)):
            dying = moments.sample(range(ranks), moments.randint(1, ranks))
            # The others take a second a unit, so that those that are to die have their share.
            rules = dict.fromkeys(range(ranks), "unit.claimed=pause*0")
            for rank in dying:
                rules[rank] = f"{moments.choice(_PLACES)}=kill*{moments.randint(1, 2)}"
            started = processes.ranks(ranks, rules)
            codes = [process.wait() for process in started]
            assert -signal.SIGKILL in codes, (seed, rules, codes)
            if 0 not in dying:  # it does what the others have left
                assert codes[0] == 0, (seed, rules, codes, started[0].stderr)
                processes.require_whole()
                fresh(processes.output)
        count = moments.choice([1, 2, 4])
        last = processes.ranks(count, {})
        assert [process.wait() for process in last] == [0] * count, [one.stderr for one in last]
        processes.require_whole()


def test_rank_0_killed_when_it_has_shared_the_work(processes: Processes) -> None:
    first, second = processes.ranks(2, {0: "job.shared=kill"})
    assert first.wait() == -signal.SIGKILL
    assert second.wait() == 1
    assert "the ranks' key-value store cannot be reached" in second.stderr
    assert processes.run().returncode == 0
    processes.require_whole()


def test_under_torchrun(processes: Processes, tmp_path: Path) -> None:
    """Ranks are started again, by themselves."""
    agent = ["--standalone", "--nproc-per-node=2", "--max-restarts=1", "--monitor-interval=0.05"]
    command = [*agent, "-m", _MODULE, processes.source, processes.output, "[0, 1]", "{}"]
    rules = {
        "VIDEOPREP_FAILPOINTS": "clip.encoding=kill*2",
        "VIDEOPREP_FAILPOINTS_ONCE": str(tmp_path / "once"),
    }
    process = processes.warm.start(*command, module="torchrun", **rules)
    assert process.wait() == 0, process.stderr
    assert (tmp_path / "once").exists()
    processes.require_whole()


def test_an_item_that_kills_its_process_fails_alone(processes: Processes) -> None:
    rule = "clip.encoding=kill@3.txt"
    codes = [processes.run(VIDEOPREP_FAILPOINTS=rule).returncode for _ in range(5)]
    assert codes == [-signal.SIGKILL] * 5
    assert processes.run(VIDEOPREP_FAILPOINTS=rule).returncode == 0
    result = json.loads((processes.output / "hash/3.txt.json").read_bytes())
    assert result == {"failed": "the process died 3 times in a row while it worked on this"}
    assert differences(processes.output, processes.whole) == ["hash/3.txt.json differs"]
    assert hidden(processes.output) == []


def test_a_signal_leaves_what_is_finished(processes: Processes) -> None:
    stopped = processes.run(VIDEOPREP_FAILPOINTS="clip.encoding=term*3")
    assert stopped.returncode == 143, stopped.stderr
    done = sorted(path.name for path in (processes.output / "hash").iterdir())
    assert done == ["4.txt.json", "5.txt.json", "6.txt.json"]
    assert hidden(processes.output) == []
    assert json.loads(processes.run().stdout)["units"] == FILES - 3
    processes.require_whole()


def test_a_step_that_hangs_ends_with_a_last_word(processes: Processes) -> None:
    rule = "file.written=hang@/hash/"
    hung = processes.run(options='{"watchdog": 1}', VIDEOPREP_FAILPOINTS=rule)
    assert hung.returncode == 2
    assert "committing the unit 6.txt has not ended for 1 s" in hung.stderr
    assert processes.run().returncode == 0
    processes.require_whole()


def test_three_jobs_at_once(processes: Processes) -> None:
    jobs = [processes.start(share=f"[{number}, 3]") for number in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0], [job.stderr for job in jobs]
    assert sum(json.loads(job.stdout)["units"] for job in jobs) == FILES
    processes.require_whole()


def test_two_runs_at_once_do_each_unit_once(processes: Processes, tmp_path: Path) -> None:
    logs = [tmp_path / "one", tmp_path / "two"]
    slow = {"VIDEOPREP_FAILPOINTS": "unit.claimed=pause*0"}
    runs = [processes.start(VIDEOPREP_FAILPOINTS_LOG=str(log), **slow) for log in logs]
    assert [run.wait() for run in runs] == [0, 0], [run.stderr for run in runs]
    done = [detail for log in logs for name, detail in places(log) if name == "clip.encoding"]
    assert sorted(done) == [f"{number}.txt" for number in range(FILES)]
    processes.require_whole()


def test_the_folder_of_claims_goes_with_what_a_dead_process_left_in_it(
    processes: Processes,
) -> None:
    """A claim that was half written when its process died, beside a process that goes on."""
    slow = "unit.claimed=pause*0"
    first, second = processes.ranks(2, {0: slow, 1: "file.begun=kill@.claims/"})
    assert second.wait() == -signal.SIGKILL
    assert first.wait() == 0, first.stderr
    processes.require_whole()


def test_more_failures_than_may_be_end_the_run(hashing: Hashing) -> None:
    with pytest.raises(FailuresError, match="failed files: 1, more than `max_failures=0`"):
        run_task(hashing.plan, options=TaskOptions(max_failures=0))
    assert run_task(hashing.plan) is not None
    hashing.require_whole()


def test_an_error_while_a_unit_is_committed_ends_the_run(
    hashing: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError("the disk is full")

    task = HashTask(hashing.source, LocalFiles(hashing.output))
    monkeypatch.setattr(task, "commit", fail)
    with pytest.raises(OSError, match="the disk is full"):
        lead(task, SingleProcess(), TaskOptions())
    assert hidden(hashing.output) == []
    assert not (hashing.output / "hash").exists()
    run_task(hashing.plan)
    hashing.require_whole()


def test_loaders_are_found_by_name() -> None:
    assert loader_named(name_of(load)) is hash_task.load
    with pytest.raises(VideoprepError, match="other processes cannot import"):
        name_of(lambda files, folder: load(files, folder))


@given(st.lists(st.integers(0, 1000)), st.integers(1, 9))
def test_shares_cost_about_the_same(costs: list[int], count: int) -> None:
    owners = deal(costs, count)
    loads = [
        sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == share)
        for share in range(count)
    ]
    assert max(loads) - min(loads) <= max(costs, default=0)
    units = [TaskUnit("folder", str(n), "stage", "group", cost) for n, cost in enumerate(costs)]
    shares = [JobShare(number, count).of(units) for number in range(count)]
    assert sorted((unit for share in shares for unit in share), key=units.index) == units
