"""`train`: a LoRA from a store. Loads neither VAE nor text encoder."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from videoprep.device import choose_device
from videoprep.durable import write_bytes
from videoprep.errors import TrainError
from videoprep.families.model_folder import open_model
from videoprep.families.registry import family_of
from videoprep.index.sampler import BucketBatchSampler
from videoprep.store.dataset import LatentDataset
from videoprep.training.cogvideox import FAMILY, Objective, check_model, load_objective
from videoprep.training.lora import WEIGHTS_NAME, add_lora, require_peft, save_lora

LOG_NAME = "log.jsonl"

# The fixed draws on which the loss before and after is compared: enough that chance in the noise
# does not hide the progress, few enough to cost no more than some training steps.
_COMPARED_BATCHES = 4
_COMPARED_TIMESTEPS = 4
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """What is told after each step.

    Attributes:
        step: its number, from 1.
        steps: how many there will be.
        loss: of this step's batch.
        seconds: since the first step began.
    """

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run made.

    Attributes:
        weights: the LoRA, as ``load_lora_weights`` reads it.
        log: a JSON line a step.
        steps: how many were made.
        clips: the clips that were trained on.
        split: the split that they are; None where the plan has none.
        incomplete: clips of the store that lack a component and were not.
        loss_before: mean loss on fixed clips, noise and timesteps before training.
        loss_after: the same after.
        seconds: how long the steps took.
    """

    weights: str
    log: str
    steps: int
    clips: int
    split: str | None
    incomplete: int
    loss_before: float
    loss_after: float
    seconds: float


def train(
    store: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    split: str | None = None,
    steps: int = 1000,
    batch_size: int = 1,
    learning_rate: float = 1e-3,
    rank: int = 64,
    seed: int = 0,
    device: str = "auto",
    revision: str | None = None,
    overwrite: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> TrainResult:
    """Trains a text-to-video LoRA from a store's latents and embeddings alone.

    Args:
        store: what `videoprep.encode` made.
        model: the diffusers folder or hub id that the store was encoded with; only its
            transformer and scheduler are read.
        output: folder for the weights and the log.
        split: train on the clips of this split; None: ``train`` where the plan has splits, else
            all clips.
        steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: of AdamW.
        rank: of the LoRA.
        seed: of the LoRA's weights, the order of the clips, and the noise.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        revision: the hub revision of the model.
        overwrite: write over the weights of an earlier run in ``output``.
        on_step: called after each step.

    Raises:
        TrainError: the store does not fit the model, the output is taken, peft is missing, or a
            step's loss is not finite.
        StoreError: there is no finished store.
        ModelError: the model folder is not whole.
    """
    require_peft()
    data = _training_clips(store, split)
    folder = _claim_output(Path(output), overwrite)
    if not len(data):
        raise TrainError("the store has no complete clip", where=str(store), remedy="encode some")
    if data.info.family != FAMILY:
        raise TrainError(
            f"the store is of the family {data.info.family!r}; this trainer is for {FAMILY!r}",
            where=str(store),
            remedy="train with a trainer of the family's own: docs/families.md says how to come "
            "from the store to what its transformer takes",
        )
    opened = open_model(str(model), ("transformer", "scheduler"), revision)
    if family_of(opened).name != data.info.family:
        raise TrainError(
            f"the store is of the family {data.info.family!r}, "
            f"the model of {family_of(opened).name!r}",
            where=str(store),
            remedy="give --model the model that the store was encoded with",
        )
    facts = data.info.facts
    check_model(opened, int(facts["latent_channels"]), data[0]["prompt_embeds"].shape[-1])
    objective = load_objective(opened, float(facts["scaling_factor"]), facts["posterior"])
    torch_device = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for the LoRA's first weights
        transformer = _load_transformer(opened.path, torch_device)
        weights = add_lora(transformer, rank)
    sampler = BucketBatchSampler(data, batch_size, seed=seed)
    run = _Run(transformer, objective, torch_device, data, sampler)
    before = run.compare()
    started = time.monotonic()
    log = _train_steps(run, weights, steps, learning_rate, seed, folder, on_step)
    seconds = time.monotonic() - started
    after = run.compare()
    if not math.isfinite(after):
        raise TrainError(
            f"the loss after the last step is {after}; nothing is saved",
            where=log,
            remedy="lower --learning-rate",
        )
    saved = str(save_lora(transformer, folder))
    result = TrainResult(
        saved, log, steps, len(data), data.split, data.incomplete, before, after, seconds
    )
    write_bytes(folder / "result.json", (json.dumps(asdict(result), indent=2) + "\n").encode())
    return result


def _training_clips(store: str | os.PathLike[str], split: str | None) -> LatentDataset:
    """The clips to train on: those kept for validation must not be among them unasked."""
    data = LatentDataset(store, split=split)
    if split is not None or not data.splits:
        return data
    if "train" not in data.splits:
        raise TrainError(
            f"the store has splits, and none is called train: {', '.join(data.splits)}",
            where=str(store),
            remedy="name one with --split",
        )
    return LatentDataset(store, split="train")


@dataclass(frozen=True)
class _Run:
    transformer: Any
    objective: Objective
    device: torch.device
    data: LatentDataset
    sampler: BucketBatchSampler

    def batches(self) -> Iterator[Mapping[str, torch.Tensor]]:
        """Batches without end, one epoch after the other."""
        epoch = 0
        while True:
            self.sampler.set_epoch(epoch)
            yield from DataLoader(self.data, batch_sampler=self.sampler, collate_fn=collate)
            epoch += 1

    def loss(
        self,
        batch: Mapping[str, torch.Tensor],
        generator: torch.Generator,
        timesteps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of a batch, in the transformer's own precision."""
        moved = {name: tensor.to(self.device) for name, tensor in batch.items()}
        dtype = self.transformer.dtype
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            return self.objective.loss(self.transformer, moved, generator, timesteps)

    @torch.no_grad()
    def compare(self) -> float:
        """Mean loss on clips, noise and timesteps that are the same at every call."""
        self.transformer.eval()
        generator = torch.Generator().manual_seed(0)
        count = self.objective.scheduler.config.num_train_timesteps
        losses = []
        for number, batch in enumerate(self.batches()):
            if number == min(_COMPARED_BATCHES, len(self.sampler)):
                break
            for part in range(_COMPARED_TIMESTEPS):
                timestep = int((part + 0.5) / _COMPARED_TIMESTEPS * count)
                timesteps = torch.full((len(batch["video_latents"]),), timestep)
                losses.append(self.loss(batch, generator, timesteps).item())
        return sum(losses) / len(losses)


def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Stacks the latents and embeddings of one bucket's clips."""
    return {
        name: torch.stack([item[name] for item in items])
        for name in ("video_latents", "prompt_embeds")
    }


def _train_steps(
    run: _Run,
    weights: list[torch.nn.Parameter],
    steps: int,
    learning_rate: float,
    seed: int,
    folder: Path,
    on_step: Callable[[Step], None] | None,
) -> str:
    optimizer = torch.optim.AdamW(weights, lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    batches = run.batches()
    path = folder / LOG_NAME
    run.transformer.train()
    started = time.monotonic()
    with path.open("w", encoding="utf-8") as log:
        for step in range(1, steps + 1):
            loss = run.loss(next(batches), generator)
            value = loss.item()
            if not math.isfinite(value):
                raise TrainError(
                    f"the loss of step {step} is {value}",
                    where=str(path),
                    remedy="lower --learning-rate",
                )
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, _MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            told = Step(step, steps, value, time.monotonic() - started)
            log.write(json.dumps({"step": step, "loss": value, "seconds": told.seconds}) + "\n")
            log.flush()
            if on_step is not None:
                on_step(told)
    return str(path)


def _load_transformer(folder: Path, device: torch.device) -> Any:
    from diffusers import CogVideoXTransformer3DModel

    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    transformer = CogVideoXTransformer3DModel.from_pretrained(
        str(folder / "transformer"), torch_dtype=dtype, use_safetensors=True
    )
    return transformer.to(device)


def _claim_output(folder: Path, overwrite: bool) -> Path:
    if (folder / WEIGHTS_NAME).exists() and not overwrite:
        raise TrainError(
            f"already holds {WEIGHTS_NAME}", where=str(folder), remedy="choose another -o"
        )
    if folder.exists() and not folder.is_dir():
        raise TrainError(
            "exists and is not a folder", where=str(folder), remedy="choose another -o"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
