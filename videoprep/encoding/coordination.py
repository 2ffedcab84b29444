"""How the ranks of one run agree: a counter to claim units, a board to publish and count on.

The counter is only an optimisation; correctness rests on receipts. There is no process group and
no collective: torchrun's key-value store alone survives the restart of a worker, and ranks that
finish early wait for nobody.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store as KeyValueStore

_POLL_SECONDS = 0.1


class Coordinator(Protocol):
    """What encoding needs to know of the other ranks."""

    rank: int
    world_size: int
    local_rank: int

    def add(self, name: str, amount: int) -> int:
        """Adds to a shared counter and gives its new value."""

    def publish(self, name: str, value: str) -> None:
        """Writes a value that the other ranks can read."""

    def read(self, name: str) -> str | None:
        """A published value, or None where there is none yet."""


class SingleProcess:
    """One process alone."""

    rank = 0
    world_size = 1
    local_rank = 0

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}
        self._values: dict[str, str] = {}

    def add(self, name: str, amount: int) -> int:
        """Adds to a counter and gives its new value."""
        self._counters[name] = self._counters.get(name, 0) + amount
        return self._counters[name]

    def publish(self, name: str, value: str) -> None:
        """Writes a value."""
        self._values[name] = value

    def read(self, name: str) -> str | None:
        """A published value, or None."""
        return self._values.get(name)


class Torchrun:
    """The ranks that one torchrun started, over the store that its agent keeps."""

    def __init__(self) -> None:
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        store, self.rank, self.world_size = next(
            iter(rendezvous("env://", timeout=timedelta(minutes=5)))
        )
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        # A restarted attempt must not see the counters of the one that died.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store: KeyValueStore = PrefixStore(f"videoprep/{attempt}", store)

    def add(self, name: str, amount: int) -> int:
        """Adds to a shared counter and gives its new value."""
        return int(self._store.add(name, amount))

    def publish(self, name: str, value: str) -> None:
        """Writes a value for all ranks."""
        self._store.set(name, value)

    def read(self, name: str) -> str | None:
        """A published value, or None."""
        return self._store.get(name).decode() if self._store.check([name]) else None


def join() -> Coordinator:
    """The coordinator for this process: torchrun's where torchrun started it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ:
        return Torchrun()
    return SingleProcess()


def is_first_rank() -> bool:
    """Whether this process speaks for the run. Needs no coordinator and no torch."""
    return os.environ.get("RANK", "0") == "0" or int(os.environ.get("WORLD_SIZE", "1")) == 1


class OtherRankError(VideoprepError):
    """Another rank failed; it says itself why."""


def wait_for(coordinator: Coordinator, name: str) -> str:
    """Waits until a value is published.

    Raises:
        OtherRankError: a rank has failed in the meantime.
    """
    while True:
        value = coordinator.read(name)
        if value is not None:
            return value
        raise_if_failed(coordinator)
        time.sleep(_POLL_SECONDS)


def report_failure(coordinator: Coordinator, error: BaseException) -> None:
    """Tells the other ranks that this one cannot go on."""
    coordinator.publish("failed", f"rank {coordinator.rank}: {error}")


def raise_if_failed(coordinator: Coordinator) -> None:
    """Ends this rank where another one has failed.

    Raises:
        OtherRankError: a rank has failed.
    """
    reason = coordinator.read("failed")
    if reason is not None:
        raise OtherRankError(f"stopped because another rank failed: {reason}")
