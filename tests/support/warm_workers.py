"""Workers that start at once: forked from a process that has imported what they need.

The package starts a fresh Python for each worker that opens videos. Half a second of computing is
little for a dataset, and much for the thousands of workers of the tests. `warm_workers` starts
them from one small process instead. Each is a real process still, with descriptors, limits and an
environment of its own; tests of the workers themselves use fresh ones (``fresh_workers``).

`python -m tests.support.warm_workers` is the process that forks.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.support.warm import REPOSITORY
from videoprep import failpoints
from videoprep.workers import pool

_PRELOADED = ("videoprep.media.inspector", "videoprep.media.loader")
_PYTHON = sys.executable
_MOST = 1 << 17
"""Bytes of a request: an environment, above all."""

_LOOK_SECONDS = 0.005
_HIGH = 500
"""Descriptors from here on stand in nobody's way."""


class _Starter:
    """The process that forks, and what it is asked for. It is started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._server: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this process may ask: none that it has forked, and none after the tests."""
        return os.getpid() == self._owner

    def ask(self, request: Mapping[str, object], files: Sequence[int] = ()) -> Any:
        with self._lock:
            line = self._line or self._start()
            socket.send_fds(line, [json.dumps(request).encode()], files)
            return json.loads(line.recv(_MOST))

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_workers", str(theirs.fileno())],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **pool._ENVIRONMENT},
                pass_fds=[theirs.fileno()],
            )
        self._line = ours
        return ours

    def close(self) -> None:
        self._owner = 0
        if self._line is not None and self._server is not None:
            self._line.close()
            self._server.wait()


class _Worker(subprocess.Popen[bytes]):
    """A worker whose parent is the process that forks: it is asked how the worker ended."""

    starter: _Starter
    _is_forked = False

    def _execute_child(self, args: Any, *rest: Any) -> None:
        if not (self.starter.is_mine and _is_known(args)):
            return super()._execute_child(args, *rest)  # type: ignore[misc]
        _, _, _, pass_fds, _, env = rest[:6]
        p2cread, _, _, c2pwrite, _, errwrite = rest[9:15]
        numbers = [0, 1, 2, *pass_fds]
        request = {"run": args[3:], "env": dict(env), "cwd": os.getcwd(), "numbers": numbers}
        answer = self.starter.ask(request, [p2cread, c2pwrite, errwrite, *pass_fds])
        self._is_forked = True
        self.pid = answer
        self._child_created = True
        os.close(p2cread)
        os.close(c2pwrite)

    def _internal_poll(self, *state: Any, **more: Any) -> int | None:
        if not self._is_forked:
            return super()._internal_poll(*state, **more)  # type: ignore[misc,no-any-return]
        if self.returncode is None and self.starter.is_mine:
            self._handle_exitstatus(self._try_wait(os.WNOHANG)[1])
        return self.returncode

    def _handle_exitstatus(self, sts: int | None, *more: Any) -> None:
        if not self._is_forked:
            super()._handle_exitstatus(sts, *more)  # type: ignore[misc]
        elif sts is not None:
            self.returncode = os.waitstatus_to_exitcode(sts)

    def _try_wait(self, flags: int) -> tuple[int, int | None]:
        if not self._is_forked:
            return super()._try_wait(flags)  # type: ignore[misc,no-any-return]
        while (status := self.starter.ask({"wait": self.pid})) is None and not flags:
            time.sleep(_LOOK_SECONDS)
        return (0, None) if status is None else (self.pid, status)


def _is_known(args: Sequence[str]) -> bool:
    """Whether it is one of the package's workers, and no test wants another program."""
    return args[0] == _PYTHON and any(f"from {name} import serve" in args[3] for name in _PRELOADED)


@contextmanager
def warm_workers() -> Iterator[SimpleNamespace]:
    """What workers are started by instead: put it in place of ``videoprep.workers.pool``'s own."""
    starter = _Starter()
    worker = type("WarmWorker", (_Worker,), {"starter": starter})
    names = {name: getattr(subprocess, name) for name in ("PIPE", "TimeoutExpired")}
    try:
        yield SimpleNamespace(Popen=worker, **names)
    finally:
        starter.close()


# What follows runs in the process that forks, and in what it forks.


def _serve(line: socket.socket) -> None:
    while True:
        data, files, _, _ = socket.recv_fds(line, _MOST, 64)
        if not data:
            return
        request = json.loads(data)
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            answer = status if pid else None
        else:
            if _resizes(request["run"]):
                importlib.import_module("torch")
            answer = _fork(request, files, line)
        for file in files:
            os.close(file)
        line.send(json.dumps(answer).encode())


def _resizes(run: Sequence[str]) -> bool:
    """Whether a worker begins by importing torch: see ``serve`` of the loader."""
    return "videoprep.media.loader" in run[0] and run[5] != "0"


def _fork(request: Mapping[str, Any], files: Sequence[int], line: socket.socket) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        line.close()
        _become(request, files)
        sys.argv = ["-c", *request["run"][1:]]
        exec(request["run"][0], {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 (as Python itself does at a program's end)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _become(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Takes the descriptors, under their numbers, the folder and the environment."""
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, _HIGH) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(moved, request["numbers"], strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    failpoints.forget()
    signal.pthread_sigmask(signal.SIG_BLOCK, pool.STOPPING)


def _main() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' own
    for name in _PRELOADED:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as line:
        _serve(line)
    sys.exit(0)


if __name__ == "__main__":
    _main()
