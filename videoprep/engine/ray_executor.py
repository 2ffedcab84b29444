"""Units on a Ray cluster.

The process that calls plans the units and waits. Each Ray task is a rank that does units of one
stage, with the CPUs and GPUs that the stage asks for, until nobody has any left. Ray starts it
again, on another node if it has to, when its process or node is lost. What it had in progress is
found by its claim and done again; the first commit of a unit wins, so doing it twice does no harm.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from videoprep.engine.coordination import (
    Board,
    Coordinator,
    CoordinatorLostError,
    OtherRankError,
    planned_world_size,
    report_failure,
)
from videoprep.engine.progress import OnProgress, RunStats
from videoprep.engine.rank import RankContext, claimed, free, uncommitted
from videoprep.engine.ray_cluster import RayRanks, connected, import_ray
from videoprep.engine.run import (
    TaskPlan,
    TaskResult,
    begin,
    end,
    loader_named,
    name_of,
    receive,
    shared,
    units_of,
)
from videoprep.engine.sessions import Session
from videoprep.engine.task import Opened, Result, Stage, Task, TaskOptions, TaskUnit
from videoprep.engine.work import at_work, do_stage, overview_of
from videoprep.errors import VideoprepError
from videoprep.fs import open_files

_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_STOP_SECONDS = 120.0
_DEATHS_OF_ONE = 6
"""An item that kills its process costs five of them until it fails."""


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """Does a task's units on a Ray cluster.

    The task's files and sources have to be reachable from every node by the same path or URL.
    """

    address: str | None = None
    """The cluster, such as ``auto``, ``10.0.0.1:6379`` or ``ray://10.0.0.1:10001``; None: the one
    that ``RAY_ADDRESS`` names or that runs on this machine, else one that is started here."""

    def run(
        self, plan: TaskPlan, options: TaskOptions, on_progress: OnProgress | None
    ) -> TaskResult:
        """See `Executor`.

        Raises:
            RayClusterError: The cluster cannot be reached.
            CoordinatorLostError: The cluster is gone.
        """
        if planned_world_size() > 1:
            raise VideoprepError(
                "Ray starts the processes itself",
                remedy="run the command once, without torchrun",
                option="executor",
            )
        load = name_of(plan.load)
        with connected(self.address) as ray:
            task = plan.make()
            with Session(task.files) as session:
                swept = begin(task, session)
                units = units_of(task, options)
                with shared(task, units, session) as name:
                    run = _RayRun(ray, task, units, options, load, name)
                    stats = run.lead(session, on_progress)
                return TaskResult(units, stats, [*swept, *end(task, units, session, options)])


@dataclass(frozen=True, slots=True)
class _RayRun:
    """The part of the process that plans."""

    ray: ModuleType
    task: Task[Any, Any]
    units: Sequence[TaskUnit]
    options: TaskOptions
    load: str
    """The task's loader, as ``module:function``."""
    name: str
    """By which the others find the task."""

    def lead(self, session: Session, on_progress: OnProgress | None) -> RunStats:
        """Wait until the units are done, and return the statistics of all ranks."""
        slots = self._slots()
        world_size = 1 + sum(slots.values())
        board = self._board()
        coordinator = RayRanks(self.ray, board, 0, world_size)
        overview = overview_of(self.task, self.units, world_size, late=True)
        with at_work(
            self.task, self.units, session, coordinator, self.options, overview, on_progress
        ) as rank:
            try:
                self._rounds(rank, board, slots)
            except BaseException as error:
                with suppress(CoordinatorLostError):
                    report_failure(coordinator, error)
                raise
            rank.stats.begin("done")
            rank.heartbeat.hear()
        return overview.total(session.id)

    def _rounds(self, rank: RankContext, board: Any, slots: Mapping[str, int]) -> None:
        """Start ranks until nothing is left: one may go without having been lost."""
        left, pause = len(self.units), _POLL_SECONDS
        while left:
            self._wait(rank, self._started(board, slots))
            before, left = left, len(uncommitted(self.units, self.task.committed))
            if left < before:
                pause = _POLL_SECONDS
                continue
            again = time.monotonic() + pause  # another run has them in progress
            while time.monotonic() < again:
                rank.check()
                time.sleep(_POLL_SECONDS)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _started(self, board: Any, slots: Mapping[str, int]) -> list[Any]:
        """Start one Ray task per rank, in the order of the stages."""
        part = self.ray.remote(_take_part)
        files, world_size = _absolute(self.task.files.location), 1 + sum(slots.values())
        refs: list[Any] = []
        for stage in self.task.describe().stages:
            asked = part.options(
                num_cpus=stage.cpus,
                num_gpus=stage.gpus,
                max_retries=-1,  # a rank that dies again and again says so itself
                scheduling_strategy="SPREAD",
                name=f"videoprep {stage.name}",
            )
            for _ in range(slots[stage.name]):
                number = len(refs) + 1
                place = _Place(self.load, files, self.name, stage.name, number, world_size)
                refs.append(asked.remote(place, board, self.options))
        return refs

    def _wait(self, rank: RankContext, refs: Sequence[Any]) -> None:
        """Wait for ranks. If one fails, the others end, and its error is raised.

        Raises:
            CoordinatorLostError: The cluster is gone; nothing more is asked of it.
        """
        pending: set[Future[None]] = {ref.future() for ref in refs}
        failed: list[BaseException] = []
        deadline = math.inf
        while pending and time.monotonic() < deadline:
            done, pending = wait(pending, _POLL_SECONDS)
            failed += [error for one in done if (error := self._error_of(one)) is not None]
            if done and not failed and not uncommitted(self.units, self.task.committed):
                self._cancel(refs)  # what the cluster has no room for yet, or is about to end
                wait(pending, _STOP_SECONDS)
                return
            try:
                rank.check()
            except OtherRankError as error:  # what it says itself comes with its end
                failed.append(error)
            except (KeyboardInterrupt, SystemExit) as error:
                with suppress(CoordinatorLostError):
                    report_failure(rank.coordinator, error)
                failed.insert(0, error)
            if failed:
                deadline = min(deadline, time.monotonic() + _STOP_SECONDS)
        if failed:
            self._cancel(refs, force=True)  # what does not listen
            raise min(failed, key=lambda error: isinstance(error, OtherRankError))

    def _error_of(self, done: Future[None]) -> BaseException | None:
        error = done.exception()
        if isinstance(error, self.ray.exceptions.RayTaskError):
            cause: BaseException = error.cause
            return cause if isinstance(cause, VideoprepError) else error
        if error is None:
            return None
        first = next(filter(None, str(error).splitlines()), repr(error))
        return CoordinatorLostError(
            f"Ray has given work up: {first}",
            remedy="see Ray's logs; what was committed is kept: run the same command again",
        )

    def _cancel(self, refs: Sequence[Any], *, force: bool = False) -> None:
        for ref in refs:
            self.ray.cancel(ref, force=force)

    def _slots(self) -> dict[str, int]:
        """How many ranks of each stage there are: as many as the cluster has room for now."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        slots = {}
        for stage in self.task.describe().stages:
            units = sum(unit.stage == stage.name for unit in self.units)
            room = sum(_room(stage, node) for node in nodes)
            slots[stage.name] = min(units, max(1, room))
        return slots

    def _board(self) -> Any:
        """Start the actor on this node, whose end is the run's end anyway."""
        here = self.ray.get_runtime_context().get_node_id()
        affinity = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        actor = self.ray.remote(Board)
        return actor.options(num_cpus=0, scheduling_strategy=affinity(here, soft=False)).remote()


@dataclass(frozen=True, slots=True)
class _Place:
    """What a rank has to know to take part."""

    load: str
    location: str
    name: str
    stage: str
    rank: int
    world_size: int


def _take_part(place: _Place, board: Any, options: TaskOptions) -> None:
    """Do units of a stage until nobody has any left; what a Ray task runs."""
    ray = import_ray()
    cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    alike = max(1, int(len(os.sched_getaffinity(0)) // max(cpus, 1)))
    coordinator = RayRanks(ray, board, place.rank, place.world_size, alike)
    try:
        task, units = _receive(place)
        own = [unit for unit in units if unit.stage == place.stage]
        stage = next(one for one in task.describe().stages if one.name == place.stage)
        with Session(task.files) as session:
            before = _announce(coordinator, session, task, stage, own)
            with (
                at_work(task, own, session, coordinator, options, None, None) as rank,
                task.process(rank),
            ):
                rank.claims.presume_dead(before)
                _do(rank, task, stage, own)
    except (KeyboardInterrupt, SystemExit):
        pass  # this node is told to go; it leaves its work to the others
    except BaseException as error:
        with suppress(CoordinatorLostError):
            report_failure(coordinator, error)
        raise
    coordinator.publish(_session_of(coordinator), "")


def _do(
    rank: RankContext, task: Task[Opened, Result], stage: Stage, units: Sequence[TaskUnit]
) -> None:
    do_stage(rank, task, stage, claimed(rank, units, stage.name, task.committed))
    while waiting := uncommitted(units, task.committed):
        if not do_stage(rank, task, stage, free(rank, waiting, task.committed)):
            return  # living ranks have them in progress, or another run


def _receive(place: _Place) -> tuple[Task[Any, Any], list[TaskUnit]]:
    files = open_files(place.location)
    try:
        return receive(loader_named(place.load), files, place.name)
    except FileNotFoundError as error:
        raise VideoprepError(
            f"the node {socket.gethostname()} does not see the same files there",
            where=place.location,
            remedy="use a folder that all nodes of the cluster share, or a URL",
        ) from error


def _announce(
    coordinator: Coordinator,
    session: Session,
    task: Task[Opened, Result],
    stage: Stage,
    units: Sequence[TaskUnit],
) -> set[str]:
    """Say by what name this rank works, and return that of the same rank before it died.

    Raises:
        VideoprepError: Ranks die again and again, and no unit comes to its end.
    """
    before = coordinator.read(_session_of(coordinator))
    coordinator.publish(_session_of(coordinator), session.id)
    if not before:
        return set()
    left = len(uncommitted(units, task.committed))
    deaths = coordinator.add(f"deaths/{stage.name}/{left}", 1)
    if deaths > _DEATHS_OF_ONE * coordinator.world_size:
        raise VideoprepError(
            f"processes of the stage {stage.name!r} died {deaths} times in a row, without "
            "finishing a unit",
            remedy="look at Ray's logs for what ended them, such as a lack of memory; what was "
            "committed is kept: run the same command again",
        )
    return {before}


def _session_of(coordinator: Coordinator) -> str:
    """Where a rank says by what name it works; empty once it has come to its end."""
    return f"session/{coordinator.rank}"


def _room(stage: Stage, resources: Mapping[str, float]) -> int:
    """Return how many ranks of a stage a node has room for."""
    by_cpu = resources.get("CPU", 0) // stage.cpus if stage.cpus else math.inf
    by_gpu = resources.get("GPU", 0) // stage.gpus if stage.gpus else math.inf
    room = min(by_cpu, by_gpu)
    return 1 if math.isinf(room) else int(room)


def _absolute(location: str) -> str:
    return location if "://" in location else os.path.abspath(location)
