"""One process or many: each has a model of its own (DDP), or a part of one (FSDP)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from videoprep.device import choose_device
from videoprep.errors import TrainError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together, as torchrun started them.

    Attributes:
        rank: this one's number.
        count: how many there are.
        device: this one's.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any of them."""
        return self.sum(float(flag)) > 0

    def sum(self, value: float) -> float:
        """Over all of them."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def joined(self, names: Sequence[str]) -> list[str]:
        """Those of all of them, in order."""
        if self.count == 1:
            return list(names)
        told: list[Sequence[str]] = [[]] * self.count
        dist.all_gather_object(told, names)
        return [name for one in told for name in one]

    def spread(self, transformer: Any, *, parts: bool) -> Any:
        """The model as it is called while training.

        Args:
            transformer: the same in all processes.
            parts: each process keeps only a part of the weights, gradients and moments.
        """
        if self.count == 1:
            return transformer
        if not parts:
            ids = [self.device.index] if self.device.type == "cuda" else None
            return torch.nn.parallel.DistributedDataParallel(transformer, device_ids=ids)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.count,))
        for block in transformer.transformer_blocks:
            fully_shard(block, mesh=mesh)
        return fully_shard(transformer, mesh=mesh)


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Joins the processes that torchrun started; alone where it did not."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or dist.is_initialized():
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        yield Processes(rank, size, choose_device(device, _local_rank()))
        return
    own = choose_device(device, _local_rank())
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), count, own)
    except RuntimeError as error:  # gloo has no class for it
        if "by peer" not in str(error):
            raise
        raise TrainError(
            "another process of the run has ended",
            where=f"process {dist.get_rank()}",
            remedy="it says why; then start all again with `resume`",
        ) from error
    finally:
        dist.destroy_process_group()


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def without_sync(model: Any, *, last: bool) -> AbstractContextManager[Any]:
    """Within it gradients gather, and are exchanged with the last batch of a step."""
    if last or not isinstance(model, torch.nn.parallel.DistributedDataParallel):
        return nullcontext()
    context: AbstractContextManager[Any] = model.no_sync()
    return context
