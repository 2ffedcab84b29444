"""The connection to a Ray cluster, and how ranks on it agree."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from videoprep.engine.coordination import CoordinatorLostError
from videoprep.errors import VideoprepError

_REACH_SECONDS = 10.0
_CONNECT_SECONDS = 90.0
_DISCONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_POLL_SECONDS = 0.5
_CPUS_OF_ONE = 4.0  # one process gains little from more


class RayClusterError(VideoprepError):
    """The Ray cluster cannot be reached."""


def import_ray() -> ModuleType:
    """Return Ray's module.

    Raises:
        VideoprepError: It is not installed.
    """
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise VideoprepError(
            "Ray is not installed", remedy="pip install 'videoprep[ray]'", option="executor"
        ) from error
    module: ModuleType = ray
    return module


@contextmanager
def connected(address: str | None) -> Iterator[ModuleType]:
    """Connect to a cluster for the time of the block; one that is connected to already is used."""
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    _require_answer(address or os.environ.get("RAY_ADDRESS"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
    ended = threading.Event()
    connection = _connect(ray, address, ended)
    try:
        yield ray
    except CoordinatorLostError:
        atexit.unregister(ray.shutdown)  # it would wait for the cluster until Ray ends the process
        raise
    finally:
        ended.set()
        connection.join(_DISCONNECT_SECONDS)


def share_of_node(*, gpu: bool) -> tuple[float, float]:
    """Return how many CPUs and GPUs of a node one process may have, on the connected cluster.

    With GPUs, each process has one, and its share of the cores of the node with the fewest per
    GPU: 64 cores and 8 GPUs make 8 and 1. Without them, a few cores.

    Args:
        gpu: whether GPUs are used if the cluster has any.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    shares = [node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0) >= 1]
    if gpu and shares:
        return min((share for share in shares if share >= 1), default=1.0), 1.0
    return max(1.0, min(_CPUS_OF_ONE, max(node.get("CPU", 0) for node in nodes))), 0.0


def _connect(ray: ModuleType, address: str | None, ended: threading.Event) -> threading.Thread:
    """Connect in a thread. The thread disconnects when the work has ended.

    Ray tries for minutes to reach a cluster that is gone, and hears no signals meanwhile. And a
    cluster that is started here ends with the thread that has started it.
    """
    errors: queue.Queue[BaseException | None] = queue.Queue()

    def connect() -> None:
        try:
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except BaseException as error:  # noqa: BLE001 (raised by the main thread)
            errors.put(error)
        else:
            errors.put(None)
            ended.wait()
            ray.shutdown()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    try:
        error = errors.get(timeout=_CONNECT_SECONDS)
    except queue.Empty:
        error = TimeoutError(f"no answer for {_CONNECT_SECONDS:.0f} s")
    if isinstance(error, (ray.exceptions.RayError, OSError, RuntimeError, ValueError)):
        raise _unreachable(address, str(error)) from error
    if error is not None:
        raise error
    return thread


def _require_answer(address: str | None) -> None:
    """Find out soon that nobody answers at an address; Ray itself tries for minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # a word such as ``auto``
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str | None, reason: str) -> RayClusterError:
    named = address or os.environ.get("RAY_ADDRESS") or "this machine"
    first = next(filter(None, reason.splitlines()), "no reason given")
    return RayClusterError(
        f"the Ray cluster at {named} cannot be reached: {first}",
        remedy="check that it runs and which address it has with `ray status`",
        option="address",
    )


def lost(error: BaseException) -> CoordinatorLostError:
    """Return the error about a cluster that does not answer any more."""
    first = next(filter(None, str(error).splitlines()), repr(error))
    return CoordinatorLostError(
        f"the Ray cluster is gone: {first}",
        remedy="look at what ended it; what was committed is kept: run the same command again",
    )


class RayRanks:
    """The ranks of a run on a Ray cluster, over an actor.

    Args:
        ray: the module.
        board: the actor's handle.
        rank: this process's number; 0 plans and waits.
        world_size: how many there are.
        local_world_size: how many of this size share the machine.
    """

    local_rank = 0  # Ray shows each of its tasks only the GPUs that are its own

    def __init__(
        self, ray: ModuleType, board: Any, rank: int, world_size: int, local_world_size: int = 1
    ) -> None:
        self._ray, self._board = ray, board
        self.rank, self.world_size, self.local_world_size = rank, world_size, local_world_size
        self._gone: BaseException | None = None

    def add(self, name: str, amount: int) -> int:
        """Add to a shared counter and return its new value.

        A call that is lost and repeated may count twice: a unit may be passed over, and is done at
        the end, with what others have left.
        """
        return int(self._ask("add", name, amount))

    def publish(self, name: str, value: str) -> None:
        """Write a value for all ranks."""
        self._ask("publish", name, value)

    def read(self, name: str) -> str | None:
        """Return a published value, or None."""
        value: str | None = self._ask("read", name)
        return value

    def close(self) -> None:
        """Nothing runs in the background."""

    def _ask(self, method: str, *arguments: object) -> Any:
        errors = self._ray.exceptions
        deadline = time.monotonic() + _ANSWER_SECONDS
        while self._gone is None:
            try:
                # Not by `ray.get`, whose timeout does not count once the cluster is gone.
                answer = getattr(self._board, method).remote(*arguments).future()
                return answer.result(max(0.1, deadline - time.monotonic()))
            except errors.ActorUnavailableError as error:  # the network may come back
                if time.monotonic() > deadline:
                    self._gone = error
                time.sleep(_POLL_SECONDS)
            except FutureTimeoutError:
                self._gone = TimeoutError(f"no answer for {_ANSWER_SECONDS:.0f} s")
            except (errors.RayError, ConnectionError, RuntimeError) as error:
                self._gone = error
        raise lost(self._gone)
