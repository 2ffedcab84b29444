"""Looking at this process's children."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def children(parent: int | None = None) -> dict[int, str]:
    """A process's children and their states; Z: a zombie."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[1]) == (parent or os.getpid()):
                found[int(entry.name)] = fields[0]
    return found


def cpu_seconds(process: int) -> float:
    """Processor time that a process has taken; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def nothing_left() -> Iterator[None]:
    """No process and no file descriptor outlives what is done meanwhile."""
    processes, files = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert children().keys() <= processes.keys()
    assert len(os.listdir("/proc/self/fd")) <= files
