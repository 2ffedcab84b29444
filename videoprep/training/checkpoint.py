"""Checkpoints: all that a run needs to go on as if nothing had been, or nothing at all.

A checkpoint is a folder that gets its name when it is whole. Random numbers need no place in it:
they follow from the seed and the number of each step. Logs resume where it was saved.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from videoprep.errors import TrainError
from videoprep.fs.atomic import write_bytes

FOLDER = "checkpoints"
_NAME = re.compile(r"step-\d{8}")
_WEIGHTS, _MOMENTS, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_TRAINED = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)
LOG_NAME = "log.jsonl"
_logger = logging.getLogger(__name__)


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

        Raises:
            TrainError: it cannot be written; those before stay.
        """
        weights = gathered(model)
        moved: Any = get_optimizer_state_dict(model, optimizer, options=_OPTIONS)
        if not write:
            return
        parts = dict(_leaves(moved["state"]))
        moments = {name: value for name, value in parts.items() if torch.is_tensor(value)}
        # 8-bit Adam counts its steps in plain numbers.
        numbers = {name: value for name, value in parts.items() if name not in moments}
        told = {**told, "optimizer": numbers, "identity": dict(self.identity)}
        folder = self.run / FOLDER / f"step-{told['step']:08d}"
        partial = folder.with_name(f".{folder.name}.tmp")
        self._remove_partial()
        try:
            write_tensors(partial / _WEIGHTS, weights)
            write_tensors(partial / _MOMENTS, moments)
            write_bytes(partial / _STATE, json.dumps(told, indent=2).encode())
            os.replace(partial, folder)
        except (OSError, SafetensorError) as error:  # the disk is full, or gone
            self._remove_partial()
            raise TrainError(
                f"the checkpoint cannot be written: {error}",
                where=str(folder),
                remedy="make room, or let fewer stay by `keep`; `resume` goes on at the one before",
            ) from error
        for old in self._found()[: -self.keep]:
            shutil.rmtree(old)

    def told(self) -> Mapping[str, Any] | None:
        """What was told of the last one; None where there is none.

        Raises:
            TrainError: it is of another model, other clips or settings, or damaged.
        """
        if not self.exist():
            return None
        with _reading(self._found()[-1]) as folder:
            told: dict[str, Any] = json.loads((folder / _STATE).read_bytes())
            before = told["identity"]
        self._require_same(before, folder)
        return told

    def load(self, told: Mapping[str, Any], model: Any, optimizer: Any) -> None:
        """Takes up the last one, of which that was told.

        Raises:
            TrainError: it is damaged.
        """
        with _reading(self._found()[-1]) as folder:
            weights: dict[str, Any] = load_file(folder / _WEIGHTS)
            moments = load_file(folder / _MOMENTS)
        set_model_state_dict(model, weights, options=_TRAINED)
        state = _nested({**moments, **told["optimizer"]})
        # What is in it besides is the settings'.
        group = {**optimizer.param_groups[0], "params": list(state)}
        told_of: dict[str, Any] = {"state": state, "param_groups": [group]}
        set_optimizer_state_dict(model, optimizer, told_of, options=_OPTIONS)

    def exist(self) -> bool:
        """Whether there is any."""
        return bool(self._found())

    def remove(self) -> None:
        """Removes all."""
        shutil.rmtree(self.run / FOLDER, ignore_errors=True)

    def _found(self) -> list[Path]:
        return sorted(p for p in (self.run / FOLDER).glob("step-*") if _NAME.fullmatch(p.name))

    def _remove_partial(self) -> None:
        for path in (self.run / FOLDER).glob(".step-*.tmp"):
            shutil.rmtree(path, ignore_errors=True)

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


@contextmanager
def _reading(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TrainError(
            f"the checkpoint cannot be read: {error}",
            where=str(folder),
            remedy="remove it: the one before is taken then",
        ) from error


def _leaves(nested: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """By path: 8-bit Adam nests what it keeps of a weight."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for path, value in leaves.items():
        *above, last = path.split("/")
        part = whole
        for name in above:
            part = part.setdefault(name, {})
        part[last] = value
    return whole


def gathered(model: Any) -> dict[str, Any]:
    """The weights in training, whole, on the host; of several processes in the first one."""
    return get_model_state_dict(model, options=_OPTIONS)


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Writes a safetensors file and sees to it that it is on the disk; not in one step."""
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


class Logs:
    """The first process's logs of a run.

    Args:
        run: its folder.
        begun: the step after which it resumes; what was logged of later ones is dropped.
    """

    def __init__(self, run: Path, begun: int) -> None:
        self.path = run / LOG_NAME
        write_bytes(self.path, "".join(_lines_until(self.path, begun)).encode())
        self._file = self.path.open("a", encoding="utf-8")
        self._board: Any = None
        if find_spec("tensorboard") is None:
            _logger.warning("tensorboard is not installed: the run is logged in %s alone", LOG_NAME)
        else:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(run / "tensorboard", purge_step=begun + 1)

    def write(self, step: int, **values: float) -> None:
        """Logs numbers of a step; one that is not finite is null in JSON."""
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **told}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if self._board is not None:
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, step: int) -> list[str]:
    """Those of steps up to one; a line that a killed run left half is dropped, too."""
    if not step or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
