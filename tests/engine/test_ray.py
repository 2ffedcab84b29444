"""Units on a real Ray cluster of two nodes on this machine, whose processes are killed.

The tests of `encode` are here, too: two clusters at a time on one machine disturb each other.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import videoprep as vp
from tests.engine import gpu_task
from tests.engine.gpu_task import GpuTask
from tests.engine.hash_task import load
from tests.engine.hashing import FILES, Hashing, plan_of
from tests.support.captioning import write_films
from tests.support.mixed_dataset import COMMAND, encode_mixed
from tests.support.ray_cluster import add_node, start_cluster
from tests.support.scripted_server import ScriptedServer
from tests.support.small_store import (
    SOAK,
    Small,
    counts,
    differences,
    fresh,
    hidden,
    passed,
    receipts,
    wait_for_place,
    wait_until,
)
from tests.support.tiny_vlm import build_tiny_qwen3_vl
from tests.support.warm import REPOSITORY, Warm, descendants
from videoprep.captions.task import WORK
from videoprep.engine.claims import Claims
from videoprep.engine.ray_cluster import RayClusterError
from videoprep.engine.ray_executor import RayExecutor
from videoprep.engine.run import TaskPlan, name_of, run_task
from videoprep.engine.sessions import Session
from videoprep.engine.task import TaskOptions
from videoprep.errors import FailuresError, VideoprepError
from videoprep.fs import LocalFiles
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Stage

pytestmark = pytest.mark.heavy


def _on(cluster: Any) -> RayExecutor:
    return RayExecutor(cluster.address)


def _workers(output: Path) -> set[int]:
    """The processes at work, apart from this one."""
    marks = output.glob(".sessions/*.lock")
    return {int(mark.stem.split("-")[-2]) for mark in marks} - {os.getpid()}


def _meanwhile(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def test_the_same_bytes(cluster: Any, hashing: Hashing) -> None:
    told: list[Any] = []
    result = run_task(hashing.plan, executor=_on(cluster), on_progress=told.append)
    assert result is not None
    assert len(result.units) == FILES
    counts = result.stats.counts["text"]
    assert (counts.done, counts.failed) == (FILES, 1)
    assert result.stats.phases["hash"] > 0
    hashing.require_whole()
    group = told[-1].groups["text"]
    assert (told[-1].phase, group.done, group.failed, told[-1].lost) == ("done", FILES, 1, ())


@pytest.mark.soak
def test_workers_are_killed_at_random_moments(cluster: Any, hashing: Hashing) -> None:
    """Each of the first processes that come, once it has begun a unit or a little later."""
    for seed in range(SOAK):
        moments = random.Random(f"ray {seed}")
        fresh(hashing.output)
        killed: set[int] = set()

        def kill(killed: set[int] = killed, moments: random.Random = moments) -> None:
            for _ in range(3):
                wait_until(lambda: _workers(hashing.output) - killed)
                wait_until(lambda: any(hashing.output.glob(".claims/*.json")))
                threading.Event().wait(moments.uniform(0, 1))
                for pid in _workers(hashing.output) - killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)

        killer = _meanwhile(kill)
        run_task(hashing.plan, executor=_on(cluster))
        killer.join()
        assert len(killed) >= 3
        hashing.require_whole()


def test_workers_that_are_told_to_go_leave_their_work(cluster: Any, hashing: Hashing) -> None:
    def tell() -> None:
        wait_until(lambda: _workers(hashing.output) and _receipts(hashing))
        for pid in _workers(hashing.output):
            os.kill(pid, signal.SIGTERM)

    teller = _meanwhile(tell)
    run_task(hashing.plan, executor=_on(cluster))
    teller.join()
    hashing.require_whole()


def test_what_the_cluster_has_no_room_for_is_not_waited_for(cluster: Any, hashing: Hashing) -> None:
    """A rank that another one's work keeps from its place. This process is connected already."""
    import ray

    def occupy(mark: str) -> None:
        Path(mark).touch()
        threading.Event().wait()

    mark = hashing.output.parent / "occupied"
    ray.init(cluster.address, log_to_driver=False)
    try:
        occupied = ray.remote(occupy).remote(str(mark))
        wait_until(mark.exists)
        run_task(hashing.plan, executor=RayExecutor())
        assert ray.is_initialized()
        assert ray.wait([occupied], timeout=0) == ([], [occupied])
    finally:
        ray.shutdown()
    hashing.require_whole()


def test_a_node_is_lost(cluster: Any, hashing: Hashing) -> None:
    """While one of its processes works; not the node of the process that waits."""
    nodes = [add_node(cluster, num_cpus=1) for _ in range(2)]
    lost = []

    def lose() -> None:
        import ray

        wait_until(lambda: _workers(hashing.output))
        own = ray.get_runtime_context().get_node_id()
        others = {node: _raylet(node) for node in nodes if node.node_id != own}
        wait_until(lambda: any(_works(raylet, hashing.output) for raylet in others.values()))
        lost.append(next(one for one in others if _works(others[one], hashing.output)))
        cluster.remove_node(lost[0], allow_graceful=False)

    loser = _meanwhile(lose)
    run_task(hashing.plan, executor=_on(cluster))
    loser.join()
    [left] = [node for node in nodes if node not in lost]
    cluster.remove_node(left)
    hashing.require_whole()


def _raylet(node: Any) -> int:
    [started] = node.all_processes["raylet"]
    return int(started.process.pid)


def _works(raylet: int, output: Path) -> bool:
    return bool(_workers(output) & {*descendants(raylet)})


def test_a_stage_gets_the_gpus_that_it_asks_for(cluster: Any, hashing: Hashing) -> None:
    """Ray only counts them, so that there need not be any. The other nodes have none."""
    node = add_node(cluster, num_cpus=2, num_gpus=2)
    files = LocalFiles(hashing.output)
    plan = TaskPlan(lambda: GpuTask(hashing.source, files), gpu_task.load, files)
    run_task(plan, executor=_on(cluster))
    cluster.remove_node(node)
    given = [json.loads(path.read_bytes())["gpu"] for path in _receipts(hashing)]
    assert len(given) == FILES
    assert set(given) == {"0", "1"}


def test_an_item_that_kills_its_process_fails_alone(cluster: Any, hashing: Hashing) -> None:
    source = hashing.output.parent / "files"
    source.mkdir()
    for name in ("a", "poison", "z"):
        (source / f"{name}.txt").write_text("word")
    run_task(plan_of(source, hashing.output), executor=_on(cluster))
    results = {path.stem: json.loads(path.read_bytes()) for path in hashing.output.glob("hash/*")}
    assert results.keys() == {"a.txt", "poison.txt", "z.txt"}
    reason = "the process died 3 times in a row while it worked on this"
    assert results["poison.txt"] == {"failed": reason}
    assert hidden(hashing.output) == []


def test_what_a_worker_raises_is_raised_here(cluster: Any, hashing: Hashing) -> None:
    options = TaskOptions(max_failures=0)
    with pytest.raises(FailuresError, match="failed files: 1, more than `max_failures=0`"):
        run_task(hashing.plan, executor=_on(cluster), options=options)
    run_task(hashing.plan, executor=_on(cluster))
    hashing.require_whole()


def _driver(address: str, hashing: Hashing) -> subprocess.Popen[str]:
    """A process that runs the task on a cluster."""
    code = (
        "import sys; from pathlib import Path; from tests.engine.hashing import plan_of;"
        "from videoprep.engine.ray_executor import RayExecutor;"
        "from videoprep.engine.run import run_task;"
        "source, output, address = sys.argv[1:];"
        "run_task(plan_of(Path(source), Path(output)), executor=RayExecutor(address))"
    )
    command = [sys.executable, "-c", code, str(hashing.source), str(hashing.output), address]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY
    )


def _receipts(hashing: Hashing) -> list[Path]:
    return list(hashing.output.glob("hash/[!.]*.json"))


def test_a_signal_leaves_what_is_finished(cluster: Any, hashing: Hashing) -> None:
    driver = _driver(cluster.address, hashing)
    wait_until(lambda: _receipts(hashing))
    driver.send_signal(signal.SIGTERM)
    _, stderr = driver.communicate()
    assert driver.returncode == 143, stderr
    assert len(_receipts(hashing)) < FILES
    assert hidden(hashing.output) == []
    run_task(hashing.plan)
    hashing.require_whole()


def test_what_another_run_has_in_progress_is_waited_for(cluster: Any, hashing: Hashing) -> None:
    """And done, if the other run leaves it: here a process that only claims."""
    files = LocalFiles(hashing.output)
    with Session(files) as session:
        claims = Claims(files, session)
        assert claims.take("hash", "6.txt") is not None
        driver = _driver(cluster.address, hashing)
        wait_until(lambda: len(_receipts(hashing)) == FILES - 1)
        assert driver.poll() is None
        claims.release_all()
        _, stderr = driver.communicate()
    assert driver.returncode == 0, stderr
    hashing.require_whole()


def test_the_driver_is_killed(cluster: Any, hashing: Hashing) -> None:
    """Ray ends what it has started; whoever comes next does the rest."""
    driver = _driver(cluster.address, hashing)
    wait_until(lambda: _receipts(hashing))
    driver.kill()
    driver.communicate()
    run_task(hashing.plan, executor=_on(cluster))
    assert differences(hashing.output, hashing.whole) == []


@pytest.mark.slow
def test_the_cluster_dies(ray_environment: None, hashing: Hashing) -> None:
    own = start_cluster()
    driver = _driver(own.address, hashing)
    wait_until(lambda: _receipts(hashing))
    for node in own.list_all_nodes():
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    _, stderr = driver.communicate()
    assert driver.returncode == 1
    assert "CoordinatorLostError: the Ray cluster is gone: " in stderr
    assert "what was committed is kept: run the same command again" in stderr
    run_task(hashing.plan)
    hashing.require_whole()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there(ray_environment: None, hashing: Hashing, address: str) -> None:
    with pytest.raises(RayClusterError, match=f"the Ray cluster at {address} cannot be reached: ."):
        run_task(hashing.plan, executor=RayExecutor(address))
    assert not hashing.output.exists()


def test_files_that_the_nodes_do_not_see(cluster: Any, hashing: Hashing) -> None:
    class Elsewhere(LocalFiles):
        """A folder that has another path on the nodes."""

        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.location = str(root / "elsewhere")

    files = Elsewhere(hashing.output)
    plan = TaskPlan(lambda: type(hashing.plan.make())(hashing.source, files), load, files)
    with pytest.raises(VideoprepError, match="does not see the same files there") as error:
        run_task(plan, executor=_on(cluster))
    assert error.value.remedy is not None
    assert hidden(hashing.output) == []


def test_a_task_that_other_processes_cannot_import(ray_environment: None, hashing: Hashing) -> None:
    plan = TaskPlan(
        hashing.plan.make, lambda files, folder: load(files, folder), hashing.plan.files
    )
    with pytest.raises(VideoprepError, match="other processes cannot import"):
        run_task(plan, executor=RayExecutor())
    assert name_of(load) == "tests.engine.hash_task:load"


# `encode` and `export --to media` with `--executor ray`

_COLD_START = 240.0
"""Seconds in which a process of the cluster has imported what it needs, on a busy machine."""


def test_encode_the_same_bytes(cluster: Any, small: Small) -> None:
    result = small.finish("--executor", "ray", "--address", cluster.address)
    assert {counted[0] for counted in counts(result).values()} == {3}
    assert result["timings"]["video"] > 0
    assert small.finish("--executor", "ray", "--address", cluster.address)["encoded"] == 0
    verified = small.warm.start("verify", small.store, "--output-format", "json")
    assert verified.wait() == 0, verified.stdout


@pytest.mark.slow
def test_encode_is_finished_elsewhere(cluster: Any, small: Small) -> None:
    started = small.start("--executor", "ray", "--address", cluster.address)
    wait_until(lambda: receipts(small.store), _COLD_START)
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 143, started.stderr
    assert hidden(small.store) == []
    small.require_sound()
    small.finish(ranks=2)


@pytest.mark.soak
@pytest.mark.slow
def test_encode_workers_are_killed_at_random_moments(cluster: Any, small: Small) -> None:
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
    wait_until(lambda: _workers(store) - {driver} - killed, _COLD_START)
    wait_until(lambda: any(store.glob(".claims/*.json")), _COLD_START)
    threading.Event().wait(moments.uniform(0, 1))
    for pid in _workers(store) - {driver} - killed:
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)


@pytest.mark.soak
@pytest.mark.slow
def test_encode_a_mixed_dataset_whose_processes_are_killed(
    cluster: Any, cluster_log: Path, warm: Warm, tiny_model: Path, tmp_path: Path
) -> None:
    """Those of the cluster, or with them the one that waits for them, which is then run again."""
    mixed = encode_mixed(warm, tiny_model, tmp_path)
    on_ray = (*COMMAND, "--executor", "ray", "--address", cluster.address)
    cluster_log.write_bytes(b"")
    assert mixed.run(*on_ray).returncode == 1
    usual = passed(cluster_log)
    assert usual > 100
    for seed in range(SOAK):
        moments = random.Random(f"mixed on ray {seed}")
        fresh(mixed.store)
        cluster_log.write_bytes(b"")
        driver = mixed.start(*on_ray)
        gone = {driver.pid}  # what is killed leaves its mark
        for moment in sorted(moments.sample(range(usual), 2)):
            wait_for_place(driver, cluster_log, moment)
            for pid in _workers(mixed.store) - gone:
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGKILL)
                gone.add(pid)
        if moments.random() < 0.5:
            driver.kill_tree()
            driver = mixed.start(*on_ray)
        assert driver.wait() == 1, (seed, driver.stderr)
        assert (differences(mixed.store, mixed.whole), hidden(mixed.store)) == ([], []), seed
    warm.end_all()


def test_encode_a_cluster_that_is_not_there(ray_environment: None, small: Small) -> None:
    failed = small.run("--executor", "ray", "--address", "127.0.0.1:1")
    assert failed.returncode == 2
    assert "the Ray cluster at 127.0.0.1:1 cannot be reached" in failed.stderr
    assert "--address" in failed.stderr
    assert not small.store.exists()


def test_encode_torchrun_and_ray_are_not_combined(ray_environment: None, small: Small) -> None:
    failed = small.run("--executor", "ray", WORLD_SIZE="2")
    assert failed.returncode == 2
    assert "without torchrun" in failed.stderr


def test_encode_an_address_alone_means_nothing(small: Small) -> None:
    failed = small.run("--address", "auto")
    assert failed.returncode == 2
    assert "--executor ray" in failed.stderr


def test_export_media_the_same_bytes(cluster: Any, dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(dataset)
    vp.export_media(index, output=tmp_path / "whole")
    on_ray: dict[str, Any] = {"executor": "ray", "address": cluster.address}
    result = vp.export_media(index, output=tmp_path / "made", **on_ray)
    assert result is not None
    assert (result.clips, result.written, result.pending) == (3, 6, 0)
    made, whole = tmp_path / "made", tmp_path / "whole"
    assert differences(made / "clips", whole / "clips") == []
    assert hidden(made) == hidden(whole)
    again = vp.export_media(index, output=tmp_path / "made", **on_ray)
    assert again is not None
    assert again.written == 0


# `caption` and `refine` with `--executor ray`


@dataclass(frozen=True)
class Asked:
    """Six clips without captions, at a path that only the process that plans can resolve."""

    cluster: Any
    server: ScriptedServer
    root: Path

    @property
    def on_ray(self) -> dict[str, Any]:
        return {"executor": "ray", "address": self.cluster.address}

    @property
    def endpoint(self) -> dict[str, Any]:
        return {"endpoint": self.server.url, "concurrency": 1, "frames": 3}

    def journal(self, name: str) -> CaptionJournal:
        return CaptionJournal(self.root / name / FOLDER)

    def answers(self, name: str, stage: Stage = "caption") -> list[Answer]:
        records = [placed.record for placed in self.journal(name).read(stage)]
        return [record for record in records if isinstance(record, Answer)]

    def told(self, name: str, stage: Stage = "caption") -> list[tuple[str, str, str, str]]:
        """What was answered about each clip, in the order of the clips."""
        found = self.answers(name, stage)
        return sorted((one.clip, one.run, one.outcome, one.caption) for one in found)


@pytest.fixture
def asked(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    for name in ("alone", "shared"):
        write_films(tmp_path / name, 6)
    monkeypatch.chdir(tmp_path)
    with ScriptedServer() as server:
        yield Asked(cluster, server, tmp_path)
        server.release()


def test_caption_and_refine_by_a_server(asked: Asked) -> None:
    vp.caption("alone", **asked.endpoint)
    result = vp.caption("shared", **asked.endpoint, **asked.on_ray)
    assert result is not None
    assert (result.captioned, result.pending, result.failed) == (6, 0, {})
    assert asked.told("shared") == asked.told("alone")
    assert set(asked.server.asked().values()) == {2}  # here and there
    again = vp.caption("shared", **asked.endpoint, **asked.on_ray)
    assert again is not None
    assert again.answered == {"ok": 6}

    how: dict[str, Any] = {"endpoint": asked.server.url, "creative": True}
    vp.refine("alone", **how)
    refined = vp.refine("shared", **how, **asked.on_ray)
    assert refined is not None
    assert (refined.refined, refined.pending) == (6, 0)
    assert asked.told("shared", "refine") == asked.told("alone", "refine")


def test_caption_by_a_model_of_the_workers(asked: Asked) -> None:
    """On a cluster without GPUs no rank waits for one."""
    build_tiny_qwen3_vl(asked.root / "model")
    how: dict[str, Any] = {"model": "model", "frames": 3}
    vp.caption("alone", **how, device="cpu")
    result = vp.caption("shared", **how, **asked.on_ray)
    assert result is not None
    assert (result.captioned, result.pending) == (6, 0)
    assert asked.told("shared") == asked.told("alone")


def test_caption_a_worker_is_killed(asked: Asked) -> None:
    """While its question is open, which is asked again; nothing else is."""
    asked.server.hold()
    killed: list[int] = []

    def kill() -> None:
        asked.server.wait_for(1)
        killed.extend(_workers(asked.journal("shared").folder / WORK))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        asked.server.release()

    killer = _meanwhile(kill)
    result = vp.caption("shared", **asked.endpoint, **asked.on_ray)
    killer.join()
    assert killed
    assert result is not None
    assert (result.captioned, result.pending) == (6, 0)
    assert [one.outcome for one in asked.answers("shared")] == ["ok"] * 6
    assert len({one.clip for one in asked.answers("shared")}) == 6
    assert sum(asked.server.asked().values()) == 6 + len(killed)
