"""`train`: a LoRA, or all weights, from a store. Loads neither VAE nor text encoder."""

from __future__ import annotations

import html
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xxhash

from videoprep.encoding.draws import seeded
from videoprep.errors import TrainError
from videoprep.exporters.registry import MEDIA, exporters
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import families, family_of
from videoprep.fs.atomic import write_bytes
from videoprep.index.caption_draws import Captions
from videoprep.index.sampler import BucketBatchSampler
from videoprep.sources import open_index
from videoprep.spec.group_file import REGULARIZATION
from videoprep.store.dataset import LatentDataset
from videoprep.training.batches import Batch, Batches, CaptionDropout
from videoprep.training.checkpoint import LOG_NAME, Checkpoints, Logs, gathered
from videoprep.training.cogvideox import (
    CONDITIONS,
    is_image_to_video,
    is_trained,
    load_objective,
    require_fit,
)
from videoprep.training.loss_mask import NO_MASK, choose_loss_mask
from videoprep.training.parallel import Processes, processes, without_sync
from videoprep.training.same_model import require_same_encoders
from videoprep.training.settings import TrainSettings
from videoprep.training.weights import (
    WEIGHTS_NAME,
    add_lora,
    make_optimizer,
    require_optimizer,
    require_peft,
    save_full,
    save_lora,
)

# The fixed draws on which losses are compared: enough that chance in the noise does not hide the
# progress, few enough to cost no more than some training steps.
_COMPARED_BATCHES = 4
_COMPARED_TIMESTEPS = 4

_RESULT = "result.json"
_VALIDATION = "validation"
_SHOWN = 4

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What is told after each step.

    Attributes:
        step: its number, from 1.
        steps: how many there will be.
        loss: of this step's batches, in all processes; NaN where it was skipped.
        made: how many this process has made: less than its number in a run that goes on.
        seconds: since the first of them began.
        waited: of them, for data.
    """

    step: int
    steps: int
    loss: float
    made: int
    seconds: float
    waited: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run made.

    Attributes:
        weights: the LoRA, as ``load_lora_weights`` reads it, or the transformer's folder.
        log: a JSON line a step.
        steps: how many were made.
        skipped: of them, those whose loss or gradient was not finite.
        clips: the clips that were trained on.
        split: the split that they are; None where the plan has none.
        incomplete: clips of the store that lack a component and were not.
        loss_before: mean loss on fixed clips, noise and timesteps before training.
        loss_after: the same after.
        validation_loss: the same on the split called validation; None where there is none.
        seconds: how long the steps of this process took.
        waited: of them, for data.
    """

    weights: str
    log: str
    steps: int
    skipped: int
    clips: int
    split: str | None
    incomplete: int
    loss_before: float
    loss_after: float
    validation_loss: float | None
    seconds: float
    waited: float

    def _repr_html_(self) -> str:
        rows = {
            "loss before": f"{self.loss_before:.4f}",
            "loss after": f"{self.loss_after:.4f}",
            "steps": f"{self.steps}, of which {self.skipped} skipped",
            "clips": str(self.clips),
            "weights": self.weights,
            "log": self.log,
        }
        cells = (
            f"<tr><th>{what}</th><td>{html.escape(value)}</td></tr>" for what, value in rows.items()
        )
        return f"<p><b>trained</b> in {self.seconds:.1f} s</p><table>{''.join(cells)}</table>"


def train(
    store: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    from_videos: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    revision: str | None = None,
    on_step: Callable[[Step], None] | None = None,
    **options: Any,
) -> TrainResult:
    """Trains CogVideoX from a store's tensors alone.

    A text-to-video model learns text-to-video, an image-to-video model from the stored first
    frames. Under torchrun the processes share each step, and with ``full`` the weights, too (FSDP).

    Args:
        store: what `videoprep.encode` made; with ``from_videos`` a dataset or its index.
        model: the diffusers folder or hub id that the store was encoded with; only its
            transformer and scheduler are read.
        output: folder for weights, checkpoints and logs.
        from_videos: encode each batch when it is needed, which takes VAE and text encoder.
        resume: go on at the last checkpoint in ``output``, if there is one.
        overwrite: write over an earlier run in ``output``.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        revision: the hub revision of the model.
        on_step: called after each step, in the first process.
        options: fields of `TrainSettings`.

    Raises:
        TrainError: an option is wrong, the store does not fit the model, the output is taken, peft
            is missing, or a step's loss is not finite.
        StoreError: there is no finished store.
        ModelError: the model folder is not whole.
    """
    settings = TrainSettings.of(**options)
    if not settings.full:
        require_peft()
    with ExitStack() as stack:
        group = stack.enter_context(processes(device))
        require_optimizer(settings, group.count)
        stack.enter_context(torch.random.fork_rng())
        stored = None if from_videos else _stored(store, settings.split, *_further_splits(settings))
        parts = ("transformer", "scheduler", *(["vae"] if settings.sample_every else []))
        opened = open_model(str(model), parts, revision)
        data = (
            _online(stack, store, opened, settings, group.device, revision)
            if stored is None  # an empty one is false, too
            else _usable(stored, opened)
        )
        _require_clips(data, opened, settings, group, str(store))
        run = _TrainingRun(Path(output), group, settings, opened, data)
        run.claim(resume=resume, overwrite=overwrite)
        result = run.train(on_step)
        if group.first:
            text = json.dumps(asdict(result), indent=2)
            write_bytes(run.folder / _RESULT, f"{text}\n".encode())
    return result


def _online(
    stack: ExitStack,
    dataset: str | os.PathLike[str],
    model: ModelFolder,
    settings: TrainSettings,
    device: torch.device,
    revision: str | None,
) -> Any:
    """The clips of a dataset or index, encoded as they are asked for."""
    from videoprep.encoding.online import OnlineClips
    from videoprep.encoding.run import require_plan_for

    if settings.workers:
        raise TrainError(
            "`workers` read a store; clips from videos are encoded where the model is",
            remedy="leave `workers` out, or encode a store",
            option="workers",
        )
    path = os.fspath(dataset)
    family = family_of(model)
    index = open_index(path, default_profile=family.profile.name, check_videos=False)
    require_plan_for(index, family)
    masks = [role for role in index.roles if role.is_mask]
    if masks and settings.loss_mask != NO_MASK:
        raise TrainError(
            f"{', '.join(masks)}: training from videos makes no masks, which would weigh the loss",
            where=path,
            remedy=f"encode a store, or train without masks, with `loss_mask={NO_MASK!r}`",
            option="loss_mask",
        )
    split = _split(settings.split, index.split_names, path)
    if split is not None:
        index = index.of_split(split, *_further_splits(settings))
    channels = int(family.facts(model)["latent_channels"])
    images = is_image_to_video(model.config("transformer"), channels)
    index = index.without_stills() if images else index
    dtype = _dtype(settings, device)
    return stack.enter_context(
        OnlineClips(index, model.name, revision=revision, images=images, device=device, dtype=dtype)
    )


def _stored(store: str | os.PathLike[str], split: str | None, *further: str) -> LatentDataset:
    """The clips of a store: those of a split, and those that are drawn beside it."""
    data = LatentDataset(store, split=split)
    chosen = _split(split, data.splits, str(store))
    if chosen == split and not further:
        return data
    return LatentDataset(store, split=chosen if chosen is None else (chosen, *further))


def _further_splits(settings: TrainSettings) -> tuple[str, ...]:
    """What is drawn beside the split that is trained on."""
    return (REGULARIZATION,) if settings.regularization else ()


def _usable(data: LatentDataset, model: ModelFolder) -> LatentDataset:
    """The clips that a model can learn from: for image-to-video, none that is a still image."""
    if not (model.path / "transformer" / "config.json").is_file():
        return data  # what it lacks is said later
    channels = int(data.info.facts["latent_channels"])
    if not is_image_to_video(model.config("transformer"), channels):
        return data
    conditions = [name for name in CONDITIONS if name in data.components]
    return LatentDataset(data.location, split=data.split, required=conditions)


def _split(asked: str | None, splits: Sequence[str], where: str) -> str | None:
    """Which clips to train on: those kept for validation must not be among them unasked."""
    if asked is not None or not splits:
        return asked
    if "train" not in splits:
        raise TrainError(
            f"there are splits, and none is called train: {', '.join(splits)}",
            where=where,
            remedy="name one with `split`",
            option="split",
        )
    return "train"


def _require_clips(
    data: Any, model: ModelFolder, settings: TrainSettings, group: Processes, store: str
) -> None:
    """Checks that the clips can be trained on by the model."""
    if not len(data):
        raise TrainError("the store has no complete clip", where=store, remedy="encode some")
    if not is_trained(data.info.family):
        raise TrainError(
            f"the store is of the family {data.info.family!r}; this trainer is for "
            f"{' and '.join(repr(name) for name in families() if is_trained(name))}",
            where=store,
            remedy=f"export the store for another trainer: {_targets(data.info.family)}; or read "
            "it in your own, with `videoprep.LatentDataset`",
        )
    if family_of(model).name != data.info.family:
        raise TrainError(
            f"the store is of the family {data.info.family!r}, "
            f"the model of {family_of(model).name!r}",
            where=store,
            remedy=f"give the model that the store was encoded with, {data.info.model}",
            option="model",
        )
    if group.first:
        require_same_encoders(data.info, model, store)
    if len(data) < settings.batch_size * group.count:
        raise TrainError(
            f"{len(data)} clips are fewer than a global batch of {settings.batch_size} × "
            f"{group.count}",
            where=store,
            remedy="lower `batch_size`, or start fewer processes",
            option="batch_size",
        )
    require_fit(model, data)
    if settings.sample_every:
        model.require("vae")


def _targets(family: str) -> str:
    """What a store of a family can be exported to."""
    takers = [name for name, exporter in exporters().items() if family in exporter.families]
    return " or ".join(f"`to={name!r}`" for name in (*takers, MEDIA))


def _dtype(settings: TrainSettings, device: torch.device) -> torch.dtype:
    if settings.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[settings.dtype]


class _TrainingRun:
    """A training run in one process.

    Args:
        folder: where all goes.
        group: the processes.
        settings: how to train.
        opened: the model's folder.
        data: the clips.
    """

    def __init__(
        self,
        folder: Path,
        group: Processes,
        settings: TrainSettings,
        opened: ModelFolder,
        data: Any,
    ) -> None:
        self.folder, self.group, self.settings = folder, group, settings
        self.opened, self.data = opened, data
        self.held = self._validation_clips()
        where = str(getattr(data, "location", opened.path))
        self.loss_mask = choose_loss_mask(data.info.recipes, settings.loss_mask, where)
        self.checkpoints = Checkpoints(folder, self._identity(), settings.keep)
        self.told: Mapping[str, Any] | None = None
        self.skipped, self.waited = 0, 0.0

    def claim(self, *, resume: bool, overwrite: bool) -> None:
        """Checks that the folder may be written to, before anything large is loaded."""
        if self.folder.exists() and not self.folder.is_dir():
            raise TrainError(
                "exists and is not a folder",
                where=str(self.folder),
                remedy="choose another `output`",
            )
        taken = self.checkpoints.exist() or (self.folder / WEIGHTS_NAME).exists()
        if taken and not (resume or overwrite):
            raise TrainError(
                "already holds a run",
                where=str(self.folder),
                remedy="resume it with `resume=True`, or choose another `output`",
                option="output",
            )
        self.told = self.checkpoints.told() if resume else None
        if self.told and self.told["step"] > self.settings.steps:
            raise TrainError(
                f"the run has made {self.told['step']} steps, more than {self.settings.steps}",
                where=str(self.folder),
                remedy=f"give `steps={self.told['step']}` or more, or choose another `output`",
                option="steps",
            )
        self.group.wait()  # until all have looked
        if self.group.first:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not resume:
                self.checkpoints.remove()
        self.group.wait()

    def _identity(self) -> Mapping[str, Any]:
        return {
            "model": self.opened.identity("transformer"),
            "clips": self.data.digest,
            "processes": self.group.count,
            **self.settings.identity,
            **self._identity_of_masks(),
        }

    def _identity_of_masks(self) -> Mapping[str, Any]:
        """The recipe of the masks says which way round they are; without masks there is none."""
        name = self.loss_mask
        return {} if name is None else {"loss_mask": self.data.info.recipes[name].id}

    def train(self, on_step: Callable[[Step], None] | None) -> TrainResult:
        """Loads the model, trains, and saves."""
        self._load()
        if self.told:
            self.checkpoints.load(self.told, self.model, self.optimizer)
            self.batches.sampler.load_state_dict(self.told["sampler"])
            begun, self.skipped = int(self.told["step"]), int(self.told["skipped"])
            before = float(self.told["loss_before"])
        else:
            begun, before = 0, self.compare(self.data)
        batches, started = iter(self.batches), time.monotonic()
        with Logs(self.folder, begun) if self.group.first else nullcontext() as logs:
            for step in range(begun + 1, self.settings.steps + 1):
                loss = self._step(step, batches)
                seconds = time.monotonic() - started
                if logs is not None:
                    logs.write(step, loss=loss, rate=self.settings.rate_at(step), seconds=seconds)
                self._now_and_then(step, before, logs)
                if on_step is not None and self.group.first:
                    made = step - begun
                    on_step(Step(step, self.settings.steps, loss, made, seconds, self.waited))
        seconds = time.monotonic() - started
        after, validation = self.compare(self.data), self.validate()
        if not math.isfinite(after):
            raise TrainError(
                f"the loss after the last step is {after}; no weights are saved",
                where=str(self.folder / LOG_NAME),
                remedy="lower `learning_rate`",
            )
        return TrainResult(
            weights=str(self._save()),
            log=str(self.folder / LOG_NAME),
            steps=self.settings.steps,
            skipped=self.skipped,
            clips=len(self.data),
            split=self._chosen_split(),
            incomplete=self.data.incomplete,
            loss_before=before,
            loss_after=after,
            validation_loss=validation,
            seconds=seconds,
            waited=self.waited,
        )

    def _chosen_split(self) -> str | None:
        """The split that is trained on."""
        split: str | tuple[str, ...] | None = self.data.split
        return split[0] if isinstance(split, tuple) else split

    def _load(self) -> None:
        settings, device = self.settings, self.group.device
        self.dtype = _dtype(settings, device)
        self.objective = load_objective(
            self.opened, self.data.info.facts, dtype=self.dtype, min_snr=settings.min_snr,
            image_dropout=settings.image_dropout, loss_mask=self.loss_mask,
        )  # fmt: skip
        torch.manual_seed(settings.seed)  # for the LoRA's first weights
        # All weights are trained in float32, and computed with in what was asked for.
        self.transformer = _load_transformer(
            self.opened, torch.float32 if settings.full else self.dtype, device
        )
        if settings.full:
            self.transformer.requires_grad_(True)
        else:
            add_lora(self.transformer, settings.rank)
        if settings.gradient_checkpointing:
            self.transformer.enable_gradient_checkpointing()
        self.model = self.group.spread(self.transformer, parts=settings.full)
        self.model.train()
        self.weights = [w for w in self.model.parameters() if w.requires_grad]
        self.optimizer = make_optimizer(self.weights, settings)
        sampler = self._sampler(self.data, settings.captions, settings.regularization)
        self.batches = Batches(self.data, sampler, settings.workers, self.loss_mask)
        needed = settings.caption_dropout or settings.sample_every
        self.empty = self.data.empty_caption() if needed else {}
        self.dropout = CaptionDropout(settings.caption_dropout, self.empty)

    def _sampler(
        self, data: Any, captions: Captions, regularization: float = 0.0
    ) -> BucketBatchSampler:
        return BucketBatchSampler(
            data, self.settings.batch_size, rank=self.group.rank, world_size=self.group.count,
            seed=self.settings.seed, captions=captions, regularization=regularization,
        )  # fmt: skip

    def _step(self, step: int, batches: Iterator[Batch]) -> float:
        """One step of the optimiser; gives the loss, NaN where it was skipped."""
        total = 0.0
        parts = self.settings.accumulate
        videos: list[str] = []
        spoiled: list[str] = []
        for part in range(parts):
            asked = time.monotonic()
            batch = next(batches)
            self.waited += time.monotonic() - asked
            videos += batch.videos
            generator = self._draws(step, part)
            tensors = self.dropout(batch.to(self.group.device), generator)
            with without_sync(self.model, last=part == parts - 1), self._autocast():
                loss = self.objective.loss(self.model, tensors, generator)
                (loss / parts).backward()  # type: ignore[no-untyped-call]
            value = loss.item()
            total += value / parts
            spoiled += [] if math.isfinite(value) else batch.videos
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.settings.max_gradient_norm)
        mean = self.group.sum(total) / self.group.count
        if not math.isfinite(mean) or self.group.any(not math.isfinite(float(norm))):
            # Where just the gradient is not finite it may be by any clip.
            self._refuse(step, mean, self.group.joined(spoiled) or self.group.joined(videos))
            mean = math.nan
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.rate_at(step)
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return mean

    def _refuse(self, step: int, loss: float, videos: list[str]) -> None:
        """Stops, or counts and logs a step that is skipped."""
        found = "gradient is not finite" if math.isfinite(loss) else f"loss is {loss}"
        shown = ", ".join(videos[:_SHOWN]) + (", …" if len(videos) > _SHOWN else "")
        if self.settings.on_nonfinite == "stop":
            raise TrainError(
                f"the {found} at step {step}; clips: {shown}",
                where=str(self.folder / LOG_NAME),
                remedy="resume at the last checkpoint without such steps, with `resume=True` and "
                "`on_nonfinite='skip'`; or start again with a lower `learning_rate`",
            )
        self.skipped += 1
        if self.group.first:
            _logger.warning("step %s is skipped: the %s; clips: %s", step, found, shown)

    def _draws(self, step: int, part: int) -> torch.Generator:
        """All that is random in a batch, by its place: a run that goes on draws the same."""
        name = f"{self.settings.seed} {step} {part} {self.group.rank}"
        torch.manual_seed(xxhash.xxh3_64_intdigest(name.encode()) >> 1)  # for dropout in the model
        return seeded(xxhash.xxh3_128_hexdigest(name.encode()))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.group.device.type, self.dtype, enabled=self.dtype != torch.float32
        )

    def _now_and_then(self, step: int, before: float, logs: Logs | None) -> None:
        settings = self.settings
        if _due(step, settings.validate_every):
            loss = self.validate()
            if logs is not None and loss is not None:
                logs.write(step, validation_loss=loss)
        if _due(step, settings.checkpoint_every) or step == settings.steps:
            told = {
                "step": step,
                "sampler": self.batches.sampler.state_dict(),
                "loss_before": before,
                "skipped": self.skipped,
            }
            self.checkpoints.save(told, self.model, self.optimizer, write=self.group.first)
            self.group.wait()
        # Where each process has a part of the weights, all have to be asked for them.
        if _due(step, settings.sample_every) and (self.group.first or settings.full):
            self._sample(step)

    def _sample(self, step: int) -> None:
        from videoprep.training.samples import write_sample

        write_sample(
            self.folder, step, self.opened, self.transformer, self.data[0],
            self.empty["prompt_embeds"], self.data.info.facts, write=self.group.first,
        )  # fmt: skip

    def _validation_clips(self) -> LatentDataset | None:
        """Those of the split called validation; None where there is none."""
        stored = isinstance(self.data, LatentDataset) and self.settings.split != _VALIDATION
        if stored and _VALIDATION in LatentDataset(self.data.location).splits:
            required = self.data.required
            return LatentDataset(self.data.location, split=_VALIDATION, required=required)
        if not self.settings.validate_every:
            return None
        raise TrainError(
            "there is no split called validation to measure the loss on",
            remedy="plan one with `split`, such as train=0.9,validation=0.1, and encode it",
        )

    def validate(self) -> float | None:
        """Mean loss on the validation clips; None where there are none."""
        return self.compare(self.held) if self.held is not None and len(self.held) else None

    @torch.no_grad()
    def compare(self, data: Any) -> float:
        """Mean loss on clips, captions, noise and timesteps that are the same at every call."""
        self.model.eval()
        generator = torch.Generator().manual_seed(self.group.rank)
        objective = replace(self.objective, image_dropout=0.0)
        count = objective.scheduler.config.num_train_timesteps
        sampler = self._sampler(data, "first")
        losses: list[float] = []
        batches = iter(Batches(data, sampler, loss_mask=self.loss_mask))
        for _ in range(min(_COMPARED_BATCHES, len(sampler))):
            batch = next(batches)
            tensors = batch.to(self.group.device)
            for part in range(_COMPARED_TIMESTEPS):
                timestep = int((part + 0.5) / _COMPARED_TIMESTEPS * count)
                timesteps = torch.full((len(batch.videos),), timestep)
                with self._autocast():
                    loss = objective.loss(self.model, tensors, generator, timesteps)
                losses.append(loss.item())
        self.model.train()
        if self.settings.on_nonfinite == "skip":  # as while training
            losses = [loss for loss in losses if math.isfinite(loss)]
        count = self.group.sum(len(losses))
        return self.group.sum(sum(losses)) / count if count else math.nan

    def _save(self) -> Path:
        weights = gathered(self.model)  # by all processes
        full = self.settings.full
        path = self.folder / ("transformer" if full else WEIGHTS_NAME)
        if self.group.first:
            (save_full if full else save_lora)(self.transformer, weights, path)
        return path


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _load_transformer(model: ModelFolder, dtype: torch.dtype, device: torch.device) -> Any:
    from diffusers import CogVideoXTransformer3DModel

    transformer = CogVideoXTransformer3DModel.from_pretrained(
        str(model.path / "transformer"), torch_dtype=dtype, use_safetensors=True
    )
    return transformer.to(device)
