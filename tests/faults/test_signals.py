"""SIGTERM and Ctrl-C: what is finished is committed; a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_store import Small, differences, hidden, receipts, wait_until
from tests.support.warm import Process, ranks_of

_PLACES = [
    "store.claimed={}",
    "unit.claimed={}*1",
    "unit.claimed={}*5",
    "clip.encoding={}@b.mp4",
    "clip.encoded={}*2",
    "clip.encoded={}*7",
    "unit.committed={}*4",
    "file.written={}@/catalogue.parquet",
    "file.placed={}@/index.parquet",
]


@pytest.mark.parametrize(
    ("place", "name", "code"),
    [
        *((place, "term", 143) for place in _PLACES),
        *(
            # The two differ in their exit code alone, once they are caught.
            pytest.param(place, "int", 130, marks=[] if "unit" in place else [pytest.mark.slow])
            for place in _PLACES
        ),
    ],
)
def test_a_signal(small: Small, place: str, name: str, code: int) -> None:
    stopped = small.run(VIDEOPREP_FAILPOINTS=place.format(name))
    assert stopped.returncode == code, stopped.stderr
    assert "Traceback" not in stopped.stderr
    small.require_sound()
    assert hidden(small.store) == [], "it has had the time to tidy up"
    small.finish()


def _is_pending(pid: int, number: int) -> bool:
    """Whether a signal has not reached a process yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [
        line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    ]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def test_what_was_complete_is_committed(small: Small) -> None:
    """Two captions are encoded; of the third, whose turn it is, nothing is begun."""
    stopped = small.run(VIDEOPREP_FAILPOINTS="clip.encoded=term*2")
    assert stopped.returncode == 143
    assert len(receipts(small.store)) == 2
    small.finish()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_at_once(small: Small, tmp_path: Path, number: int, code: int) -> None:
    log = tmp_path / "log"
    stuck = small.start(
        VIDEOPREP_FAILPOINTS="clip.encoded=hang*4", VIDEOPREP_FAILPOINTS_LOG=str(log)
    )
    wait_until(lambda: log.exists() and log.read_text().count(" clip.encoded ") == 4)
    stuck.signal(number)
    wait_until(lambda: not _is_pending(stuck.pid, number))
    assert stuck.poll() is None
    stuck.signal(number)
    assert stuck.wait() == code
    assert "stopped at once; what is committed stays" in stuck.stderr
    small.require_sound()
    small.finish()


def test_a_signal_while_a_clip_is_being_decoded(small: Small, tmp_path: Path) -> None:
    """Waiting for pixels is no work that is finished first."""
    log = tmp_path / "log"
    waiting = small.start(
        VIDEOPREP_FAILPOINTS="decode=hang*0@b.mp4", VIDEOPREP_FAILPOINTS_LOG=str(log)
    )
    wait_until(lambda: log.exists() and "/b.mp4" in log.read_text())
    waiting.signal(signal.SIGTERM)
    assert waiting.wait() == 143
    small.require_sound()
    small.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_torchrun_is_told_to_stop(small: Small, number: int) -> None:
    """It passes the signal on, waits, and ends with a status of its own."""
    process = small.start(ranks=2, VIDEOPREP_FAILPOINTS="unit.claimed=pause*0")
    wait_until(lambda: len(receipts(small.store)) >= 2)
    ranks = list(ranks_of(process.pid).values())
    process.signal(number)
    assert process.wait() in (1, 128 + number, -number)
    assert not any(os.path.exists(f"/proc/{rank}") for rank in ranks)
    small.require_sound()
    assert hidden(small.store) == []
    assert len(receipts(small.store)) < 9
    small.finish(ranks=2)


def test_ctrl_c_in_a_terminal_comes_twice_under_torchrun(small: Small) -> None:
    """From the terminal and from torchrun's agent: that is one, and the ranks end in order."""
    process: Process = small.start(ranks=2, VIDEOPREP_FAILPOINTS="unit.claimed=pause*0")
    wait_until(lambda: len(receipts(small.store)) >= 2)
    for pid in [*ranks_of(process.pid).values(), process.pid]:
        os.kill(pid, signal.SIGINT)
    process.wait()
    assert "stopped at once" not in process.stderr
    small.require_sound()
    assert hidden(small.store) == []
    small.finish()


def test_a_signal_where_python_swallows_exceptions() -> None:
    """It would be lost: torchrun would wait for half a minute, and a person for ever."""
    code = """
import os, signal, time
from videoprep.cli import app

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

signal.signal(signal.SIGTERM, app._stop)
Finalized()
time.sleep(600)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert "Exception ignored" in done.stderr
    assert done.returncode == 143


def test_the_terminal_is_gone(small: Small) -> None:
    """SIGHUP ends it like SIGKILL does."""
    process = small.start(VIDEOPREP_FAILPOINTS="unit.claimed=pause*0")
    wait_until(lambda: len(receipts(small.store)) >= 1)
    process.signal(signal.SIGHUP)
    assert process.wait() == -signal.SIGHUP
    small.finish()
    assert differences(small.store, small.whole) == []
