"""`encode`: from a plan to a finished store, alone or as one of several ranks or jobs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from videoprep.device import choose_device, device_name
from videoprep.encoding.job import EncodeJob
from videoprep.encoding.options import EncodeKeywords, EncodeOptions, divided
from videoprep.encoding.pool import decode_pool
from videoprep.encoding.recipes import (
    Settings,
    choose_settings,
    draws_of,
    make_facts,
    make_recipes,
)
from videoprep.encoding.replan import (
    OnReplan,
    Replan,
    find_replan,
    is_older,
    needs_accepting,
    options_given,
)
from videoprep.encoding.result import EncodeResult, finish
from videoprep.engine.coordination import planned_world_size
from videoprep.engine.execution import execute
from videoprep.engine.progress import OnProgress, Progress
from videoprep.engine.ray_cluster import share_of_node
from videoprep.engine.run import TaskPlan, TaskResult
from videoprep.engine.sessions import Session
from videoprep.engine.task import Task
from videoprep.errors import ModelError, PlanError
from videoprep.failpoints import reach
from videoprep.families.component import (
    CONDITION_WORDS,
    Component,
    ComponentSpec,
    Condition,
    ordered,
    roles_read,
)
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.profile import DEFAULT, Profile
from videoprep.families.registry import components_of, families, family_of, get_profile
from videoprep.fs import Files
from videoprep.gc_pause import gc_paused
from videoprep.index.calibration import Calibration, remember
from videoprep.index.row_words import of_stills, row_word
from videoprep.index.table import BucketIndex, OnMissing
from videoprep.library_logging import import_libraries
from videoprep.media.decode_pool import DecodePool
from videoprep.progress import Style, shown
from videoprep.sources import Source, kind_of, open_dataset, open_index
from videoprep.spec.dataset_group import specs_of
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.recipe import Recipe
from videoprep.workers.pool import Limits

if TYPE_CHECKING:
    import torch

    from videoprep.encoding.task import EncodeTask, StageResources
    from videoprep.engine.progress import RunStats

logger = logging.getLogger(__name__)

OnPlanned = Callable[[int, int], None]
"""Called with how many samples are planned, and how many there are."""


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
    with ExitStack() as stack:
        run = _EncodeRun(
            source=source,
            model=str(model),
            store=Store.open(output),
            options=own,
            dataset_options=dataset,
            on_missing=on_missing,
            on_planned=on_planned,
            on_replan=on_replan,
            on_progress=on_progress,
            style=progress,
            stack=stack,
        )
        plan = TaskPlan(run.make_task, load_task, run.store.files, import_libraries)
        done = execute(plan, own, device=own.device, on_progress=run.show)
        return None if done is None else run.finish(done)


def load_task(files: Files, folder: str) -> Task[Any, Any]:
    """Return the task that another process has planned."""
    from videoprep.encoding import task

    return task.load_task(files, folder)


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
        for spec in specs_of(source):  # said before any video is opened
            if spec.profile is not None:
                with spec.blaming_file():
                    _require_profile(get_profile(spec.profile), family)
    index = open_index(
        source,
        on_missing=on_missing,
        on_progress=on_planned,
        default_profile=family.profile.name,
        **options,
    )
    require_plan_for(index, family)
    return index


@dataclass(slots=True)
class _EncodeRun:
    """The part of the process that plans a run and finishes it."""

    source: Source
    model: str
    store: Store
    options: EncodeOptions
    dataset_options: Mapping[str, Any]
    on_missing: OnMissing | None
    on_planned: OnPlanned | None
    on_replan: OnReplan | None
    on_progress: OnProgress | None
    style: Style
    stack: ExitStack
    """Closes what the run has opened."""
    started: float = 0.0
    task: EncodeTask | None = None

    def make_task(self) -> EncodeTask:
        """Plan the run and make the store ready. Nothing is written before all is checked."""
        # What can be wrong without torch is found before its slow import.
        model, family = open_checked(self.model, self.options.revision)
        given = options_given(self.source, self.dataset_options)
        index = _plan(self.source, family, self.on_missing, self.on_planned, self.dataset_options)
        index.require_clips()
        pool = self._started_pool(index)
        with gc_paused():  # these import torch
            from videoprep.encoding.task import EncodeTask

            resources = self._resources()
            settings = choose_settings(self.options, self._device(resources))
        job = self._job(index, model, family, settings, given)
        if self.on_progress is None:
            self.on_progress = self.stack.enter_context(shown(self.style))
        self.started = time.monotonic()
        self.task = EncodeTask(job, self.store, self.options, pool=pool, resources=resources)
        return self.task

    def show(self, progress: Progress) -> None:
        """Show how far the run is."""
        if self.on_progress is not None:
            self.on_progress(progress)

    def finish(self, done: TaskResult) -> EncodeResult:
        """Write the catalogue, and return what was done."""
        assert self.task is not None  # noqa: S101 (this process has planned)
        task, job, stats = self.task, self.task.job, done.stats
        seconds = time.monotonic() - self.started
        with Session(self.store.files):  # whoever looks sees that somebody is at work
            result = finish(job, self.store, task.before, stats, task.damages, done.swept, seconds)
            reach("run.finished")
        if self.options.executor == "local":
            _remember(stats, job, choose_device(self.options.device))
        return result

    def _started_pool(self, index: BucketIndex) -> DecodePool | None:
        """Processes that decode: they import what they need while this process does."""
        if self.options.executor != "local":
            return None  # the cluster's processes have their own
        pool = self.stack.enter_context(decode_pool(self.options, index))
        pool.start()
        return pool

    def _resources(self) -> StageResources:
        from videoprep.encoding.task import StageResources

        if self.options.executor == "local":
            return StageResources()
        cpus, gpus = share_of_node(gpu=self.options.device != "cpu")
        if self.options.device.startswith("cuda"):
            gpus = 1.0  # nodes with GPUs may be started once they are asked for
        return StageResources(cpus, gpus)

    def _device(self, resources: StageResources) -> torch.device:
        """The kind of device that the settings are for."""
        import torch

        if self.options.executor != "local":  # this machine need not have one
            return torch.device("cuda" if resources.gpus else "cpu")
        return choose_device(self.options.device, int(os.environ.get("LOCAL_RANK", "0")))

    def _job(
        self,
        index: BucketIndex,
        model: ModelFolder,
        family: Family,
        settings: Settings,
        given: AbstractSet[str] | None,
    ) -> EncodeJob:
        older = self.store.exists() and is_older(self.store, self.source)
        there = self.store.read_info() if self.store.exists() else None
        # A store of another family is refused when it is claimed.
        before = there.recipes if there and there.family == family.name else {}
        settings = _with_noise_of(before, settings)
        roles = {*index.roles, *roles_read(recipe.fields for recipe in before.values())}
        possible = components_of(family, model, roles)
        _tell_unused(index, possible.values(), family)
        # Draws of noise are asked for by what the store has, too.
        drawn: set[Condition] = {"image_noise"} if settings.image_noise else set()
        asked = asked_components(possible, self.options.conditions | drawn)
        components = wanted_components(self.store, before, possible, asked)
        _require_known_sound(index, components)
        _require_masks_of_what_is_generated(index, components, settings)
        recipes = make_recipes(family, model, components, settings)
        facts = make_facts(family, model, settings, recipes)
        replan = None
        if before:
            replan = find_replan(
                self.store, index, recipes, model.name, self.options, given, older=older
            )
            self._decide(replan)
        info = StoreInfo(family.name, model.name, model.revision, facts, recipes)
        info = self.store.claim(info)
        if replan is not None or needs_accepting(self.store, index):
            self.store.accept(index)
        reach("store.claimed")
        return EncodeJob(index, model, family.name, settings, info.recipes)

    def _decide(self, replan: Replan | None) -> None:
        """Go on only if what is stored may be encoded again.

        Raises:
            PlanError: It may not.
        """
        if replan is None or self.options.yes:
            return
        alone = planned_world_size() == 1 and self.options.num_jobs == 1
        ask = self.on_replan if alone else None
        # Where nobody can be asked, what was asked for in so many words is done.
        if not (ask(replan) if ask else not replan.forgotten):
            raise replan.refusal()
        for line in replan.lines:
            logger.warning("%s: %s", self.store.location, line)


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
    possible: Mapping[Component, ComponentSpec], conditions: AbstractSet[Condition]
) -> set[Component]:
    """Return those that a run makes, of those that a model can make.

    Args:
        possible: what the model can make.
        conditions: the options that are given.

    Raises:
        ModelError: A condition is asked for, and models of this family are not trained with it.
    """
    known = {option for spec in possible.values() for option in spec.options}
    for option in sorted(conditions - known):
        raise ModelError(
            f"`{option}` asks for {CONDITION_WORDS[option]}, and models of this family are "
            "not trained with it",
            remedy=f"leave `{option}` out",
            option=option,
        )
    return {
        name
        for name, spec in possible.items()
        if not spec.options or not conditions.isdisjoint(spec.options)
    }


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


def _require_known_sound(index: BucketIndex, components: Iterable[ComponentSpec]) -> None:
    """Check that the index says which clips have sound, if anything is made from it.

    Raises:
        PlanError: It was made by a version of videoprep that did not look.
    """
    of_sound = [spec.name for spec in components if spec.source.sound]
    if of_sound and not index.knows_sound:
        raise PlanError(
            f"the index does not say which clips have sound, from which {of_sound[0]} are made",
            remedy="make it anew with `videoprep index`",
        )


def _require_masks_of_what_is_generated(
    index: BucketIndex, components: Iterable[ComponentSpec], settings: Settings
) -> None:
    """Check that masks of the loss are not taken for those that a model is conditioned on.

    Raises:
        ModelError: They are.
    """
    masks = [role for role in index.roles if role.is_mask]
    read = [spec.name for spec in components if spec.reads_given_parts]
    if masks and read and settings.mask_meaning == "loss":
        raise ModelError(
            f"{', '.join(read)} are made with masks that say what is generated, and by "
            f"`mask_meaning='loss'` {', '.join(masks)} say what counts in the loss",
            remedy="if white is what is generated, give `mask_meaning='inpaint'`; if not, turn the "
            f"masks off with `roles={{'{masks[0]}': ''}}`",
            option="mask_meaning",
        )


def _tell_unused(index: BucketIndex, possible: Iterable[ComponentSpec], family: Family) -> None:
    """Warn of media beside the videos of which models of the family make nothing."""
    read = {spec.source.role for spec in possible}
    unused = [role for role in index.roles if role.kind.several and role not in read]
    if unused:
        logger.warning(
            "%s: the family %r makes nothing of it; encoding goes on without",
            ", ".join(unused), family.name,
        )  # fmt: skip


def _rules_of(profile: Profile) -> str:
    rate = "any rate" if profile.fps is None else f"{profile.fps:g} fps"
    return f"sides divisible by {profile.divisor}, {profile.frame_rule()} frames, {rate}"


def _require_legal_buckets(index: BucketIndex, family: Family) -> None:
    """The default profile accepts what the model's own may not."""
    profile = family.profile
    if index.stills and not profile.stills:
        raise PlanError(
            f"the model's family {family.name!r} does not train on still images, and the plan has "
            f"{of_stills(index.stills, row_word(index.policy))}",
            remedy=f"plan again with `profile={family.name!r}`",
            option="profile",
        )
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
    costs = dict.fromkeys(("captions", "frames", "sound"), 0)
    for component, recipe in job.recipes.items():
        costs[recipe.source.kind] += tally.counts[component].cost
    captions, pixels = costs["captions"], costs["frames"]
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
