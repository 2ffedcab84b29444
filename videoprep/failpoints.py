"""Named places at which a test makes the process fail, to prove that nothing is lost there.

A place does nothing unless the environment variable ``VIDEOPREP_FAILPOINTS`` names it::

    VIDEOPREP_FAILPOINTS="file.written=kill*2@.safetensors,decode=segv@b.mp4"

that is ``NAME=ACTION``, then ``*N`` to act at the Nth time only (the first by default; ``*0``: at
every time), and ``@TEXT`` to act only where the place's detail contains that text. With
``VIDEOPREP_FAILPOINTS_ONCE=FILE`` only one process acts, the one that can create the file. With
``VIDEOPREP_FAILPOINTS_LOG=FILE`` every process writes there by which places it comes.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from dataclasses import dataclass
from functools import cache

POINTS = (
    "store.claimed",
    "file.read",
    "job.shared",
    "unit.claimed",
    "decode",
    "clip.encoding",
    "clip.encoded",
    "file.begun",
    "file.written",
    "file.synced",
    "file.placed",
    "film.decoding",
    "caption.answered",
    "caption.written",
    "unit.committed",
    "run.finished",
)
"""Every place, in the order in which a run comes by. The details of ``file`` are paths."""

_SIGNALS = {
    "kill": signal.SIGKILL,
    "segv": signal.SIGSEGV,
    "abort": signal.SIGABRT,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
}
_ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO}
_RULE = re.compile(r"(?P<name>[\w.]+)=(?P<action>\w+)(\*(?P<nth>\d+))?(@(?P<detail>.+))?")


@dataclass(slots=True)
class _FailRule:
    action: str
    nth: int
    detail: str
    reached: int = 0


def reach(name: str, detail: str = "") -> None:
    """Comes by a place; fails there if a test wants it.

    Args:
        name: one of `POINTS`.
        detail: what is being worked on.

    Raises:
        OSError: a test wants the file system to fail here.
        MemoryError: a test wants memory to be used up here.
    """
    log = _log()
    if log is not None:
        os.write(log, f"{os.getpid()} {name} {detail}\n".encode())
    rule = _rules().get(name)
    if rule is None or rule.detail not in detail:
        return
    rule.reached += 1
    if rule.nth in (0, rule.reached) and _is_first():
        _act(rule.action, name)


def forget() -> None:
    """Reads the environment anew at the next place."""
    _rules.cache_clear()
    _log.cache_clear()


@cache
def _rules() -> dict[str, _FailRule]:
    rules: dict[str, _FailRule] = {}
    for text in filter(None, os.environ.get("VIDEOPREP_FAILPOINTS", "").split(",")):
        match = _RULE.fullmatch(text)
        if match is None or match["name"] not in POINTS:
            raise ValueError(f"VIDEOPREP_FAILPOINTS: {text!r} is no failpoint")
        rules[match["name"]] = _FailRule(
            match["action"], int(match["nth"] or 1), match["detail"] or ""
        )
    return rules


@cache
def _log() -> int | None:
    file = os.environ.get("VIDEOPREP_FAILPOINTS_LOG")
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) if file else None


def _is_first() -> bool:
    mark = os.environ.get("VIDEOPREP_FAILPOINTS_ONCE")
    if mark is None:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _act(action: str, name: str) -> None:
    if action == "stop":
        # To this thread, which would run on until another one has taken the signal.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    elif action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[action])
    elif action in _ERRORS:
        # A write that fails names no file: its caller has to.
        raise OSError(_ERRORS[action], os.strerror(_ERRORS[action]))
    elif action == "memory":
        raise MemoryError(f"failpoint {name}")
    elif action == "hang":
        while True:
            time.sleep(3600)
    elif action == "pause":
        time.sleep(1)
    else:
        raise ValueError(f"VIDEOPREP_FAILPOINTS: there is no action {action!r}")
