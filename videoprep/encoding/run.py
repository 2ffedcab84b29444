"""`encode`: from a plan to a finished store, alone or as one of several ranks or jobs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import Unpack

from videoprep.device import choose_device, device_name
from videoprep.encoding.finish import finish
from videoprep.encoding.job import EncodeJob, work_of
from videoprep.encoding.library_logging import import_libraries
from videoprep.encoding.options import EncodeKeywords, EncodeOptions, divided
from videoprep.encoding.recipes import Settings, choose_settings, draws_of, make_recipes
from videoprep.encoding.replan import (
    OnReplan,
    Replan,
    find_replan,
    is_older,
    needs_accepting,
    options_given,
)
from videoprep.encoding.result import EncodeResult
from videoprep.encoding.units import Items, Unit, most_expensive_first, plan_units, share_of
from videoprep.engine.claims import Claims
from videoprep.engine.coordination import (
    Coordinator,
    CoordinatorLostError,
    join,
    report_failure,
    wait_for,
)
from videoprep.engine.progress import OnProgress
from videoprep.engine.sessions import Session
from videoprep.engine.shared_task import sweep_shared
from videoprep.engine.sweep import sweep
from videoprep.errors import Code, ModelError, PlanError
from videoprep.failpoints import reach
from videoprep.families.component import IMAGE_LATENTS, Component, ComponentSpec, ordered
from videoprep.families.component import NOISY_IMAGE_LATENTS as NOISE
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.profile import DEFAULT, Profile
from videoprep.families.registry import components_of, families, family_of, get_profile
from videoprep.gc_pause import gc_paused
from videoprep.index.calibration import Calibration, remember
from videoprep.index.table import BucketIndex, OnMissing
from videoprep.media.decode_pool import DecodePool
from videoprep.reporting.panel import Style, shown
from videoprep.sources import Source, kind_of, open_dataset, open_index
from videoprep.store.catalogue import Artifacts, read_artifacts
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.receipt import ReceiptDamage, is_damaged
from videoprep.store.recipe import Recipe
from videoprep.workers.pool import Limits

if TYPE_CHECKING:
    import torch

    from videoprep.engine.run_stats import RunStats

logger = logging.getLogger(__name__)

OnPlanned = Callable[[int, int], None]
"""Called with how many samples are planned, and how many there are."""

_DECODE_BYTES = 1 << 30  # of decoded pixels that may wait for the device


def encode(
    source: Source,
    *,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    on_missing: OnMissing | None = None,
    limits: Limits | None = None,
    progress: Style = "auto",
    on_planned: OnPlanned | None = None,
    on_replan: OnReplan | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[EncodeKeywords],
) -> EncodeResult | None:
    """Encodes every planned clip that the store does not hold yet.

    The text pass comes first; the text encoder is freed before the VAE is loaded. Under torchrun
    every rank calls this; rank 0 plans, all encode, rank 0 writes the catalogue. It can be stopped
    in any way and called again: what is committed stays, and nothing is made twice.

    A run that would encode again what the store already holds, because an option or the model is
    another one, is refused unless that option is given in this call, or ``yes``.

    Args:
        source: a dataset, planned with its options; or an index or a store, whose plan is taken.
        model: a diffusers folder or a hub id. Its family's profile is that of a dataset which names
            none.
        output: the store, a folder or an fsspec URL; made, or resumed.
        on_missing: what to do with videos that are missing or have changed; see `open_index`.
        limits: what decoding one clip may take; instead of ``time_limit`` and ``memory_limit``.
        progress: how progress is shown on rank 0: ``auto`` (a panel in a terminal or a notebook,
            else lines), ``panel``, ``lines``, ``json`` or ``none``.
        on_planned: called on rank 0 while a dataset is planned, with how many samples are done,
            and how many there are.
        on_replan: asked before what the store holds is encoded again: returns whether to go on.
            Never called where several ranks or jobs share the work.
        on_progress: called about once a second on rank 0, in a thread, instead of showing it.
        options: fields of `EncodeOptions`, and of `DatasetSpec` for a dataset.

    Returns:
        What was done, on rank 0; None on the other ranks.

    Raises:
        VideoprepError: something is missing or does not fit. What was committed stays.
        KeyboardInterrupt: SIGINT came; what was finished is committed.
        SystemExit: SIGTERM came; likewise.
    """
    own, dataset = divided(options)
    if limits is not None:
        changed = {"time_limit": limits.seconds, "memory_limit": limits.memory_mib}
        own = own.model_copy(update=changed)
    with _ranks() as coordinator:
        run = _EncodeRun(Store.open(output), coordinator, own)
        if coordinator.rank != 0:
            run.follow()
            return None
        # What can be wrong without torch is found before its slow import.
        opened = open_checked(str(model), own.revision)
        given = options_given(source, dataset)
        index = _plan(source, opened[1], on_missing, on_planned, dataset)
        index.require_clips()
        with decode_pool(own, index) as pool:
            pool.start()  # it imports what it needs while this process does
            with gc_paused():  # these import torch
                torch_device = choose_device(own.device, coordinator.local_rank)
                settings = choose_settings(own, torch_device)
            older = run.store.exists() and is_older(run.store, source)
            decide = partial(run.decide, on_replan=on_replan)
            prepared = run.prepare(index, *opened, settings, given, older, decide)
            with nullcontext(on_progress) if on_progress else shown(progress) as told:
                return run.lead(prepared, torch_device, pool, told)


def _plan(
    source: Source,
    family: Family,
    on_missing: OnMissing | None,
    on_planned: OnPlanned | None,
    options: Mapping[str, Any],
) -> BucketIndex:
    """The plan, which is one for the model's family."""
    if kind_of(source) == "dataset":
        assert not isinstance(source, BucketIndex)  # noqa: S101
        source, options = open_dataset(source, **options), {}
        if source.profile is not None:  # said before any video is opened
            with source.blaming_file():
                _require_profile(get_profile(source.profile), family)
    index = open_index(
        source,
        on_missing=on_missing,
        on_progress=on_planned,
        default_profile=family.profile.name,
        **options,
    )
    require_plan_for(index, family)
    return index


def decode_pool(options: EncodeOptions, index: BucketIndex) -> DecodePool:
    """The processes that decode a plan's clips: one at first, see `DecodePool.resize`."""
    return DecodePool(
        size=1,
        memory=_DECODE_BYTES,
        limits=options.limits,
        resizing=index.is_resizing,
        allow_damaged=options.allow_damaged,
    )


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
class _EncodeRun:
    """One process's part of a run.

    Attributes:
        store: where all goes.
        coordinator: the ranks.
        options: of the run.
    """

    store: Store
    coordinator: Coordinator
    options: EncodeOptions

    def prepare(
        self,
        index: BucketIndex,
        model: ModelFolder,
        family: Family,
        settings: Settings,
        given: AbstractSet[str] | None,
        older: bool,
        decide: Callable[[Replan | None], None],
    ) -> _Prepared:
        """Makes the store ready. Nothing is written before all is checked."""
        there = self.store.read_info() if self.store.exists() else None
        # A store of another family is refused when it is claimed.
        before = there.recipes if there and there.family == family.name else {}
        settings = _with_noise_of(before, settings)
        possible = components_of(family, model)
        asked = asked_components(
            possible, image_latents=self.options.image_latents, image_noise=settings.image_noise
        )
        components = wanted_components(self.store, before, possible, asked)
        recipes = make_recipes(family, model, components, settings)
        facts = {**family.facts(model), "posterior": settings.posterior}
        if settings.posterior != "moments":
            facts["moments"] = f"not stored: the {settings.posterior} alone, unscaled"
        replan = None
        if before:
            replan = find_replan(
                self.store, index, recipes, model.name, self.options, given, older=older
            )
            decide(replan)
        info = StoreInfo(family.name, model.name, model.revision, facts, recipes)
        info = self.store.claim(info)
        if replan is not None or needs_accepting(self.store, index):
            self.store.accept(index)
        reach("store.claimed")
        return _Prepared(index, model, family, settings, info)

    def decide(self, replan: Replan | None, on_replan: OnReplan | None) -> None:
        """Goes on only if what is stored may be encoded again.

        Raises:
            PlanError: it may not.
        """
        if replan is None or self.options.yes:
            return
        alone = self.coordinator.world_size == 1 and self.options.num_jobs == 1
        # Where nobody can be asked, what was asked for in so many words is done.
        if not (on_replan(replan) if on_replan and alone else not replan.forgotten):
            raise replan.refusal()
        for line in replan.lines:
            logger.warning("%s: %s", self.store.location, line)

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
            Claims(self.store.files, session).sweep(
                lambda unit: self.options.num_jobs == 1 or self.store.has_unit(unit)
            )
            swept += sweep(self.store.files, session)  # ranks may have died meanwhile
            result = finish(
                job, self.store, before, tally, damages, swept, time.monotonic() - started
            )
            reach("run.finished")
        _remember(tally, job, device)
        return result

    def follow(self) -> None:
        """Another rank: takes the job that rank 0 has planned, and does its part of it."""
        with gc_paused():  # these import much, while rank 0 plans
            torch_device = choose_device(self.options.device, self.coordinator.local_rank)
            import_libraries()
        name = wait_for(self.coordinator, "job")
        job = EncodeJob.receive(self.store.files, name)
        with (
            Session(self.store.files) as session,
            decode_pool(self.options, job.index) as pool,
        ):
            pool.start()
            self._work(job, session, torch_device, pool, None)

    def _committed(
        self, prepared: _Prepared
    ) -> tuple[Mapping[Component, Artifacts], tuple[ReceiptDamage, ...]]:
        """What is there. A receipt that does not hold is removed, so that its unit is made anew."""
        recipes = prepared.info.recipes
        before = {name: read_artifacts(self.store, recipes[name]) for name in recipes}
        damages = tuple(damage for made in before.values() for damage in made.damages)
        for damage in damages:
            # Another job may have found it, too, and made the unit anew meanwhile.
            if damage.receipt is not None and is_damaged(self.store.files, damage.receipt):
                self.store.files.delete(damage.receipt)
        return before, damages

    def _job(self, prepared: _Prepared, before: Mapping[Component, Artifacts]) -> EncodeJob:
        index, family, model = prepared.index, prepared.family, prepared.model
        units: list[Unit] = []
        works: list[Items] = []
        attempts: dict[str, int] = {}
        specs = components_of(family, model)
        for component, made in before.items():
            items = work_of(specs[component], index, family, model, prepared.settings)
            works.append(items)
            failed = made.failed["key"]
            tried: dict[str, int] = {}
            if self.options.retry_failed:
                numbers = made.failed["attempt"].to_pylist()
                tried = dict(zip(failed.to_pylist(), numbers, strict=True))
                failed = failed.slice(0, 0)
            elif self.options.allow_damaged:
                taken = pc.equal(made.failed["code"], Code.DAMAGED_FRAMES.value)
                again = made.failed.filter(taken)
                numbers = again["attempt"].to_pylist()
                tried = dict(zip(again["key"].to_pylist(), numbers, strict=True))
                failed = failed.filter(pc.invert(taken))
            attempts |= tried
            settled = pa.chunked_array([*made.stored["key"].chunks, *failed.chunks], pa.string())
            units += plan_units(items, settled.combine_chunks(), tried)
        if self.options.num_jobs > 1:
            units = share_of(works, units, self.options.job_id, self.options.num_jobs)
        recipes = prepared.info.recipes
        return EncodeJob(
            index,
            model,
            family.name,
            prepared.settings,
            recipes,
            most_expensive_first(units),
            attempts,
        )

    @contextmanager
    def _shared(self, job: EncodeJob, session: Session) -> Iterator[None]:
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
        job: EncodeJob,
        session: Session,
        device: torch.device,
        pool: DecodePool,
        on_progress: OnProgress | None,
    ) -> RunStats:
        from videoprep.encoding.encoders import do_work

        return do_work(
            job, self.store, session, device, self.options, self.coordinator, pool, on_progress
        )


def _with_noise_of(before: Mapping[Component, Recipe], settings: Settings) -> Settings:
    """Where no noise is asked for, the store's own draws are kept complete."""
    if settings.image_noise:
        return settings
    return replace(settings, image_noise=draws_of(before.values()))


def wanted_components(
    store: Store,
    before: Iterable[Component],
    possible: Mapping[Component, ComponentSpec],
    asked: set[Component],
) -> list[ComponentSpec]:
    """Return what is to be made: what is asked for, and what the store has, to keep it complete.

    Raises:
        ModelError: The store has something that the model cannot make.
    """
    wanted = {*before} | asked
    if lacking := sorted(wanted.difference(possible)):
        raise ModelError(
            f"the store has {', '.join(lacking)}, which this model cannot make",
            where=store.location,
            remedy="encode with the model that the store was made with, or into another store",
        )
    return [possible[component] for component in ordered(wanted)]


def asked_components(
    possible: Mapping[Component, ComponentSpec], *, image_latents: bool, image_noise: int
) -> set[Component]:
    """Return those that a run makes, of those that a model can make.

    Raises:
        ModelError: Noise is asked for, and models of this family are not trained with it.
    """
    asked = {None: True, IMAGE_LATENTS.asked_by: image_latents, NOISE.asked_by: image_noise}
    if image_noise and not any(spec.noise for spec in possible.values()):
        raise ModelError(
            "image noise is asked for, and models of this family are not trained with it",
            remedy="leave `image_noise` out",
            option="image_noise",
        )
    return {name for name, spec in possible.items() if asked[spec.asked_by]}


def open_checked(name: str, revision: str | None) -> tuple[ModelFolder, Family]:
    """Finds the model and its family, and checks that the folder is whole."""
    parts = {part for family in families().values() for part in family.parts}
    model = open_model(name, tuple(sorted(parts)), revision)
    family = family_of(model)
    components_of(family, model)  # a plugin's may be declared wrongly
    family.check(model)
    return model, family


def require_plan_for(index: BucketIndex, family: Family) -> None:
    """Check that a plan is one for the models of a family.

    One by the documented default is, as far as its buckets are legal. One for another family is
    not, even where the buckets are: the model expects other rates, sizes or lengths.

    Raises:
        PlanError: it is not.
    """
    _require_profile(get_profile(index.policy["profile"]), family)
    _require_legal_buckets(index, family)


def _require_profile(profile: Profile, family: Family) -> None:
    own = family.profile
    if profile.name in (own.name, DEFAULT.name) or profile.is_like(own):
        return
    raise PlanError(
        f"the plan is for the profile {profile.name!r} ({_rules_of(profile)}), and the model is of "
        f"the family {own.name!r} ({_rules_of(own)})",
        remedy=f"plan again with `profile={own.name!r}`, or give a model of the family "
        f"{profile.name!r}",
        option="profile",
    )


def _rules_of(profile: Profile) -> str:
    rate = "any rate" if profile.fps is None else f"{profile.fps:g} fps"
    return f"sides divisible by {profile.divisor}, {profile.frame_rule()} frames, {rate}"


def _require_legal_buckets(index: BucketIndex, family: Family) -> None:
    """The default profile accepts what the model's own may not."""
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
            remedy=f"plan again with `profile={family.name!r}`",
            option="profile",
        )


def _remember(tally: RunStats, job: EncodeJob, device: torch.device) -> None:
    """Keeps the pace beside the dataset, from which `videoprep index` estimates the next run.

    A run that encoded only captions, or only clips, has half of it to tell, and keeps nothing.
    """
    costs = dict.fromkeys((False, True), 0)
    for component, recipe in job.recipes.items():
        costs[recipe.source.frames] += tally.counts[component].cost
    captions, pixels = costs[False], costs[True]
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
