"""Doing the work of a job in one process: the text pass, the video pass, what is left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError

from videoprep.device import free_memory
from videoprep.encoding.claiming import claimed, free, uncommitted
from videoprep.encoding.unit_work import UnitWork, WorkerContext
from videoprep.encoding.job import EncodeJob, Pass
from videoprep.encoding.library_logging import quiet_libraries
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.recipes import EIGHT_BIT
from videoprep.encoding.text_pass import encode_text
from videoprep.encoding.video_pass import at_once, cores, encode_video, prepare
from videoprep.engine.claims import Claims
from videoprep.engine.coordination import Coordinator, CoordinatorLostError, report_failure
from videoprep.engine.device_stream import device_stream
from videoprep.engine.heartbeat import Heartbeat
from videoprep.engine.interruption import Interruption
from videoprep.engine.overview import RunOverview
from videoprep.engine.progress import OnProgress, Phase, UnitGroup
from videoprep.engine.run_stats import Counts, RunStats
from videoprep.engine.sessions import Session
from videoprep.engine.watchdog import Watchdog
from videoprep.errors import ModelError, VideoprepError
from videoprep.families.component import ComponentSpec
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import families
from videoprep.gc_pause import gc_paused
from videoprep.store.empty_caption import path_of, write_empty_caption
from videoprep.store.layout import Store
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    from videoprep.families.contract import TextEncoder, VideoEncoder
    from videoprep.media.decode_pool import DecodePool

TEXT = Phase("text", "Encoding text", "captions")
VIDEO = Phase("video", "Encoding video", "clips", "frames")

_POLL_SECONDS = 0.2
_SHORTEST_PAUSE = 0.02  # ranks that have shared small work finish together


def do_work(
    job: EncodeJob,
    store: Store,
    session: Session,
    device: torch.device,
    options: EncodeOptions,
    coordinator: Coordinator,
    pool: DecodePool,
    on_progress: OnProgress | None,
) -> RunStats:
    """Encodes this rank's part of a job; on rank 0 also what other ranks leave behind.

    Raises:
        KeyboardInterrupt: SIGINT came; what was finished is committed.
        SystemExit: SIGTERM came; likewise.
        VideoprepError: the work cannot go on.
    """
    passes = job.passes()
    begin = TEXT if passes and passes[0].of_captions else VIDEO
    tally = RunStats(session.id, {name: Counts() for name in job.recipes}, begin.name)
    first = coordinator.rank == 0
    overview = _overview(job, coordinator.world_size) if first else None
    claims = Claims(store.files, session)

    def say(word: str) -> None:
        report_failure(coordinator, VideoprepError(word))

    with (
        Interruption() as interruption,
        Watchdog(options.watchdog, say) as watchdog,
        Heartbeat(coordinator, session, tally, overview, on_progress) as heartbeat,
    ):
        rank = WorkerContext(
            job=job,
            family=families()[job.family],
            store=store,
            claims=claims,
            coordinator=coordinator,
            tally=tally,
            heartbeat=heartbeat,
            interruption=interruption,
            watchdog=watchdog,
            device=device,
            lanes=device_stream(device, tally.add_busy),
            options=options,
        )
        try:
            with _host_threads(rank), quiet_libraries():
                prepare(pool, rank)
                _require_precision(rank)
                _do_passes(rank, pool)
                if overview is not None:
                    _finish_for_others(rank, pool, overview)
        finally:
            claims.release_all()
            with suppress(CoordinatorLostError):  # whoever needs it will say so
                heartbeat.finish()
    return tally


def _overview(job: EncodeJob, ranks: int) -> RunOverview:
    groups = [UnitGroup(name, job.phases[name]) for name in job.totals]
    totals = dict(job.totals)
    return RunOverview((TEXT, VIDEO), groups, totals, ranks)


def _do_passes(rank: WorkerContext, pool: DecodePool) -> None:
    passes = rank.job.passes()
    if not all(one.of_captions for one in passes):
        pool.start()  # which takes a while, in processes of their own
    for one in passes:
        _do_pass(rank, one, claimed(rank, one.units, one.name), pool)
    if rank.coordinator.rank == 0:
        _complete_empty_captions(rank)
    rank.tally.begin("finishing")


def _require_precision(rank: WorkerContext) -> None:
    """A VAE that overflows in float16 is told of before captions are encoded for nothing.

    The other types have float32's range; their models are tried when they are loaded for work.
    """
    if rank.job.settings.dtype != "float16":
        return
    for one in rank.job.passes():
        if not one.of_captions:
            _load_video(rank, rank.job.specs[one.units[0].component])
            free_memory(rank.device)


@contextmanager
def _host_threads(rank: WorkerContext) -> Iterator[None]:
    """On a CPU the clips that are encoded side by side share the cores.

    More threads than cores would wait for each other most of the time. What the user has set stays.
    """
    if not rank.lanes.one_by_one or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, cores(rank) // at_once(rank)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _do_pass(rank: WorkerContext, one: Pass, works: Iterator[UnitWork], pool: DecodePool) -> bool:
    """Encodes units of a pass; says whether there were any. Its encoder is freed after it."""
    first = next(works, None)
    if first is None:
        return False
    if one.of_captions:
        _do_text(rank, one.part, _with(first, works))
    else:
        _do_video(rank, first, _with(first, works), pool)
    rank.tally.end()
    free_memory(rank.device)
    return True


def _do_text(rank: WorkerContext, part: str, works: Iterator[UnitWork]) -> None:
    encoder = _load_text(rank, part)
    rank.tally.begin(TEXT.name)
    encode_text(rank, works, encoder)
    _write_empty_captions(rank, part, encoder)


def _lacking_empty_caption(rank: WorkerContext, part: str) -> list[Recipe]:
    """Recipes of captions that the part makes, and the store has not of the empty one."""
    return [
        recipe
        for component, recipe in rank.job.recipes.items()
        if not recipe.source.frames
        and rank.job.specs[component].part == part
        and rank.store.files.size(path_of(recipe)) is None
    ]


def _write_empty_captions(rank: WorkerContext, part: str, encoder: TextEncoder) -> None:
    for recipe in _lacking_empty_caption(rank, part):
        (embeds,) = encoder.encode([""])
        dtype = getattr(torch, rank.job.settings.dtype)
        write_empty_caption(rank.store.files, recipe, embeds.to(dtype))


def _complete_empty_captions(rank: WorkerContext) -> None:
    """For a store whose captions were all encoded when there was no such thing."""
    for part in dict.fromkeys(spec.part for spec in rank.job.specs.values()):
        if _lacking_empty_caption(rank, part):
            _write_empty_captions(rank, part, _load_text(rank, part))
            free_memory(rank.device)


def _do_video(
    rank: WorkerContext, first: UnitWork, works: Iterator[UnitWork], pool: DecodePool
) -> None:
    encoder = _load_video(rank, rank.job.specs[first.unit.component])
    rank.tally.begin(VIDEO.name)
    encode_video(rank, works, encoder, pool)


def _with(first: UnitWork, rest: Iterator[UnitWork]) -> Iterator[UnitWork]:
    yield first
    yield from rest


def _finish_for_others(rank: WorkerContext, pool: DecodePool, overview: RunOverview) -> None:
    """Waits for the other ranks, and does what those that died have left."""

    def lost() -> tuple[int, ...]:
        return overview.lost(time.monotonic())

    def dead() -> set[str]:
        return overview.sessions(lost())

    pause = _SHORTEST_PAUSE
    while not overview.finished(without=lost()):
        rank.check()
        time.sleep(pause)
        pause = min(1.5 * pause, 1.0)
        rank.heartbeat.hear()
    for one in rank.job.passes():
        _until_committed(rank, one, pool, dead)
    rank.tally.begin("done")


def _until_committed(
    rank: WorkerContext, one: Pass, pool: DecodePool, dead: Callable[[], set[str]]
) -> None:
    while waiting := uncommitted(rank, one.units):
        rank.check()
        rank.claims.presume_dead(dead())
        if not _do_pass(rank, one, free(rank, waiting), pool):
            time.sleep(_POLL_SECONDS)  # another run at this store has them in hand


def _load_text(rank: WorkerContext, part: str) -> TextEncoder:
    settings = rank.job.settings
    eight_bit = settings.text_dtype == EIGHT_BIT
    # What is not held in 8 bits: float16, which bitsandbytes computes in, overflows in T5.
    dtype = torch.bfloat16 if eight_bit else getattr(torch, settings.text_dtype)
    with _loading(rank.job.model, part):
        encoder = rank.family.load_text_encoder(
            rank.job.model, part, rank.device, dtype, eight_bit=eight_bit
        )
        if dtype != torch.float32:  # a smaller type may overflow
            made = encoder.encode(["A dog runs."])[0]
            _require_finite(made, rank, part, "text_encoder_dtype")
    return encoder


def _load_video(rank: WorkerContext, spec: ComponentSpec) -> VideoEncoder:
    family, model, settings = rank.family, rank.job.model, rank.job.settings
    dtype = getattr(torch, settings.dtype)
    with _loading(model, spec.part):
        encoder = family.load_frame_encoder(model, spec, rank.device, dtype, tiling=settings.tiling)
        if dtype != torch.float32:  # a smaller type may overflow
            side = 2 * family.profile.divisor
            picture = torch.rand(1, 3, 1, side, side, generator=torch.Generator().manual_seed(0))
            made = encoder.encode_captioned(2 * picture - 1, ["A dog runs."])
            _require_finite(made, rank, spec.part, "dtype")
    return encoder


def _require_finite(made: torch.Tensor, rank: WorkerContext, part: str, option: str) -> None:
    """Where a model overflows, every clip would be set aside."""
    if not made.isfinite().all():
        dtype = str(made.dtype).removeprefix("torch.")
        raise ModelError(
            f"the {part} gives values that are not finite in {dtype}",
            where=str(rank.job.model.path / part),
            remedy=f"use `{option}='bf16'` or `{option}='fp32'`",
            option=option,
        )


@contextmanager
def _loading(model: ModelFolder, what: str) -> Iterator[None]:
    """Says which model failed to load; the libraries' own errors often do not."""
    try:
        with gc_paused():  # libraries are imported, too
            yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"the {what} cannot be loaded: {type(error).__name__}: {error}",
            where=str(model.path),
            remedy="download the model again; if memory ran out, use another device or dtype",
        ) from error
