"""`encode`: from a plan to a finished store, alone or as one of torchrun's ranks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoprep.device import choose_device, device_name
from videoprep.encoding.coordination import (
    Coordinator,
    join,
    raise_if_failed,
    report_failure,
    wait_for,
)
from videoprep.encoding.job import Job, plan_work, remove_shared
from videoprep.encoding.recipes import Settings, choose_dtype, make_recipes
from videoprep.encoding.result import ComponentResult, EncodeResult
from videoprep.encoding.units import Unit
from videoprep.errors import PlanError, StoreError
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import families, family_of
from videoprep.index.calibration import Calibration, remember
from videoprep.index.table import BucketIndex
from videoprep.media.decode import choose_decoder
from videoprep.spec.dataset import DatasetSpec
from videoprep.store.catalogue import Artifacts, count_unlisted, read_artifacts, write_catalogue
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.recipe import COMPONENTS, Component

if TYPE_CHECKING:
    import torch

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a component is, over all ranks."""

    component: Component
    done: int
    total: int
    set_aside: int


OnProgress = Callable[[Progress], None]
Source = BucketIndex | DatasetSpec | str | os.PathLike[str]


def encode(
    source: Source | Callable[[], BucketIndex],
    *,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    image_latents: bool = False,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 1,
    decoder: str = "auto",
    use_tiling: bool = False,
    revision: str | None = None,
    on_progress: OnProgress | None = None,
) -> EncodeResult | None:
    """Encodes every planned clip that the store does not hold yet.

    The text pass comes first; the text encoder is freed before the VAE is loaded. Under torchrun
    every rank calls this; rank 0 plans, all encode, rank 0 writes the catalogue.

    Args:
        source: the plan; or a dataset or its path, planned with the spec's options; or a function
            that makes the plan, called on rank 0 alone.
        model: a diffusers folder or a hub id.
        output: the store; made, or gone on with.
        image_latents: encode the first frame of each clip alone as well.
        dtype: ``auto``, ``fp32``, ``fp16`` or ``bf16``: what is computed and stored in.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        batch_size: clips in a micro-batch; a CPU always takes one at a time.
        decoder: ``auto``, ``torchcodec`` or ``pyav``.
        use_tiling: let the VAE work in tiles: less memory, another result.
        revision: the hub revision of the model.
        on_progress: called on rank 0 while the work goes on.

    Returns:
        What was done, on rank 0; None on the other ranks.

    Raises:
        VideoprepError: something is missing or does not fit; nothing was encoded. What an earlier
            run has committed stays.
    """
    started = time.monotonic()
    coordinator = join()
    store = Store(Path(output))
    try:
        if coordinator.rank == 0:
            # What can be wrong without torch is found before its slow import.
            opened = _open(str(model), revision)
            index = _plan(source)
            index.require_clips()
            torch_device = choose_device(device, coordinator.local_rank)
            settings = Settings(
                choose_dtype(dtype, torch_device), choose_decoder(decoder), use_tiling
            )
            components = _components(store, image_latents)
            job, before = _prepare(index, *opened, store, components, settings)
            with _shared(job, store, coordinator):
                pace = _work(job, store, torch_device, batch_size, coordinator, on_progress)
                _wait_for_others(coordinator, job, on_progress)
            result = _finish(job, store, before, time.monotonic() - started)
            _remember(pace, job, torch_device)
            return result
        torch_device = choose_device(device, coordinator.local_rank)
        job = Job.receive(Path(wait_for(coordinator, "job")))
        _work(job, store, torch_device, batch_size, coordinator, None)
    except BaseException as error:
        report_failure(coordinator, error)
        raise
    return None


def _plan(source: Source | Callable[[], BucketIndex]) -> BucketIndex:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix == ".parquet" and not path.is_dir():
            source = BucketIndex.load(path)
        else:
            source = DatasetSpec.from_path(path)
    if isinstance(source, DatasetSpec):
        return BucketIndex.build(source)
    if isinstance(source, BucketIndex):
        return source.check_sources()
    return source()


def _components(store: Store, image_latents: bool) -> list[Component]:
    """What is to be made. A component that the store has is kept complete, asked for or not."""
    there = set(store.read_info().recipes) if store.info_file.exists() else set()
    wanted = there | {"video_latents", "prompt_embeds"}
    if image_latents:
        wanted.add("image_latents")
    return [component for component in COMPONENTS if component in wanted]


def _open(name: str, revision: str | None) -> tuple[ModelFolder, Family]:
    """Finds the model and its family, and checks that the folder is whole."""
    parts = {part for f in families().values() for part in (*f.text_parts, *f.video_parts)}
    model = open_model(name, tuple(sorted(parts)), revision)
    family = family_of(model)
    family.check(model)
    return model, family


def _prepare(
    index: BucketIndex,
    model: ModelFolder,
    family: Family,
    store: Store,
    components: Sequence[Component],
    settings: Settings,
) -> tuple[Job, Mapping[Component, Artifacts]]:
    """Plans the work and makes the store ready. Nothing is written before all is checked."""
    _require_legal_buckets(index, family)
    recipes = make_recipes(family, model, components, settings)
    facts = family.facts(model)
    store.claim(StoreInfo(family.name, model.name, model.revision, facts, recipes))
    before = {component: read_artifacts(store, recipes[component]) for component in components}
    units = plan_work(index, family, model, settings, before)
    return Job(index, model, family.name, settings, recipes, units), before


def _require_legal_buckets(index: BucketIndex, family: Family) -> None:
    """The plan may have been made for another profile than the model's."""
    profile = family.profile
    illegal = sorted(
        {
            str(bucket)
            for bucket in index.buckets
            if not profile.accepts_size(bucket.width, bucket.height)
            or not profile.accepts_frames(bucket.frames)
        }
    )
    if illegal:
        raise PlanError(
            f"the model's family {family.name!r} cannot encode the buckets {', '.join(illegal)}",
            remedy=f"plan with --profile {family.name}",
        )


@contextmanager
def _shared(job: Job, store: Store, coordinator: Coordinator) -> Iterator[None]:
    """Lets the other ranks read the job while the block runs."""
    if coordinator.world_size == 1:
        yield
        return
    folder = job.share(store.root)
    coordinator.publish("job", str(folder.resolve()))
    try:
        yield
    finally:
        remove_shared(folder)


def _work(
    job: Job,
    store: Store,
    device: torch.device,
    batch_size: int,
    coordinator: Coordinator,
    on_progress: OnProgress | None,
) -> _Pace:
    """Claims units and encodes them until none is left: the text pass, then the video pass."""
    from videoprep.encoding.worker import Worker

    family = families()[job.family]
    worker = Worker(family, job.model, job.settings, device, batch_size)
    pace = _Pace()
    for number, units in enumerate(job.passes()):
        while (claimed := coordinator.add(f"claimed/{number}", 1) - 1) < len(units):
            unit = units[claimed]
            raise_if_failed(coordinator)

            def on_done(encoded: int, set_aside: int, unit: Unit = unit) -> None:
                coordinator.add(f"encoded/{unit.component}", encoded)
                coordinator.add(f"set_aside/{unit.component}", set_aside)
                _tell(job, coordinator, unit.component, on_progress)

            worker.load(unit.component)  # which is not what an estimate scales up
            started = time.monotonic()
            worker.run(unit, job.clips(unit), store.folder(job.recipes[unit.component]), on_done)
            pace.add(unit, time.monotonic() - started)
        worker.release()
    coordinator.add("finished", 1)
    return pace


@dataclass(slots=True)
class _Pace:
    """How fast this process encoded: pixels and captions, and the seconds that each took."""

    pixels: int = 0
    video_seconds: float = 0.0
    captions: int = 0
    text_seconds: float = 0.0

    def add(self, unit: Unit, seconds: float) -> None:
        """Counts a unit that was encoded."""
        if unit.component == "prompt_embeds":
            self.captions += len(unit.keys)
            self.text_seconds += seconds
        else:
            self.pixels += unit.cost
            self.video_seconds += seconds


def _remember(pace: _Pace, job: Job, device: torch.device) -> None:
    """Keeps the pace beside the dataset, from which `videoprep index` estimates the next run.

    A run that encoded only captions, or only clips, has half of it to tell, and keeps nothing.
    """
    if not pace.pixels or not pace.captions:
        return
    remember(
        job.index.data_root,
        Calibration(
            model=job.model.name,
            device=device_name(device),
            dtype=job.settings.dtype,
            pixels_per_second=pace.pixels / pace.video_seconds,
            captions_per_second=pace.captions / pace.text_seconds,
        ),
    )


def _wait_for_others(coordinator: Coordinator, job: Job, on_progress: OnProgress | None) -> None:
    while coordinator.add("finished", 0) < coordinator.world_size:
        raise_if_failed(coordinator)
        for component in job.recipes:
            _tell(job, coordinator, component, on_progress)
        time.sleep(_POLL_SECONDS)


def _tell(
    job: Job, coordinator: Coordinator, component: Component, on_progress: OnProgress | None
) -> None:
    if on_progress is None:
        return
    encoded = coordinator.add(f"encoded/{component}", 0)
    set_aside = coordinator.add(f"set_aside/{component}", 0)
    on_progress(Progress(component, encoded + set_aside, job.totals[component], set_aside))


def _finish(
    job: Job,
    store: Store,
    before: Mapping[Component, Artifacts],
    seconds: float,
) -> EncodeResult:
    """Writes the catalogue and counts, from what the receipts now say.

    Raises:
        StoreError: an artifact of the plan is neither stored nor set aside.
    """
    after = {name: read_artifacts(store, recipe) for name, recipe in job.recipes.items()}
    counts = {name: _count(job, name, before[name], made) for name, made in after.items()}
    unlisted = count_unlisted(store, job.index)
    job.index.save(store.index_file)
    set_aside = write_catalogue(store, job.index, after)
    planned_prompts = job.planned_keys("prompt_embeds")
    lacking = {(entry.file, entry.line, entry.clip) for entry in set_aside}
    return EncodeResult(
        store=str(store.root),
        samples=job.index.samples,
        clips=len(job.index),
        complete=len(job.index) - len(lacking),
        components=counts,
        left_out=job.index.left_out,
        set_aside=set_aside,
        unlisted=unlisted,
        truncated=len(after["prompt_embeds"].truncated & planned_prompts),
        decoder=job.settings.decoder,
        seconds=seconds,
    )


def _count(job: Job, component: Component, before: Artifacts, after: Artifacts) -> ComponentResult:
    planned = job.planned_keys(component)
    stored, failed = planned & after.stored.keys(), planned & after.failures.keys()
    lost = len(planned) - len(stored) - len(failed)
    if lost:
        raise StoreError(
            f"{lost} {component} are neither stored nor set aside",
            remedy="run the same command again: it encodes what is missing",
        )
    reused = len(planned & before.stored.keys())
    return ComponentResult(len(stored) - reused, reused, len(failed))
