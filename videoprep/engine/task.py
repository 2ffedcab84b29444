"""`Task`: resumable, distributed work cut into units, and what the engine has to know of it."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from videoprep.engine.progress import Phase, UnitGroup
from videoprep.fs import Files

if TYPE_CHECKING:
    from videoprep.engine.rank import ClaimedUnit, RankContext

Opened = TypeVar("Opened")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TaskUnit:
    """What is committed at once."""

    folder: str
    """The folder of its receipt, in the task's files."""
    name: str
    """Its name, unique in the folder, and the same in every run of the task."""
    stage: str
    """The name of the stage that does it."""
    group: str
    """The name of the group in which it is counted."""
    cost: int = 1
    """What doing it costs, compared with the others of its phase."""
    items: int = 1
    """How many items it consists of, of which each is done or fails for itself."""

    @property
    def id(self) -> str:
        """``folder/name``."""
        return f"{self.folder}/{self.name}"

    @property
    def receipt(self) -> str:
        """The file that makes the unit committed, unless its task says otherwise."""
        return f"{self.id}.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """Units for which one thing is opened, such as a model. Stages come one after the other."""

    name: str
    phase: str
    """The name of the phase in which it is timed."""
    cpus: float = 1
    """CPU cores that one process of it takes, for executors that allot them."""
    gpus: float = 0
    """GPUs that one process of it takes, likewise."""


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """What a task is called and consists of."""

    items: str
    """What its items are called, in the plural, such as ``files``."""
    phases: Sequence[Phase]
    """In the order in which they come."""
    stages: Sequence[Stage]
    """In the order in which they come."""
    groups: Sequence[UnitGroup]
    """In the order in which progress shows them."""
    failures: str = "what is done so far is kept"
    """Where the user sees what failed, as a remedy."""


@dataclass(frozen=True, slots=True)
class JobShare:
    """Which of several jobs that do not talk to each other this is, such as one of a job array."""

    number: int = 0
    """Which one, from 0."""
    count: int = 1
    """How many there are."""

    def of(self, units: Sequence[TaskUnit]) -> list[TaskUnit]:
        """Return this job's units. Every job has to give all units of the task, in one order."""
        owners = deal([unit.cost for unit in units], self.count)
        return [unit for unit, owner in zip(units, owners, strict=True) if owner == self.number]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task is run, whatever it does."""

    device: str = "auto"
    """The device on which stages are opened, as torch calls it; ``auto`` is a GPU if there is."""
    share: JobShare = field(default_factory=JobShare)
    """Which of several independent jobs this is."""
    max_failures: int | None = None
    """Stop after more failures than this, over all ranks; None: never."""
    watchdog: float = 1800.0
    """Abort if a step that is watched, or a commit, takes longer, in seconds; 0: never."""


class Task(Protocol[Opened, Result]):
    """Resumable, distributed work cut into units.

    `units` is called in one process, which then calls `save`. The others are called in every
    process that takes part; see `videoprep.engine.run.run_task`.
    """

    files: Files
    """Where claims, sessions and receipts lie."""

    def describe(self) -> TaskDescription:
        """Return what the task is called and consists of."""

    def units(self, share: JobShare) -> Sequence[TaskUnit]:
        """Return the units of a job, the whole task's if there is one. May have committed ones."""

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        """Return the ids of the given units that are committed; see `receipts_of`."""

    def process(self, rank: RankContext) -> AbstractContextManager[object]:
        """Enter what this process needs whatever it does, such as processes of its own."""

    def open(self, stage: str, rank: RankContext) -> AbstractContextManager[Opened]:
        """Return what a stage needs, such as a model on its device, closed when its block ends."""

    def run(
        self, opened: Opened, works: Iterator[ClaimedUnit], rank: RankContext
    ) -> Generator[tuple[ClaimedUnit, Result], None, None]:
        """Yield the result of each unit, in any order.

        Taking the next of ``works`` claims it, so take it when it is needed. Several units may be
        in progress at once, such as one that is read while another one is computed.
        """

    def commit(self, work: ClaimedUnit, result: Result) -> int:
        """Make a unit exist, and return how many of its items failed.

        Called in a thread. The last thing written decides, and has to be written whole or not at
        all: two processes may do one unit, and the first commit wins (`Files.create`).
        """

    def save(self, files: Files, folder: str) -> None:
        """Write to a folder what other processes need to take part; a `TaskLoader` reads it."""


class TaskLoader(Protocol):
    """A function of a module that makes a task from what `Task.save` wrote."""

    def __call__(self, files: Files, folder: str) -> Task[Any, Any]:
        """Return the task."""


def receipts_of(files: Files, units: Sequence[TaskUnit]) -> set[str]:
    """Return the ids of the given units that have receipts."""
    if len(units) == 1:  # the folder of a large task has many files
        return {unit.id for unit in units if files.size(unit.receipt) is not None}
    there = {folder: set(files.names(folder)) for folder in {unit.folder for unit in units}}
    return {unit.id for unit in units if f"{unit.name}.json" in there[unit.folder]}


def most_expensive_first(units: Iterable[TaskUnit]) -> list[TaskUnit]:
    """Return units in the order of claiming: long ones last would leave others idle at the end."""
    return sorted(units, key=lambda unit: (-unit.cost, unit.group, unit.id))


def deal(costs: Sequence[int], shares: int) -> list[int]:
    """Return the share of each of some units, so that the shares cost about the same.

    The most expensive one goes first, each to the share that has the least::

        deal([5, 3, 3, 2, 1], 2)  # [0, 1, 1, 0, 1]: 7 and 7
    """
    owners = [0] * len(costs)
    loads = [(0, share) for share in range(shares)]
    for at in sorted(range(len(costs)), key=lambda n: (-costs[n], n)):
        load, owners[at] = heapq.heappop(loads)
        heapq.heappush(loads, (load + costs[at], owners[at]))
    return owners
