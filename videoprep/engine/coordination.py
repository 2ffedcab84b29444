"""How the ranks of one run agree: a counter to claim units, a board to publish and count on.

The counter is only an optimisation; correctness rests on receipts. There is no process group and
no collective: torchrun's key-value store alone survives the restart of a worker, and ranks that
finish early wait for nobody.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store as KeyValueStore

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 600.0
_SILENT_SECONDS = 120.0
_LEADER = "leader"


class Coordinator(Protocol):
    """What a rank needs to know of the other ranks."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int

    def add(self, name: str, amount: int) -> int:
        """Adds to a shared counter and gives its new value."""

    def publish(self, name: str, value: str) -> None:
        """Writes a value that the other ranks can read."""

    def read(self, name: str) -> str | None:
        """A published value, or None where there is none yet."""

    def close(self) -> None:
        """Ends what runs in the background."""


class CoordinatorLostError(VideoprepError):
    """The key-value store does not answer: the machine that keeps it is gone, or the network."""


class OtherRankError(VideoprepError):
    """Another rank failed; it says itself why."""


class Board:
    """Counters and values, held in one process."""

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


class SingleProcess(Board):
    """One process alone."""

    rank = 0
    world_size = 1
    local_rank = 0
    local_world_size = 1

    def close(self) -> None:
        """Nothing runs in the background."""


class Ranks:
    """Several ranks over one key-value store, such as the one that torchrun's agent keeps.

    The store outlives a rank that is restarted, and may hold what an attempt before left. So the
    ranks that are alive now agree on a name for their attempt, under which all is kept: each comes
    with a word of its own, and rank 0 answers those that it sees with the name.
    ``TORCHELASTIC_RESTART_COUNT`` would not do: every agent counts for itself.

    Args:
        store: the key-value store.
        rank: this process's number.
        world_size: how many there are.
        local_rank: this process's number on its machine.
        local_world_size: how many there are on this machine.

    Raises:
        CoordinatorLostError: rank 0 does not answer.
    """

    def __init__(
        self,
        store: KeyValueStore,
        rank: int,
        world_size: int,
        local_rank: int = 0,
        local_world_size: int = 1,
    ) -> None:
        from torch.distributed.distributed_c10d import PrefixStore

        self.rank, self.world_size = rank, world_size
        self.local_rank, self.local_world_size = local_rank, local_world_size
        self._closed = threading.Event()
        self._greeter: threading.Thread | None = None
        own = secrets.token_hex(8)
        board = PrefixStore("videoprep/join", store)
        if rank == 0:
            attempt = own
        else:
            with _reaching():
                attempt = _await_greeting(board, rank, own)
        self._store: KeyValueStore = PrefixStore(f"videoprep/{attempt}", store)
        if rank == 0:
            self._greeter = threading.Thread(target=self._greet, args=(board, own), daemon=True)
            self._greeter.start()

    def add(self, name: str, amount: int) -> int:
        """Adds to a shared counter and gives its new value."""
        with _reaching():
            return int(self._store.add(name, amount))

    def publish(self, name: str, value: str) -> None:
        """Writes a value for all ranks."""
        with _reaching():
            self._store.set(name, value)

    def read(self, name: str) -> str | None:
        """A published value, or None."""
        with _reaching():
            return self._store.get(name).decode() if self._store.check([name]) else None

    def close(self) -> None:
        """Ends the thread that greets ranks."""
        self._closed.set()
        if self._greeter is not None:
            self._greeter.join()

    def _greet(self, board: KeyValueStore, attempt: str) -> None:
        """Answers every rank that comes, and says that rank 0 lives, as long as it does."""
        greeted = dict.fromkeys(range(1, self.world_size), "")
        beat = 0
        while not self._closed.wait(_POLL_SECONDS):
            beat += 1
            try:
                self._store.set(_LEADER, str(beat))
                for rank, known in greeted.items():
                    if not board.check([f"rank/{rank}"]):
                        continue
                    word = board.get(f"rank/{rank}").decode()
                    if word != known:
                        board.set(f"answer/{word}", attempt)
                        greeted[rank] = word
            except RuntimeError:
                return  # the store is gone; whatever needs it will say so


def planned_world_size() -> int:
    """Return how many ranks torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> Coordinator:
    """The coordinator for this process: torchrun's where torchrun started it.

    Raises:
        CoordinatorLostError: the other ranks cannot be reached.
    """
    if planned_world_size() == 1 or "MASTER_ADDR" not in os.environ:
        return SingleProcess()
    from torch.distributed.rendezvous import rendezvous

    with _reaching():
        store, rank, world_size = next(iter(rendezvous("env://", timeout=timedelta(minutes=5))))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Ranks(store, rank, world_size, local_rank, local_world_size)


def wait_for(coordinator: Coordinator, name: str) -> str:
    """Waits until rank 0 has published a value.

    Raises:
        OtherRankError: a rank has failed in the meantime, or rank 0 is gone.
    """
    seen, since = None, time.monotonic()
    while True:
        value = coordinator.read(name)
        if value is not None:
            return value
        raise_if_failed(coordinator)
        beat, now = coordinator.read(_LEADER), time.monotonic()
        if beat != seen:
            seen, since = beat, now
        elif now - since > _SILENT_SECONDS:
            raise OtherRankError(
                f"rank 0 has not been heard of for {_SILENT_SECONDS:.0f} s, and has not said what "
                "there is to do",
                remedy="look at what ended rank 0; what was committed is kept: run it again",
            )
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


@contextmanager
def _reaching() -> Iterator[None]:
    """Torch says by a RuntimeError that its store cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, VideoprepError):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CoordinatorLostError(
            f"the ranks' key-value store cannot be reached: {reason}",
            where=f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}",
            remedy="look at what ended rank 0 or its machine; what was committed is kept: run the "
            "same command again",
        ) from error


def _await_greeting(board: KeyValueStore, rank: int, own: str) -> str:
    board.set(f"rank/{rank}", own)
    deadline = time.monotonic() + _JOIN_SECONDS
    while not board.check([f"answer/{own}"]):
        if time.monotonic() > deadline:
            raise CoordinatorLostError(
                f"rank 0 has not answered rank {rank} for {_JOIN_SECONDS:.0f} s",
                remedy="look whether rank 0 was started, and runs the same command",
            )
        time.sleep(_POLL_SECONDS)
    return board.get(f"answer/{own}").decode()
