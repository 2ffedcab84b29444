"""Files that are hashed by the example task, and what must be true of the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.engine.hash_task import HashTask, load
from tests.support.small_store import differences, hidden
from videoprep.engine.run import TaskPlan
from videoprep.fs import LocalFiles

FILES = 7
"""How many files there are; one of them is empty."""


def plan_of(source: Path, output: Path) -> TaskPlan:
    files = LocalFiles(output)
    return TaskPlan(lambda: HashTask(source, files), load, files)


@dataclass(frozen=True)
class Hashing:
    """Files that are hashed, and what comes out if nothing disturbs it."""

    source: Path
    output: Path
    whole: Path

    @property
    def plan(self) -> TaskPlan:
        return plan_of(self.source, self.output)

    def require_whole(self) -> None:
        assert differences(self.output, self.whole) == []
        assert hidden(self.output) == []
