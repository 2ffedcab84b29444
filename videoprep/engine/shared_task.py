"""The task and its units, as one process shares them with the others of its run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from videoprep.engine.activity import JOBS
from videoprep.engine.sessions import Session
from videoprep.engine.task import Opened, Result, Task, TaskLoader, TaskUnit
from videoprep.errors import VideoprepError
from videoprep.failpoints import reach
from videoprep.fs import Files

_UNITS = "units.json"


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
