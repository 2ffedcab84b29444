"""Who works on a store."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from videoprep.engine.sessions import Session, sessions_at
from videoprep.fs import LocalFiles


def _no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "no locks here")


@pytest.mark.parametrize("locks", [True, False])
def test_a_process_that_was_killed_is_dead_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    if not locks:
        monkeypatch.setattr(fcntl, "flock", _no_locks)
    files = LocalFiles(tmp_path)
    child = os.fork()
    if child == 0:
        Session(files).__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with Session(files) as own:
        found = sessions_at(files)
        assert len(found) == 2
        assert [session for session, alive in found.items() if alive] == [own.id]
