"""Files of dead processes are swept, those of living ones are not; modes follow the umask."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.support.small_store import Small, differences, hidden, receipts, result_of, wait_until
from tests.support.warm import Process


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_modes(small: Small, umask: int) -> None:
    assert small.run(umask=umask).returncode == 0
    for path in small.store.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def _dead() -> int:
    """The number of a process that is no more."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_leftovers_of_the_dead_are_swept(small: Small) -> None:
    """Of any kind, in any folder, at once."""
    small.copy_whole()
    folders = ["", *{str(path.parent.relative_to(small.store)) for path in receipts(small.store)}]
    owner = f"{socket.gethostname()}-{_dead()}"
    left = []
    for folder in [*folders, ".claims", ".sessions"]:
        path = small.store / folder / f".file.{owner}-0123abcd.tmp"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        left.append(path)
    (small.store / f".sessions/{owner}-0123abcd.lock").touch()
    (small.store / f".jobs/{owner}-0123abcd").mkdir(parents=True)
    (small.store / f".jobs/{owner}-0123abcd/job.json").write_text("{}")
    claim = f'{{"name": "x", "session": "{owner}-0123abcd", "current": []}}'
    (small.store / ".claims/video_latents-0123-5x64x96-0123.json").write_text(claim)
    result = small.finish()
    assert result["encoded"] == 0
    assert sorted(result["swept"]) == sorted(str(path.relative_to(small.store)) for path in left)


def test_a_zombie_is_dead(small: Small) -> None:
    """Its parent may have been killed, too, and nobody else may care."""
    small.copy_whole()
    pid = os.fork()
    if not pid:
        os._exit(0)
    try:
        stat_file = Path(f"/proc/{pid}/stat")
        wait_until(lambda: ") Z " in stat_file.read_text())
        left = small.store / f".file.{socket.gethostname()}-{pid}-0123abcd.tmp"
        left.write_bytes(b"half")
        assert small.finish()["swept"] == [left.name]
    finally:
        os.waitpid(pid, 0)


def _owned(small: Small, process: Process) -> Path:
    """The temporary file that a process is writing."""
    pattern = f"*/*/.1x64x96-*-{process.pid}-*.tmp"
    wait_until(lambda: list(small.store.glob(pattern)))
    return next(small.store.glob(pattern))


def test_those_of_the_living_are_not(small: Small) -> None:
    """However old it is. What a process that is stopped has in hand is made by the next one."""
    slow = small.start(VIDEOPREP_FAILPOINTS="file.written=stop@/1x64x96-")
    path = _owned(small, slow)
    os.utime(path, (0, 0))
    other = small.start(TEST_SILENT_SECONDS="3")
    assert other.wait() == 0
    assert path.exists()
    assert differences(small.store, small.whole) == []
    slow.signal(signal.SIGCONT)
    assert slow.wait() == 0, slow.stderr
    small.require_whole()


def test_those_of_another_machine_are_swept_when_they_are_old(small: Small) -> None:
    small.copy_whole()
    new, old = (small.store / f".file.elsewhere-{n}-0123abcd.tmp" for n in (1, 2))
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert result_of(small.run())["swept"] == [old.name]
    assert hidden(small.store) == [new.name]


def test_a_strangers_file_is_left_alone(small: Small) -> None:
    small.copy_whole()
    for name in (".nfs0001", ".DS_Store", ".notes.tmp.swp"):
        (small.store / name).write_text("mine")
    run = small.run()
    assert (run.returncode, result_of(run)["swept"]) == (0, [])
    assert len(hidden(small.store)) == 3
