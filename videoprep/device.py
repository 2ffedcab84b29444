"""Which device torch works on."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    import torch


def choose_device(asked: str, local_rank: int = 0) -> torch.device:
    """The device of this rank; ``auto`` is a GPU where there is one.

    Args:
        asked: ``auto``, ``cpu``, ``cuda`` or any name that torch knows. A bare ``cuda`` means the
            GPU of the local rank.
        local_rank: this process's number on its machine.

    Raises:
        VideoprepError: torch does not know the device, or the machine has none.
    """
    import torch

    name = asked
    if asked == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local_rank)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise VideoprepError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}",
            remedy="use `device='cpu'`, or check the driver and the torch build",
        ) from error
    return device


def device_name(device: torch.device) -> str:
    """What a device is called: a GPU's product name, else torch's word for it."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return device.type


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's memory does not suffice."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # What the allocator for the host's memory says has no class of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> None:
    """Gives memory of a device back that is no longer used.

    A CPU's is given back by itself, as soon as nothing refers to it.
    """
    if device.type == "cpu":
        return
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
