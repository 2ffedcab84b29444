"""Processes of the command line that start at once: forked from one that has imported everything.

Starting Python with torch takes seconds; what the tests of faults and ranks are about is over in
one. So a server imports all once, and forks a child a command. Each is a real process, with a
process group, descriptors and an environment of its own, that ends in any way a process can end.
What it starts in turn, decode workers or torchrun's ranks, is forked from it in the same way,
after every descriptor that it would not have inherited is closed.

`python -m tests.support.warm` is the server; `Warm` is what tests use.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import videoprep

REPOSITORY = Path(__file__).parents[2]

_FORKED = ("videoprep", "tests.engine.hash_task")
"""Modules whose processes, if torchrun starts them, are forked, too."""

_PRELOADED = (
    "tests.engine.hash_task",
    "pandas",
    "peft",
    "sentencepiece.sentencepiece_model_pb2",
    "torch.distributed.run",
    "torch.distributed.elastic.agent.server.local_elastic_agent",
    "torch.distributed.elastic.rendezvous.c10d_rendezvous_backend",
    "torchvision.transforms.v2.functional",
    "torch.utils.tensorboard",
    "diffusers.models.autoencoders.autoencoder_kl_cogvideox",
    "diffusers.models.transformers.cogvideox_transformer_3d",
    "diffusers.schedulers.scheduling_ddim_cogvideox",
    "transformers.models.t5.modeling_t5",
    "transformers.models.t5.tokenization_t5",
    "transformers.models.auto",
)
"""And every module of videoprep."""


class Process:
    """A process that the server has forked."""

    def __init__(self, warm: Warm, pid: int, folder: Path) -> None:
        self._warm = warm
        self._folder = folder
        self.pid = pid
        self.returncode: int | None = None

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text(encoding="utf-8")

    def poll(self) -> int | None:
        if self.returncode is None:
            status = self._warm.ask(do="poll", pid=self.pid)["status"]
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 300.0) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                self.kill_tree()
                raise AssertionError(f"it has not ended for {timeout} s:\n{self.stderr}")
            time.sleep(0.01)
        return code

    def signal(self, number: int) -> None:
        """Sends a signal to this process alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> int:
        """SIGKILL, and its exit status."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def kill_tree(self) -> int:
        """SIGKILL to it and all that it has started, at once."""
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return self.wait()


class Warm:
    """The server, and what it is asked for. Use it in a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._started: list[Process] = []
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_all()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def start(
        self,
        *arguments: object,
        module: str = "videoprep",
        cwd: Path | None = None,
        umask: int = 0o022,
        **environment: str,
    ) -> Process:
        """Starts ``python -m MODULE ARGUMENTS``, or ``python PROGRAM.py ARGUMENTS``."""
        self._number += 1
        folder = self._folder / f"process-{os.getpid()}-{self._number}"
        folder.mkdir()
        answer = self.ask(
            do="start",
            module=module,
            arguments=[str(argument) for argument in arguments],
            environment={**os.environ, **environment},
            folder=str(folder),
            cwd=str(cwd or folder),
            umask=umask,
        )
        process = Process(self, answer["pid"], folder)
        self._started.append(process)
        return process

    def start_ranks(
        self, *arguments: object, ranks: int, restarts: int = 0, **environment: str
    ) -> Process:
        """Starts videoprep under torchrun, or without it if there are 0 ranks."""
        if not ranks:
            return self.start(*arguments, **environment)
        agent = ["--standalone", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
        agent += ["--monitor-interval=0.05", "-m", "videoprep"]
        return self.start(*agent, *arguments, module="torchrun", **environment)

    def run(self, *arguments: object, timeout: float = 300.0, **options: Any) -> Process:
        """Starts it and waits for its end."""
        process = self.start(*arguments, **options)
        process.wait(timeout)
        return process

    def end_all(self) -> None:
        """Ends what tests have left running, and forgets all."""
        for process in self._started:
            if process.poll() is None:
                process.kill_tree()
            shutil.rmtree(process._folder, ignore_errors=True)
        self._started.clear()

    def ask(self, **request: object) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and those that they have."""
    known = _children()
    found, waiting = [], [pid]
    while waiting:
        own = known.get(waiting.pop(), [])
        found += own
        waiting += own
    return found


def _children() -> dict[int, list[int]]:
    """The processes that each process has started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def ranks_of(torchrun: int) -> dict[int, int]:
    """The ranks that a torchrun has started: process numbers by rank."""
    found = {}
    for pid in _children().get(torchrun, []):
        rank = _ranks_mark(pid)
        if rank is not None:
            found[rank] = pid
    return found


def _ranks_mark(pid: int) -> int | None:
    """The name of a process that was forked as a rank ends in its number."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return int(name.removeprefix("rank-")) if name.startswith("rank-") else None


# What follows runs in the server and in what it forks.


def _serve() -> None:
    modules = [module.name for module in pkgutil.walk_packages(videoprep.__path__, "videoprep.")]
    for name in (*_PRELOADED, *modules):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    import torch
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("t5")  # its first call compiles a thousand expressions

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    gc.collect()
    gc.freeze()
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        if request["do"] == "start":
            answer = {"pid": _fork(lambda request=request: _begin(request))}
        else:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = {"status": status if pid else None}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _fork(child: Callable[[], object]) -> int:
    """Runs a function in a new process, which ends with it."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        gc.freeze()  # what the parent has is the parent's to finalize
        # Under `nohup`, or in the background of a shell, these are ignored.
        ignored = (signal.SIGINT, signal.SIGHUP)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)) or number in ignored:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
        child()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException:  # noqa: BLE001 (as Python itself does at a program's end)
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                continue
        os._exit(code)
    raise AssertionError


def _begin(request: Mapping[str, Any]) -> None:
    folder = Path(request["folder"])
    descriptors = {
        0: os.open(os.devnull, os.O_RDONLY),
        1: os.open(folder / "stdout", os.O_WRONLY | os.O_CREAT, 0o666),
        2: os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT, 0o666),
    }
    os.setsid()
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    _become(descriptors, (), request["environment"])
    _run_module(request["module"], request["arguments"])


def _become(
    descriptors: Mapping[int, int], kept: Sequence[int], environment: Mapping[str, str] | None
) -> None:
    """Lets go of all that a new program would not have."""
    for number, descriptor in descriptors.items():
        os.dup2(descriptor, number)
    # In their place is nothing, so that a number which an object of the parent's still has is not
    # another file's.
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number not in kept and number != nothing:
            try:
                os.fstat(number)
            except OSError:
                continue  # the listing's own
            os.dup2(nothing, number, inheritable=False)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    _settle()


def _settle() -> None:
    """What the environment decides and was decided when the server began."""
    from videoprep import failpoints
    from videoprep.encoding import units
    from videoprep.engine import heartbeat, progress, sessions

    failpoints.forget()
    faulthandler.register(signal.SIGUSR2, all_threads=True)  # to see where one hangs
    silent = os.environ.get("TEST_SILENT_SECONDS")
    if silent:
        progress.SILENT_SECONDS = heartbeat.SILENT_SECONDS = float(silent)
        sessions._SILENT_SECONDS = float(silent)
        heartbeat.BEAT_SECONDS = float(silent) / 4
    parts = os.environ.get("TEST_UNIT_PARTS")
    if parts:
        units.PARTS = int(parts)
    trouble = os.environ.get("TEST_SPOILED")
    if trouble:
        from tests.support.spoiled import spoil

        spoil(trouble)
    rank = os.environ.get("RANK")
    if rank is not None:
        Path("/proc/self/comm").write_text(f"rank-{rank}")


def _run_module(module: str, arguments: Sequence[str]) -> None:
    sys.argv = [module, *arguments]
    if module == "videoprep":
        from videoprep.cli.app import main

        main()
    elif module.endswith(".py"):
        sys.path.insert(0, str(Path(module).parent))
        runpy.run_path(module, run_name="__main__")
    elif module == "torchrun":
        from torch.distributed.run import main as torchrun

        torchrun(list(arguments))
    else:
        importlib.import_module(module).main(list(arguments))


_execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]


def _execute_child(self: Any, args: Any, *rest: Any) -> None:
    """In place of `subprocess.Popen`'s own: this Python is forked where it can be."""
    run = _runnable(args)
    if run is None:
        return _execute(self, args, *rest)
    _, _, _, pass_fds, cwd, env = rest[:6]
    p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[9:15]
    start_new_session = rest[20]

    def child() -> None:
        if start_new_session:
            os.setsid()
        if cwd is not None:
            os.chdir(cwd)
        given = {0: p2cread, 1: c2pwrite, 2: errwrite}
        given = {number: descriptor for number, descriptor in given.items() if descriptor != -1}
        _become(given, [*pass_fds], None if env is None else env)
        run()

    self.pid = _fork(child)
    self._child_created = True
    for own, other in ((p2cread, p2cwrite), (c2pwrite, c2pread), (errwrite, errread)):
        if own != -1 and other != -1:
            os.close(own)  # of a pipe; a file that was given is the caller's
    devnull = getattr(self, "_devnull", None)
    if devnull is not None:
        os.close(devnull)


def _runnable(args: Any) -> Callable[[], object] | None:
    if not isinstance(args, (list, tuple)) or args[0] != sys.executable:
        return None
    rest = list(args[1:])
    if rest[:2] == ["-I", "-c"]:

        def code() -> None:
            sys.argv = ["-c", *rest[3:]]
            exec(rest[2], {"__name__": "__main__"})

        return code
    if rest[:1] == ["-u"]:
        rest = rest[1:]
    if rest[:1] == ["-m"] and rest[1] in _FORKED:
        return lambda: _run_module(rest[1], rest[2:])
    return None


def _main() -> NoReturn:
    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' own
    _serve()
    sys.exit(0)


if __name__ == "__main__":
    _main()
