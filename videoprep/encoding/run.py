"""`encode`: from a plan to a finished store, alone or as one of several ranks or jobs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from videoprep.collection import no_collection
from videoprep.device import choose_device, device_name
from videoprep.encoding.coordination import (
    Coordinator,
    CoordinatorLostError,
    join,
    report_failure,
    wait_for,
)
from videoprep.encoding.effort import Effort, Share
from videoprep.encoding.finish import finish
from videoprep.encoding.job import Job, sweep_shared, work_of
from videoprep.encoding.quiet import import_libraries
from videoprep.encoding.recipes import (
    Settings,
    choose_dtype,
    choose_posterior,
    choose_text_dtype,
    make_recipes,
)
from videoprep.encoding.result import EncodeResult
from videoprep.encoding.units import Items, Unit, dearest_first, plan_units, share_of
from videoprep.errors import ModelError, PlanError, VideoprepError
from videoprep.failpoints import reach
from videoprep.families.component import COMPONENTS, MADE_FROM, Component
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import families, family_of
from videoprep.index.calibration import Calibration, remember
from videoprep.index.table import BucketIndex
from videoprep.media.decode import choose_decoder
from videoprep.media.workers import Limits
from videoprep.reporting.panel import Style, shown
from videoprep.reporting.progress import OnProgress
from videoprep.spec.dataset import DatasetSpec
from videoprep.store.catalogue import Artifacts, read_artifacts
from videoprep.store.claims import Claims
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.receipt import Damage, is_damaged
from videoprep.store.recipe import Recipe
from videoprep.store.sessions import Session
from videoprep.store.sweep import sweep

if TYPE_CHECKING:
    import torch

    from videoprep.encoding.tally import Tally
    from videoprep.media.decode_pool import DecodePool

logger = logging.getLogger(__name__)

Source = BucketIndex | DatasetSpec | str | os.PathLike[str]


def encode(
    source: Source | Callable[[], BucketIndex],
    *,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    image_latents: bool = False,
    image_noise: int = 0,
    dtype: str = "auto",
    text_encoder_dtype: str = "auto",
    posterior: str = "moments",
    device: str = "auto",
    batch_size: int | None = None,
    decoder: str = "auto",
    decode_workers: int | None = None,
    use_tiling: bool = False,
    revision: str | None = None,
    num_shards: int = 1,
    shard_id: int = 0,
    retry_failed: bool = False,
    max_failures: int | None = None,
    watchdog: float = 1800.0,
    limits: Limits | None = None,
    progress: Style = "auto",
    on_progress: OnProgress | None = None,
) -> EncodeResult | None:
    """Encodes every planned clip that the store does not hold yet.

    The text pass comes first; the text encoder is freed before the VAE is loaded. Under torchrun
    every rank calls this; rank 0 plans, all encode, rank 0 writes the catalogue. It can be stopped
    in any way and called again: what is committed stays, and nothing is made twice.

    Args:
        source: the plan; or a dataset or its path, planned with the spec's options; or a function
            that makes the plan, called on rank 0 alone.
        model: a diffusers folder or a hub id.
        output: the store, a folder or an fsspec URL; made, or gone on with.
        image_latents: make what image-to-video needs, too: of the first frame of each clip.
        image_noise: encode so many draws of noise on each first frame, too, as CogVideoX's
            image-to-video is trained with.
        dtype: ``auto``, ``fp32``, ``fp16`` or ``bf16``: what the VAE computes and all is stored in.
        text_encoder_dtype: ``auto`` (as ``dtype``), one of the others, or ``int8``: what the text
            encoder computes in.
        posterior: ``moments``, ``mean`` or ``sample``: what is stored of the VAE's posterior.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        batch_size: clips or captions in a micro-batch at most; None: found by trial. A CPU always
            takes one at a time.
        decoder: ``auto``, ``torchcodec`` or ``pyav``.
        decode_workers: processes that decode; None: as the machine allows.
        use_tiling: let the VAE work in tiles: less memory, another result.
        revision: the hub revision of the model.
        num_shards: how many jobs share the work without talking to each other.
        shard_id: which of them this is, from 0.
        retry_failed: try again what earlier runs set aside.
        max_failures: stop when more artifacts than this are set aside; None: never.
        watchdog: seconds that one step of the device or one commit may take; 0: for ever.
        limits: what decoding one clip may take.
        progress: how progress is shown on rank 0: ``auto`` (a panel in a terminal or a notebook,
            else lines), ``panel``, ``lines``, ``json`` or ``none``.
        on_progress: called about once a second on rank 0, in a thread, instead of showing it.

    Returns:
        What was done, on rank 0; None on the other ranks.

    Raises:
        VideoprepError: something is missing or does not fit. What was committed stays.
        KeyboardInterrupt: SIGINT came; what was finished is committed.
        SystemExit: SIGTERM came; likewise.
    """
    effort = Effort(
        batch_size=batch_size,
        decode_workers=decode_workers,
        max_failures=max_failures,
        watchdog=watchdog,
        limits=limits or Limits(),
    )
    share = Share(shard_id, num_shards)
    with _ranks() as coordinator:
        run = _Run(Store.open(output), coordinator, effort, share, retry_failed)
        if coordinator.rank != 0:
            run.follow(device, decoder)
            return None
        # What can be wrong without torch is found before its slow import.
        opened = open_checked(str(model), revision)
        index = _plan(source)
        index.require_clips()
        with effort.decode_pool(decoder, index) as pool:
            pool.start()  # it imports what it needs while this process does
            with no_collection():  # these import torch
                torch_device = choose_device(device, coordinator.local_rank)
                chosen = choose_decoder(decoder)
            own = choose_dtype(dtype, torch_device)
            settings = Settings(
                dtype=own,
                text_dtype=choose_text_dtype(text_encoder_dtype, own),
                decoder=chosen,
                tiling=use_tiling,
                posterior=choose_posterior(posterior),
                image_noise=image_noise,
            )
            prepared = run.prepare(index, *opened, image_latents, settings)
            with nullcontext(on_progress) if on_progress else shown(progress) as told:
                return run.lead(prepared, torch_device, pool, told)


@contextmanager
def _ranks() -> Iterator[Coordinator]:
    """The ranks of this run; one that fails tells the others."""
    coordinator = join()
    try:
        yield coordinator
    except BaseException as error:
        leaves = isinstance(error, (KeyboardInterrupt, SystemExit)) and coordinator.rank != 0
        if not leaves:  # a rank that was told to go leaves its work to the others
            with suppress(CoordinatorLostError):  # the error itself is what counts
                report_failure(coordinator, error)
        raise
    finally:
        coordinator.close()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run of which all is checked and the store made ready.

    Attributes:
        index: the plan.
        model: the model folder.
        family: its family.
        settings: dtype, decoder and so on.
        info: what ``store.json`` says.
    """

    index: BucketIndex
    model: ModelFolder
    family: Family
    settings: Settings
    info: StoreInfo


@dataclass(frozen=True, slots=True)
class _Run:
    """One process's part of a run.

    Attributes:
        store: where all goes.
        coordinator: the ranks.
        effort: micro-batches, workers, bounds.
        share: this job's part of the work.
        retry_failed: whether to try again what was set aside.
    """

    store: Store
    coordinator: Coordinator
    effort: Effort
    share: Share
    retry_failed: bool

    def prepare(
        self,
        index: BucketIndex,
        model: ModelFolder,
        family: Family,
        image_latents: bool,
        settings: Settings,
    ) -> _Prepared:
        """Makes the store ready. Nothing is written before all is checked."""
        _require_legal_buckets(index, family)
        if settings.image_noise < 0:
            raise VideoprepError(
                f"image_noise is {settings.image_noise}", remedy="give 0 or more draws"
            )
        there = self.store.read_info() if self.store.exists() else None
        # A store of another family is refused when it is claimed.
        before = there.recipes if there and there.family == family.name else {}
        settings = _with_noise_of(before, settings)
        possible = family.encoders(model)
        asked = components_for(possible, image_latents, settings.image_noise)
        components = components_of(self.store, before, possible, asked)
        recipes = make_recipes(family, model, components, settings)
        facts = {**family.facts(model), "posterior": settings.posterior}
        if settings.posterior != "moments":
            facts["moments"] = f"not stored: the {settings.posterior} alone, unscaled"
        info = StoreInfo(family.name, model.name, model.revision, facts, recipes)
        info = self.store.claim(info)
        for recipe in info.earlier:
            if before.get(recipe.component) == recipe:
                _say_changed(info.recipes[recipe.component], recipe)
        reach("store.claimed")
        return _Prepared(index, model, family, settings, info)

    def lead(
        self,
        prepared: _Prepared,
        device: torch.device,
        pool: DecodePool,
        on_progress: OnProgress | None,
    ) -> EncodeResult:
        """Rank 0: plans the work, does its part of it, and writes the catalogue."""
        started = time.monotonic()
        with Session(self.store.files) as session:
            swept = sweep(self.store.files, session)
            sweep_shared(self.store.files, session)
            before, damages = self._committed(prepared)
            job = self._job(prepared, before)
            with self._shared(job, session):
                tally = self._work(job, session, device, pool, on_progress)
            # How often others died says nothing more once all is made; their shares are theirs.
            Claims(self.store.files, session).sweep(every=self.share.count == 1)
            swept += sweep(self.store.files, session)  # ranks may have died meanwhile
            result = finish(
                job, self.store, before, tally, damages, swept, time.monotonic() - started
            )
            reach("run.finished")
        _remember(tally, job, device)
        return result

    def follow(self, device: str, decoder: str) -> None:
        """Another rank: takes the job that rank 0 has planned, and does its part of it."""
        with no_collection():  # these import much, while rank 0 plans
            torch_device = choose_device(device, self.coordinator.local_rank)
            choose_decoder(decoder)
            import_libraries()
        name = wait_for(self.coordinator, "job")
        job = Job.receive(self.store.files, name)
        chosen = choose_decoder(job.settings.decoder)  # which this machine may lack
        with (
            Session(self.store.files) as session,
            self.effort.decode_pool(chosen, job.index) as pool,
        ):
            pool.start()
            self._work(job, session, torch_device, pool, None)

    def _committed(
        self, prepared: _Prepared
    ) -> tuple[Mapping[Component, Artifacts], tuple[Damage, ...]]:
        """What is there. A receipt that does not hold is removed, so that its unit is made anew."""
        recipes = prepared.info.recipes
        before = {name: read_artifacts(self.store, recipes[name]) for name in recipes}
        damages = tuple(damage for made in before.values() for damage in made.damages)
        for damage in damages:
            # Another job may have found it, too, and made the unit anew meanwhile.
            if damage.receipt is not None and is_damaged(self.store.files, damage.receipt):
                self.store.files.delete(damage.receipt)
        return before, damages

    def _job(self, prepared: _Prepared, before: Mapping[Component, Artifacts]) -> Job:
        index, family, model = prepared.index, prepared.family, prepared.model
        units: list[Unit] = []
        works: list[Items] = []
        attempts: dict[str, int] = {}
        for component, made in before.items():
            items = work_of(component, index, family, model, prepared.settings)
            works.append(items)
            failed = made.failed["key"]
            tried: dict[str, int] = {}
            if self.retry_failed:
                numbers = made.failed["attempt"].to_pylist()
                tried = dict(zip(failed.to_pylist(), numbers, strict=True))
                failed = failed.slice(0, 0)
            attempts |= tried
            settled = pa.chunked_array([*made.stored["key"].chunks, *failed.chunks], pa.string())
            units += plan_units(items, settled.combine_chunks(), tried)
        if self.share.count > 1:
            units = share_of(works, units, self.share.number, self.share.count)
        recipes = prepared.info.recipes
        return Job(
            index, model, family.name, prepared.settings, recipes, dearest_first(units), attempts
        )

    @contextmanager
    def _shared(self, job: Job, session: Session) -> Iterator[None]:
        """Lets the other ranks read the job while the block runs."""
        if self.coordinator.world_size == 1:
            yield
            return
        session.beat()  # planning may have taken long; who looks dead has its job swept
        with job.shared(self.store.files, session.id):
            reach("job.shared")
            self.coordinator.publish("job", session.id)
            yield

    def _work(
        self,
        job: Job,
        session: Session,
        device: torch.device,
        pool: DecodePool,
        on_progress: OnProgress | None,
    ) -> Tally:
        from videoprep.encoding.work import do_work

        return do_work(
            job, self.store, session, device, self.effort, self.coordinator, pool, on_progress
        )


def _say_changed(new: Recipe, old: Recipe) -> None:
    logger.warning(
        "%s are made anew, by another recipe than before (%s); what was made stays in the store, "
        "and is taken up again when it is asked for",
        new.component,
        "; ".join(new.differences(old.fields)),
    )


def _plan(source: Source | Callable[[], BucketIndex]) -> BucketIndex:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix == ".parquet" and not path.is_dir():
            source = BucketIndex.load(path)
        else:
            source = DatasetSpec.from_path(source)
    if isinstance(source, DatasetSpec):
        return BucketIndex.build(source)
    if isinstance(source, BucketIndex):
        return source.check_sources()
    return source()


def _with_noise_of(before: Mapping[Component, Recipe], settings: Settings) -> Settings:
    """Where no noise is asked for, the store's own draws are kept complete."""
    noisy = before.get("noisy_image_latents")
    if noisy is None or settings.image_noise:
        return settings
    return replace(settings, image_noise=int(noisy.fields["draws"]))


def components_of(
    store: Store,
    before: Iterable[Component],
    possible: Iterable[Component],
    asked: set[Component],
) -> list[Component]:
    """What is to be made. A component that the store has is kept complete, asked for or not."""
    wanted = {*before} | asked
    if lacking := sorted(wanted.difference(possible)):
        raise ModelError(
            f"the store has {', '.join(lacking)}, which this model cannot make",
            where=store.location,
            remedy="encode with the model that the store was made with, or into another store",
        )
    return [component for component in COMPONENTS if component in wanted]


def components_for(
    possible: Iterable[Component], image_latents: bool, image_noise: int
) -> set[Component]:
    """Those that a run makes, of those that a model can make.

    Raises:
        ModelError: noise is asked for, and models of this family are not trained with it.
    """
    wanted = {one for one in possible if image_latents or MADE_FROM[one] != "image"}
    noisy: Component = "noisy_image_latents"
    if image_noise and noisy not in possible:
        raise ModelError(
            "image noise is asked for, and models of this family are not trained with it",
            remedy="leave --image-noise out",
        )
    return wanted | {noisy} if image_noise else wanted - {noisy}


def open_checked(name: str, revision: str | None) -> tuple[ModelFolder, Family]:
    """Finds the model and its family, and checks that the folder is whole."""
    parts = {part for family in families().values() for part in family.parts}
    model = open_model(name, tuple(sorted(parts)), revision)
    family = family_of(model)
    family.check(model)
    return model, family


def _require_legal_buckets(index: BucketIndex, family: Family) -> None:
    """The plan may have been made for another profile than the model's."""
    profile = family.profile
    illegal = sorted(
        {
            str(bucket)
            for bucket in index.buckets.counts()
            if not profile.accepts_size(bucket.width, bucket.height)
            or not profile.accepts_frames(bucket.frames)
        }
    )
    if illegal:
        raise PlanError(
            f"the model's family {family.name!r} cannot encode the buckets {', '.join(illegal)}",
            remedy=f"plan with --profile {family.name}",
        )


def _remember(tally: Tally, job: Job, device: torch.device) -> None:
    """Keeps the pace beside the dataset, from which `videoprep index` estimates the next run.

    A run that encoded only captions, or only clips, has half of it to tell, and keeps nothing.
    """
    captions = tally.counts["prompt_embeds"].cost
    pixels = sum(c.cost for name, c in tally.counts.items() if MADE_FROM[name] != "caption")
    text_seconds, video_seconds = (tally.phases.get(phase, 0.0) for phase in ("text", "video"))
    if not (pixels and captions and text_seconds and video_seconds):
        return
    remember(
        job.index.data_root,
        Calibration(
            model=job.model.name,
            device=device_name(device),
            dtype=job.settings.dtype,
            pixels_per_second=pixels / video_seconds,
            captions_per_second=captions / text_seconds,
        ),
    )
