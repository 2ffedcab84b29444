"""The way of inputs to the device and of results back, and how many inputs go together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch

Kind = TypeVar("Kind")


class PendingResult(Protocol):
    """A result on its way to the host."""

    def wait(self) -> torch.Tensor:
        """The result on the host, once it is there."""


class DeviceStream(Protocol):
    """How a device is fed.

    Attributes:
        one_by_one: whether inputs are computed each for itself, some side by side, and not as a
            batch: batching changes a result's last bits.
    """

    one_by_one: bool

    def up(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Inputs of one shape as a batch on the device. They are free again after it."""

    def down(self, result: torch.Tensor) -> PendingResult:
        """Sends a result to the host."""

    def working(self) -> AbstractContextManager[None]:
        """A context in which the device's time is counted as busy."""


def device_stream(device: torch.device, add_busy: Callable[[float], None]) -> DeviceStream:
    """The lanes of a device; ``add_busy`` is told the seconds in which it worked."""
    return CudaLanes(device, add_busy) if device.type == "cuda" else HostLanes(device, add_busy)


@dataclass(frozen=True, slots=True)
class _Landed:
    result: torch.Tensor

    def wait(self) -> torch.Tensor:
        return self.result


class HostLanes:
    """For the CPU, and for devices of which torch tells nothing more: one step after the other."""

    def __init__(self, device: torch.device, add_busy: Callable[[float], None]) -> None:
        self._device = device
        self._add_busy = add_busy
        self.one_by_one = device.type == "cpu"

    def up(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DeviceStream`. The copy is what makes the inputs' memory free again."""
        return torch.stack(list(inputs)).to(self._device)

    def down(self, result: torch.Tensor) -> PendingResult:
        """See `DeviceStream`."""
        return _Landed(result.to("cpu", copy=True))

    @contextmanager
    def working(self) -> Iterator[None]:
        """See `DeviceStream`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._add_busy(time.monotonic() - started)


@dataclass(slots=True)
class _InFlight:
    result: torch.Tensor
    arrived: torch.cuda.Event | None

    def wait(self) -> torch.Tensor:
        if self.arrived is not None:
            self.arrived.synchronize()
            # Pinned memory is scarce: what is kept is kept elsewhere.
            self.result, self.arrived = self.result.clone(), None
        return self.result


class CudaLanes:
    """For CUDA: copies go through pinned memory on streams of their own, beside the computation.

    At most two batches are under way, so that the device always has the next one, and memory does
    not grow.
    """

    _UNDER_WAY = 2
    one_by_one = False

    def __init__(self, device: torch.device, add_busy: Callable[[float], None]) -> None:
        self._device = device
        self._add_busy = add_busy
        self._in = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._out = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._spans: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()

    def up(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DeviceStream`."""
        shape = (len(inputs), *inputs[0].shape)
        host = torch.empty(shape, dtype=inputs[0].dtype, pin_memory=True)
        for place, one in zip(host, inputs, strict=True):
            place.copy_(one)
        compute = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._in):
            batch = host.to(self._device, non_blocking=True)
        compute.wait_stream(self._in)
        batch.record_stream(compute)
        return batch

    def down(self, result: torch.Tensor) -> PendingResult:
        """See `DeviceStream`."""
        host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
        self._out.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._out):
            host.copy_(result, non_blocking=True)
            result.record_stream(self._out)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self._out)
        return _InFlight(host, arrived)

    @contextmanager
    def working(self) -> Iterator[None]:
        """See `DeviceStream`. Waits first while more batches are under way than may be."""
        while len(self._spans) >= self._UNDER_WAY:
            self._land()
        begin, end = (_timer() for _ in range(2))
        begin.record(torch.cuda.current_stream(self._device))
        try:
            yield
        finally:
            end.record(torch.cuda.current_stream(self._device))
            self._spans.append((begin, end))

    def _land(self) -> None:
        begin, end = self._spans.popleft()
        end.synchronize()
        self._add_busy(begin.elapsed_time(end) / 1000)


def _timer() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Size:
    now: int
    most: int


@dataclass(slots=True)
class MicroBatches(Generic[Kind]):
    """The size of micro-batches for each kind of input, such as a bucket.

    It starts at one, doubles as long as memory says nothing, and after it did never grows beyond
    half of what was too much.

    Attributes:
        most: never more than this; 1 on a CPU, where what is batched changes a result's last bits.
    """

    most: int
    _sizes: dict[Kind, _Size] = field(default_factory=dict)

    def size(self, kind: Kind) -> int:
        """How many to try next."""
        return self._of(kind).now

    def succeeded(self, kind: Kind, count: int) -> None:
        """So many fitted: try more, if that was as many as were to be tried."""
        size = self._of(kind)
        if count >= size.now:
            size.now = min(size.now * 2, size.most)

    def failed(self, kind: Kind, count: int) -> None:
        """So many did not fit."""
        size = self._of(kind)
        size.most = max(1, min(size.most, count // 2))
        size.now = size.most

    def _of(self, kind: Kind) -> _Size:
        return self._sizes.setdefault(kind, _Size(1, self.most))
