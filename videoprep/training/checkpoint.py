"""Checkpoints: all that a run needs to go on as if nothing had been, or nothing at all.

A checkpoint is a folder that gets its name when it is whole. Random numbers need no place in it:
they are drawn anew from the seed and the number of each step.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from videoprep.durable import write_bytes
from videoprep.errors import TrainError

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{8})")
_WEIGHTS, _MOMENTS, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_TRAINED = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of a run.

    Attributes:
        run: its folder.
        identity: model, clips and settings, which have to be the same when it goes on.
        keep: how many stay.
    """

    run: Path
    identity: Mapping[str, Any]
    keep: int

    def save(self, told: Mapping[str, Any], model: Any, optimizer: Any, *, write: bool) -> None:
        """Saves one. Every process calls it, for its part of the weights; one of them writes.

        Args:
            told: JSON values: the step, the sampler's state and so on.
            model: in training.
            optimizer: its.
            write: whether this process writes.
        """
        weights = gathered(model)
        moved = get_optimizer_state_dict(model, optimizer, options=_OPTIONS)
        if not write:
            return
        parts = dict(_leaves(cast("dict[str, Any]", moved["state"])))
        moments = {name: value for name, value in parts.items() if torch.is_tensor(value)}
        # 8-bit Adam counts its steps in plain numbers.
        numbers = {name: value for name, value in parts.items() if name not in moments}
        told = {**told, "optimizer": numbers, "identity": dict(self.identity)}
        folder = self.run / FOLDER / f"step-{told['step']:08d}"
        partial = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(partial, ignore_errors=True)
        write_tensors(partial / _WEIGHTS, weights)
        write_tensors(partial / _MOMENTS, moments)
        write_bytes(partial / _STATE, json.dumps(told, indent=2).encode())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        for _, old in self._found()[: -self.keep]:
            shutil.rmtree(old)

    def load(self, model: Any, optimizer: Any) -> Mapping[str, Any] | None:
        """Takes up the last one, and gives what was told of it; None where there is none.

        Raises:
            TrainError: it is of another model, other clips or settings, or damaged.
        """
        found = self._found()
        if not found:
            return None
        _, folder = found[-1]
        try:
            told = json.loads((folder / _STATE).read_bytes())
            weights, moments = _unpacked(folder / _WEIGHTS), _unpacked(folder / _MOMENTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise TrainError(
                f"the checkpoint cannot be read: {error}",
                where=str(folder),
                remedy="remove it: the one before is taken then",
            ) from error
        self._require_same(told["identity"], folder)
        set_model_state_dict(model, weights, options=_TRAINED)
        state = _nested({**moments, **told["optimizer"]})
        # What is in it besides is the settings'.
        group = {**optimizer.param_groups[0], "params": list(state)}
        told_of: dict[str, Any] = {"state": state, "param_groups": [group]}
        set_optimizer_state_dict(model, optimizer, told_of, options=_OPTIONS)
        return dict(told)

    def exist(self) -> bool:
        """Whether there is any."""
        return bool(self._found())

    def remove(self) -> None:
        """Removes all."""
        shutil.rmtree(self.run / FOLDER, ignore_errors=True)

    def _found(self) -> list[tuple[int, Path]]:
        return sorted(self._each())

    def _each(self) -> Iterator[tuple[int, Path]]:
        for path in (self.run / FOLDER).glob("step-*"):
            if match := _NAME.fullmatch(path.name):
                yield int(match[1]), path

    def _require_same(self, before: Mapping[str, Any], folder: Path) -> None:
        now = json.loads(json.dumps(dict(self.identity)))
        other = [name for name in sorted({*now, *before}) if now.get(name) != before.get(name)]
        if other:
            what = ", ".join(f"{n}: {before.get(n)!r} there, {now.get(n)!r} now" for n in other)
            raise TrainError(
                f"the checkpoint is of another run ({what})",
                where=str(folder),
                remedy="resume with the same model, store and options, or choose another -o",
            )


def _leaves(nested: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name, value in leaves.items():
        *above, last = name.split("/")
        part = whole
        for step in above:
            part = part.setdefault(step, {})
        part[last] = value
    return whole


def gathered(model: Any) -> dict[str, Any]:
    """The weights in training, whole, on the host; of several processes in the first one."""
    return get_model_state_dict(model, options=_OPTIONS)


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Writes a safetensors file and sees to it that it is on the disk; not in one step."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    owned: dict[str, torch.Tensor] = {}
    held: set[int] = set()
    for name, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        # 8-bit Adam's moments share the table of their levels, safetensors no memory.
        owned[name] = tensor.clone() if memory in held else tensor
        held.add(memory)
    save_file(owned, path, metadata={"format": "pt"})
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unpacked(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = load_file(path)
    return tensors
