"""`EncodeTask`: encoding as a task of the engine."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import torch

from videoprep.device import choose_device, free_memory
from videoprep.encoding.encoders import load_sound, load_text, load_video
from videoprep.encoding.job import EncodeJob
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.pool import decode_pool
from videoprep.encoding.text_pass import TextPass
from videoprep.encoding.unit_work import EncodeContext, UnitBatch, UnitWork
from videoprep.encoding.units import Unit
from videoprep.encoding.video_pass import at_once, encode_video, resize_pool
from videoprep.engine.device_stream import device_stream
from videoprep.engine.progress import Phase, UnitGroup
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import JobShare, Stage, TaskDescription, TaskUnit
from videoprep.errors import Code
from videoprep.families.component import Component, ComponentSpec
from videoprep.families.registry import families
from videoprep.fs import Files
from videoprep.library_logging import quiet_libraries
from videoprep.media.decode_pool import DecodePool
from videoprep.store.catalogue import Artifacts, read_artifacts
from videoprep.store.empty_caption import name_of, path_of, write_empty_caption
from videoprep.store.layout import EMPTY_CAPTION, Store
from videoprep.store.receipt import (
    Failure,
    ReceiptDamage,
    UnitResult,
    commit_unit,
    is_damaged,
    remove_rivals,
)
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    from videoprep.families.contract import SoundEncoder, VideoEncoder

TEXT = Phase("text", "Encoding text", "captions")
VIDEO = Phase("video", "Encoding video", "clips", "frames")
SOUND = Phase("sound", "Encoding sound", "clips")

_PHASES = {"captions": TEXT, "frames": VIDEO, "sound": SOUND}
"""By the kind of a source, in the order in which they come."""

_logger = logging.getLogger(__name__)

_RUN = "run.json"
_DAMAGE = pa.array([Code.DAMAGED_FRAMES.value, Code.DAMAGED_SOUND.value])


@dataclass(frozen=True, slots=True)
class StageResources:
    """What one process of a stage takes, for executors that allot it."""

    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class EmptyCaptionEmbeds:
    """The embedding of the empty caption, which trainers put in the place of captions."""

    recipe: Recipe
    embeds: torch.Tensor


class EncodeTask:
    """Encoding as a task of the engine.

    Args:
        job: what to encode, and by what recipes; `units` plans its units.
        store: where it goes.
        options: of the run.
        pool: the processes that decode, if this process has them already.
        resources: what one process of a stage takes.
    """

    def __init__(
        self,
        job: EncodeJob,
        store: Store,
        options: EncodeOptions,
        *,
        pool: DecodePool | None = None,
        resources: StageResources | None = None,
    ) -> None:
        self.files = store.files
        self.job = job
        self.before: Mapping[Component, Artifacts] = {}
        """What was there when `units` was called."""
        self.damages: Sequence[ReceiptDamage] = ()
        """What was damaged then, and is made anew."""
        self._store = store
        self._options = options
        self._pool = pool
        self._resources = resources or StageResources()
        self._context: EncodeContext | None = None

    # What there is to do

    def describe(self) -> TaskDescription:
        """See `Task`. The stages are the encoders; those of captions come first."""
        kinds = list(_PHASES)
        own = [spec for name, spec in self.job.specs.items() if name in self.job.recipes]
        specs = sorted(own, key=lambda spec: kinds.index(spec.source.kind))
        phases = {spec.name: _PHASES[spec.source.kind] for spec in specs}
        stages = {self._stage(name): phase.name for name, phase in phases.items()}
        needs = self._resources
        return TaskDescription(
            items="artifacts",
            phases=tuple(dict.fromkeys((TEXT, VIDEO, *phases.values()))),
            stages=[Stage(name, phase, needs.cpus, needs.gpus) for name, phase in stages.items()],
            groups=[UnitGroup(name, phase.name) for name, phase in phases.items()],
            failures="see failures.jsonl once a run has ended, or `videoprep status`; what is "
            "encoded so far is kept",
        )

    def units(self, share: JobShare) -> Sequence[TaskUnit]:
        """See `Task`. Receipts that are damaged are removed, so that their units are made anew."""
        self.before, self.damages = _committed(self._store, self.job.recipes)
        again = {name: _tried_again(made, self._options) for name, made in self.before.items()}
        self.job = self.job.left(self.before, again, share)
        return self.planned_units(empty_captions=share.number == 0)

    def planned_units(self, *, empty_captions: bool = True) -> list[TaskUnit]:
        """Return the units of the job, and those of empty captions that the store lacks."""
        units = [
            TaskUnit(
                folder=self.job.folder(unit),
                name=unit.name,
                stage=self._stage(unit.component),
                group=unit.component,
                cost=unit.cost,
                items=len(unit),
            )
            for unit in self.job.units
        ]
        return [*units, *(self._empty_captions() if empty_captions else ())]

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        """See `Task`."""
        return self._store.committed([unit.id for unit in units])

    def _empty_captions(self) -> Iterator[TaskUnit]:
        for component, recipe in self.job.recipes.items():
            if recipe.source.media or self.files.size(path_of(recipe)) is not None:
                continue
            stage = self._stage(component)
            yield TaskUnit(EMPTY_CAPTION, name_of(recipe), stage, component, cost=0, items=0)

    def _stage(self, component: Component) -> str:
        """A part of the model that encodes captions alone and frames, too, is loaded for each."""
        spec = self.job.specs[component]
        own = f", {spec.declared}" if spec.own_encoder else ""
        return f"{spec.part or spec.source.label}, {spec.source.kind}{own}"

    # Doing it

    @contextmanager
    def process(self, rank: RankContext) -> Iterator[None]:
        """See `Task`."""
        device = choose_device(rank.options.device, rank.coordinator.local_rank)
        with ExitStack() as stack:
            context = EncodeContext(
                job=self.job,
                family=families()[self.job.family],
                options=self._options,
                rank=rank,
                device=device,
                stream=device_stream(device, rank.stats.add_busy),
                pool=self._pool or stack.enter_context(decode_pool(self._options, self.job.index)),
            )
            stack.callback(free_memory, device)
            stack.enter_context(_host_threads(context))
            stack.enter_context(quiet_libraries())
            resize_pool(context)
            if self._options.executor == "local":  # one process comes to all stages
                if self._media_stages():
                    context.pool.start()  # which takes a while, in processes of their own
                self._require_precision(context)
            self._context = context
            yield

    @contextmanager
    def open(
        self, stage: str, rank: RankContext
    ) -> Iterator[TextPass | VideoEncoder | SoundEncoder]:
        """See `Task`."""
        context = self._here
        free_memory(context.device)  # what the stage before has left
        spec = next(self.job.specs[name] for name in self.job.recipes if self._stage(name) == stage)
        if spec.source.kind == "captions":
            yield TextPass(context, load_text(context, spec.part))
        else:
            yield _load_media(context, spec)

    def run(
        self,
        opened: TextPass | VideoEncoder | SoundEncoder,
        works: Iterator[ClaimedUnit],
        rank: RankContext,
    ) -> Generator[tuple[ClaimedUnit, UnitWork | EmptyCaptionEmbeds], None, None]:
        """See `Task`."""
        if isinstance(opened, TextPass):
            for work in works:
                yield work, self._encode_captions(opened, work)
            return
        with closing(encode_video(self._here, map(self._unit_work, works), opened)) as whole:
            for made in whole:
                yield made.claimed, made

    def commit(self, work: ClaimedUnit, result: UnitWork | EmptyCaptionEmbeds) -> int:
        """See `Task`. Results are on the host once they have landed, and are looked at then."""
        if isinstance(result, EmptyCaptionEmbeds):
            write_empty_caption(self.files, result.recipe, result.embeds)
            return 0
        unit = work.unit
        attempts = self._units[unit.id].attempts
        tensors: dict[str, torch.Tensor] = {}
        for sent in result.sent:
            tensors |= _landed(result, sent)
        if self.job.specs[unit.group].source.is_mask:
            _tell_empty_masks(result, tensors)
        made = UnitResult(
            tensors,
            failures=[
                replace(failure, attempt=attempts.get(failure.key, 0) + 1)
                for failure in result.failures
            ],
            truncated=[key for key in result.truncated if key in tensors],
            tiled=[key for key in result.tiled if key in tensors],
            damaged={key: what for key, what in result.damaged.items() if key in tensors},
        )
        commit_unit(self.files, unit.folder, unit.name, made)
        if work.claim.deaths:
            remove_rivals(self.files, unit.folder, unit.name)
        return len(made.failures)

    @property
    def _here(self) -> EncodeContext:
        assert self._context is not None  # noqa: S101 (`process` is entered before)
        return self._context

    @cached_property
    def _units(self) -> Mapping[str, Unit]:
        return {f"{self.job.folder(unit)}/{unit.name}": unit for unit in self.job.units}

    def _unit_work(self, work: ClaimedUnit) -> UnitWork:
        unit = self._units[work.unit.id]
        source = self.job.specs[unit.component].source
        return UnitWork(work, self.job.keys(unit), self.job.clips(unit), source)

    def _encode_captions(self, text: TextPass, work: ClaimedUnit) -> UnitWork | EmptyCaptionEmbeds:
        if work.unit.folder == EMPTY_CAPTION:
            return EmptyCaptionEmbeds(
                self.job.recipes[work.unit.group], text.encode_empty(work.unit.group)
            )
        made = self._unit_work(work)
        text.encode(made)
        return made

    def _require_precision(self, context: EncodeContext) -> None:
        """Say of a VAE that overflows in float16 before captions are encoded for nothing.

        The other types have float32's range; their models are tried when they are loaded for work.
        """
        if self.job.settings.dtype != "float16":
            return
        for spec in self._media_stages():
            _load_media(context, spec)
            free_memory(context.device)

    def _media_stages(self) -> list[ComponentSpec]:
        """A component of each stage that has units and reads frames or sound."""
        specs = (self.job.specs[unit.component] for unit in self.job.units)
        return list({self._stage(spec.name): spec for spec in specs if spec.source.media}.values())

    # For the other processes

    def save(self, files: Files, folder: str) -> None:
        """See `Task`."""
        self.job.save(files, folder)
        data = {
            "options": self._options.model_dump(mode="json"),
            "resources": asdict(self._resources),
        }
        files.write_bytes(f"{folder}/{_RUN}", json.dumps(data).encode())


def _load_media(context: EncodeContext, spec: ComponentSpec) -> VideoEncoder | SoundEncoder:
    return load_sound(context, spec) if spec.source.sound else load_video(context, spec)


def load_task(files: Files, folder: str) -> EncodeTask:
    """Return the task that another process has written."""
    job = EncodeJob.load(files, folder)
    data = json.loads(files.read(f"{folder}/{_RUN}"))
    options, resources = EncodeOptions(**data["options"]), StageResources(**data["resources"])
    return EncodeTask(job, Store(files), options, resources=resources)


def _committed(
    store: Store, recipes: Mapping[Component, Recipe]
) -> tuple[Mapping[Component, Artifacts], tuple[ReceiptDamage, ...]]:
    """What is there. A receipt that does not hold is removed."""
    before = {name: read_artifacts(store, recipe) for name, recipe in recipes.items()}
    damages = tuple(damage for made in before.values() for damage in made.damages)
    for damage in damages:
        # Another job may have found it, too, and made the unit anew meanwhile.
        if damage.receipt is not None and is_damaged(store.files, damage.receipt):
            store.files.delete(damage.receipt)
    return before, damages


def _tried_again(made: Artifacts, options: EncodeOptions) -> Mapping[str, int]:
    """The artifacts that failed and are to be tried again, and how often they were tried."""
    again = made.failed
    if not options.retry_failed and not options.allow_damaged:
        return {}
    if not options.retry_failed:
        again = again.filter(pc.is_in(again["code"], value_set=_DAMAGE))
    return dict(zip(again["key"].to_pylist(), again["attempt"].to_pylist(), strict=True))


def _tell_empty_masks(work: UnitWork, masks: Mapping[str, torch.Tensor]) -> None:
    """Warn of masks of which nothing is left, such as by the crop."""
    empty = [at for at, key in enumerate(work.keys) if key in masks and not bool(masks[key].any())]
    if empty:
        _logger.warning(
            "%s of %s masks are 0 everywhere: nothing of their clips counts; the first is of %s",
            len(empty), len(masks), work.clips[empty[0]].video,
        )  # fmt: skip


def _landed(work: UnitWork, sent: UnitBatch) -> dict[str, torch.Tensor]:
    """A micro-batch on the host, without what is not finite, which fails."""
    results = sent.landing.wait()
    kept = {}
    for at, key in sent.keys.items():
        result = results[at]
        if bool(torch.isfinite(result).all()):
            kept[key] = result
        else:
            reason = "the model gave values that are not finite"
            work.failures.append(Failure(key, Code.NOT_FINITE.value, reason))
    return kept


@contextmanager
def _host_threads(context: EncodeContext) -> Iterator[None]:
    """Share the cores of a CPU among the clips that are encoded side by side.

    More threads than cores would wait for each other most of the time. What the user has set stays.
    """
    if not context.stream.one_by_one or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, context.rank.cores // at_once(context)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
