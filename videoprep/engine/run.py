"""`run_task`: a task from its plan to its last unit, in this process or shared among many."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from videoprep.engine.claims import JOBS, Claims
from videoprep.engine.coordination import (
    Coordinator,
    CoordinatorLostError,
    join,
    report_failure,
    wait_for,
)
from videoprep.engine.progress import OnProgress, RunStats
from videoprep.engine.rank import uncommitted
from videoprep.engine.sessions import Session, sweep
from videoprep.engine.task import (
    Opened,
    Result,
    Task,
    TaskLoader,
    TaskOptions,
    TaskUnit,
    most_expensive_first,
)
from videoprep.engine.work import do_work
from videoprep.errors import VideoprepError
from videoprep.failpoints import reach
from videoprep.fs import Files

_JOB = "job"
_UNITS = "units.json"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a run did."""

    units: Sequence[TaskUnit]
    """What it had to do; all of it is committed."""
    stats: RunStats
    """What this process did and where its time went; if it did none of the work itself, as for an
    executor of a cluster, those of all processes."""
    swept: Sequence[str]
    """Files of dead processes that were removed."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """How processes come to a task."""

    make: Callable[[], Task[Any, Any]]
    """Makes it in the first process, once."""
    load: TaskLoader
    """Makes it in the others, from what `Task.save` wrote."""
    files: Files
    """Where claims, sessions and receipts lie; the task's own."""
    prepare: Callable[[], None] | None = None
    """Called in the other ranks while the first one plans, such as to import what takes long."""


class Executor(Protocol):
    """Where a task's units are done."""

    def run(
        self, plan: TaskPlan, options: TaskOptions, on_progress: OnProgress | None
    ) -> TaskResult | None:
        """Do a task; return what was done, in the process that planned it, and None elsewhere."""


class LocalExecutor:
    """Does a task in this process, or in the ranks that torchrun has started."""

    def run(
        self, plan: TaskPlan, options: TaskOptions, on_progress: OnProgress | None
    ) -> TaskResult | None:
        """See `Executor`. A rank that fails tells the others."""
        coordinator = join()
        try:
            if coordinator.rank == 0:
                return lead(plan.make(), coordinator, options, on_progress)
            follow(plan, coordinator, options)
            return None
        except BaseException as error:
            leaves = isinstance(error, (KeyboardInterrupt, SystemExit)) and coordinator.rank != 0
            if not leaves:  # a rank that was told to go leaves its work to the others
                with suppress(CoordinatorLostError):  # the error itself is what counts
                    report_failure(coordinator, error)
            raise
        finally:
            coordinator.close()


def run_task(
    plan: TaskPlan,
    *,
    executor: Executor | None = None,
    options: TaskOptions | None = None,
    on_progress: OnProgress | None = None,
) -> TaskResult | None:
    """Do all units of a task that are not committed yet.

    It can be stopped in any way and called again: what is committed stays, and nothing is committed
    twice. Under torchrun every rank calls it.

    Args:
        plan: makes the task.
        executor: where the units are done; by default in this process, or in torchrun's ranks.
        options: how the task is run.
        on_progress: called about once a second in the first process, in a thread.

    Returns:
        What was done, in the process that planned the task; None in the others.

    Raises:
        VideoprepError: The work cannot go on. What was committed stays.
        KeyboardInterrupt: SIGINT came; what was finished is committed.
        SystemExit: SIGTERM came; likewise.
    """
    return (executor or LocalExecutor()).run(plan, options or TaskOptions(), on_progress)


def lead(
    task: Task[Opened, Result],
    coordinator: Coordinator,
    options: TaskOptions,
    on_progress: OnProgress | None = None,
) -> TaskResult:
    """Plan a task's units on rank 0, share them with the other ranks, and do a part of them."""
    with Session(task.files) as session:
        swept = begin(task, session)
        units = units_of(task, options)
        alone = coordinator.world_size == 1
        with nullcontext(session.id) if alone else shared(task, units, session) as name:
            coordinator.publish(_JOB, name)
            stats = do_work(task, units, session, coordinator, options, on_progress)
        return TaskResult(units, stats, [*swept, *end(task, units, session, options)])


def follow(plan: TaskPlan, coordinator: Coordinator, options: TaskOptions) -> None:
    """Do a part of the units that rank 0 has planned."""
    if plan.prepare is not None:
        plan.prepare()
    task, units = receive(plan.load, plan.files, wait_for(coordinator, _JOB))
    with Session(task.files) as session:
        do_work(task, units, session, coordinator, options)


def units_of(task: Task[Opened, Result], options: TaskOptions) -> list[TaskUnit]:
    """Return the units that are to be done, the most expensive first."""
    return most_expensive_first(uncommitted(task.units(options.share), task.committed))


def begin(task: Task[Opened, Result], session: Session) -> list[str]:
    """Remove what dead processes left, and return the files."""
    swept = sweep(task.files, session)
    sweep_shared(task.files, session)
    return swept


def end(
    task: Task[Opened, Result],
    units: Sequence[TaskUnit],
    session: Session,
    options: TaskOptions,
) -> list[str]:
    """Remove what processes left that died during the run, and return the files.

    How often others died at a unit says nothing more once it is done. Other jobs' units are theirs.
    """
    own = {unit.id for unit in units}

    def is_over(unit: str) -> bool:
        folder, _, name = unit.rpartition("/")
        return (
            options.share.count == 1
            or unit in own
            or bool(folder and task.committed([TaskUnit(folder, name, stage="", group="")]))
        )

    Claims(task.files, session).sweep(is_over)
    return sweep(task.files, session)


@contextmanager
def shared(
    task: Task[Opened, Result], units: Sequence[TaskUnit], session: Session
) -> Iterator[str]:
    """Let other processes read a task and its units while the block runs.

    Yields:
        The name by which `receive` finds them.
    """
    folder = f"{JOBS}/{session.id}"
    session.beat()  # planning may have taken long; who looks dead has its work swept
    try:
        task.save(task.files, folder)
        data = json.dumps([asdict(unit) for unit in units]).encode()
        task.files.write_bytes(f"{folder}/{_UNITS}", data)
        reach("job.shared")
        yield session.id
    finally:
        remove_shared(task.files, session.id)


def receive(load: TaskLoader, files: Files, name: str) -> tuple[Task[Any, Any], list[TaskUnit]]:
    """Read a task and its units that another process shares."""
    folder = f"{JOBS}/{name}"
    units = [TaskUnit(**fields) for fields in json.loads(files.read(f"{folder}/{_UNITS}"))]
    return load(files, folder), units


def remove_shared(files: Files, name: str) -> None:
    """Remove what was shared by a name, or what is left of it."""
    folder = f"{JOBS}/{name}"
    for file in files.names(folder):
        files.delete(f"{folder}/{file}")
    files.delete_folder(folder)
    files.delete_folder(JOBS)


def sweep_shared(files: Files, session: Session) -> None:
    """Remove what processes shared that are dead now."""
    for name in files.folders(JOBS):
        if not session.is_alive(name):
            remove_shared(files, name)


def name_of(load: TaskLoader) -> str:
    """Return a loader as ``module:function``, by which another process finds it.

    Raises:
        VideoprepError: It is not a function at the top of a module.
    """
    module, name = getattr(load, "__module__", ""), getattr(load, "__qualname__", "")
    if module == "__main__" or not name.isidentifier():
        raise VideoprepError(
            f"other processes cannot import {module}.{name}",
            remedy="define it at the top of a module that they can import",
        )
    return f"{module}:{name}"


def loader_named(name: str) -> TaskLoader:
    """Return the loader of a ``module:function``."""
    module, _, function = name.partition(":")
    load: TaskLoader = getattr(importlib.import_module(module), function)
    return load
