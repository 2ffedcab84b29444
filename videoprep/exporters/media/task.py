"""`MediaTask`: writing the clips of a plan as video files, as a task of the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from videoprep.encoding.units import most_pixels
from videoprep.engine.progress import Phase, UnitGroup
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import JobShare, Stage, TaskDescription, TaskUnit
from videoprep.errors import Code
from videoprep.exporters.media.clip_writer import ClipWriter
from videoprep.exporters.media.clips import FOLDER, MediaClip, media_clip
from videoprep.fs import Files
from videoprep.index.bucket import Bucket
from videoprep.index.table import BucketIndex
from videoprep.media.decode_pool import DecodePool
from videoprep.store.receipt import Failure

FAILURES = "failures"
"""The folder that says what failed, in a file a unit that has such clips."""

_NAME, _CLIPS = "export", "clips"
_PHASE = Phase(_NAME, "Exporting", "clips", "frames")

_INDEX, _OPTIONS = "index.parquet", "media.json"
_DAMAGE = (Code.DAMAGED_FRAMES.value, Code.DAMAGED_SOUND.value)

# Bytes of decoded pixels that may wait, as for encoding.
_MEMORY = 1 << 30
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """How clips are written; see `export_media`."""

    lossless: bool = False
    sound: bool = True
    allow_damaged: bool = False
    retry_failed: bool = False

    def takes_up(self, failure: Failure) -> bool:
        """Whether a clip that failed in an earlier run is tried again."""
        return self.retry_failed or (self.allow_damaged and failure.code in _DAMAGE)


@dataclass(slots=True)
class UnitState:
    """What has become of the clips of a unit; each is in one of the four lists."""

    there: list[MediaClip] = field(default_factory=list)
    """They are exported."""
    gone: list[MediaClip] = field(default_factory=list)
    """Their videos are not as they were planned."""
    failed: list[tuple[MediaClip, Failure]] = field(default_factory=list)
    left: list[MediaClip] = field(default_factory=list)
    """They are to be exported; a video may be there without its caption."""
    files: int = 0
    """How many files of the clips are there."""


class MediaTask:
    """Writing the clips of a plan as video files, as a task of the engine.

    What is done is told by the files alone: each is written whole or not at all, from bytes that
    follow from the plan. Only what fails is recorded.

    Args:
        index: the plan.
        files: where to.
        options: how clips are written.
        gone: videos that are not as they were planned; their clips are skipped.
        cpus: how many one process takes, for executors that allot them.
    """

    def __init__(
        self,
        index: BucketIndex,
        files: Files,
        options: MediaOptions,
        gone: Collection[str] = (),
        cpus: float = 1,
    ) -> None:
        self.files = files
        self.index = index
        self.options = options
        self.own: Sequence[TaskUnit] = ()
        """This job's units, those that were done before, too."""
        self.before = 0
        """How many files of their clips were there when `units` was called."""
        self._gone = frozenset(gone)
        self._cpus = cpus

    def describe(self) -> TaskDescription:
        """See `Task`."""
        return TaskDescription(
            items=_CLIPS,
            phases=[_PHASE],
            stages=[Stage(_NAME, _NAME, self._cpus)],
            groups=[UnitGroup(_CLIPS, _NAME)],
            failures=f"see the files in {FAILURES}/; what is exported so far is kept",
        )

    def units(self, share: JobShare) -> Sequence[TaskUnit]:
        """See `Task`. What is to be tried again has not failed from now on."""
        self.own = share.of(self.all_units)
        self._forget_failures()
        states = list(self.states(self.own))
        self.before = sum(state.files for _, state in states)
        return [_rest(unit, len(state.left)) for unit, state in states if state.left]

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        """See `Task`."""
        return {unit.id for unit, state in self.states(units) if not state.left}

    @cached_property
    def all_units(self) -> Sequence[TaskUnit]:
        """The units of the whole plan, from which they follow alone."""
        return [
            TaskUnit(FAILURES, name, _NAME, _CLIPS, len(places) * bucket.pixels, len(places))
            for name, (bucket, places) in self._places.items()
        ]

    def states(self, units: Sequence[TaskUnit]) -> Iterator[tuple[TaskUnit, UnitState]]:
        """Yield what has become of the clips of each unit."""
        exists = self._existing(units)
        for unit in units:
            failures = self._failures(unit) if exists(unit.receipt) else {}
            state = UnitState()
            for clip in self._clips(unit):
                video, caption = exists(clip.video), exists(clip.caption_file)
                state.files += video + caption
                if video:
                    (state.there if caption else state.left).append(clip)
                elif clip.clip.video in self._gone:
                    state.gone.append(clip)
                elif clip.stem in failures:
                    state.failed.append((clip, failures[clip.stem]))
                else:
                    state.left.append(clip)
            yield unit, state

    def process(self, rank: RankContext) -> AbstractContextManager[None]:
        """See `Task`."""
        return nullcontext()

    @contextmanager
    def open(self, stage: str, rank: RankContext) -> Iterator[ClipWriter]:
        """See `Task`. Decoding and writing take about as long: each gets half of the cores."""
        size = max(1, min(rank.cores // 2, _MOST_AT_ONCE))
        pool = DecodePool(
            size=size,
            memory=_MEMORY,
            resizing=self.index.is_resizing,
            allow_damaged=self.options.allow_damaged,
            check=rank.check,
        )
        with pool, ThreadPoolExecutor(size) as threads:
            lossless, sound = self.options.lossless, self.options.sound
            root = self.index.data_root
            yield ClipWriter(self.files, root, rank, pool, threads, size, lossless, sound)

    def run(
        self, opened: ClipWriter, works: Iterator[ClaimedUnit], rank: RankContext
    ) -> Generator[tuple[ClaimedUnit, Sequence[Failure]], None, None]:
        """See `Task`. Clips are written as they come; a unit's result is what failed."""
        yield from opened.write((work, self._left(work.unit)) for work in works)

    def commit(self, work: ClaimedUnit, result: Sequence[Failure]) -> int:
        """See `Task`. A unit is committed once each of its clips is there or recorded as failed."""
        if result:
            self._record(work.unit, {**self._failures(work.unit), **{f.key: f for f in result}})
        return len(result)

    def save(self, files: Files, folder: str) -> None:
        """See `Task`."""
        self.index.save_to(files, f"{folder}/{_INDEX}")
        data = {"options": asdict(self.options), "gone": sorted(self._gone)}
        files.write_bytes(f"{folder}/{_OPTIONS}", json.dumps(data).encode())

    @cached_property
    def _places(self) -> Mapping[str, tuple[Bucket, NDArray[np.int64]]]:
        """The bucket of each unit and its clips, as places in the plan."""
        buckets = self.index.buckets
        cost = sum(count * bucket.pixels for bucket, count in buckets.counts().items())
        limit = most_pixels(cost)
        found = {}
        for code, bucket in enumerate(buckets.kinds):
            members = np.flatnonzero(buckets.codes == code)
            pieces = -(-len(members) // max(1, limit // bucket.pixels))
            for places in np.array_split(members, pieces) if pieces else ():
                found[f"{bucket.plain}-{places[0]:08d}"] = bucket, places
        return found

    def _clips(self, unit: TaskUnit) -> list[MediaClip]:
        _, places = self._places.get(unit.name, (None, ()))  # another version cuts otherwise
        clips = self.index.clips_at(np.asarray(places, np.int64))
        return [media_clip(int(place), clip) for place, clip in zip(places, clips, strict=True)]

    def _left(self, unit: TaskUnit) -> list[MediaClip]:
        [(_, state)] = self.states([unit])
        return state.left

    def _existing(self, units: Sequence[TaskUnit]) -> Callable[[str], bool]:
        """Tells which files there are."""
        if len(units) == 1:  # the folder of a bucket may have very many files
            return lambda name: self.files.size(name) is not None
        folders = (FAILURES, *(f"{FOLDER}/{kind.plain}" for kind in self.index.buckets.kinds))
        there = {f"{folder}/{name}" for folder in folders for name in self.files.names(folder)}
        return there.__contains__

    def _failures(self, unit: TaskUnit) -> dict[str, Failure]:
        """The clips of a unit that failed, by their stems."""
        if self.files.size(unit.receipt) is None:
            return {}
        found = (Failure(**entry) for entry in json.loads(self.files.read(unit.receipt)))
        return {failure.key: failure for failure in found}

    def _record(self, unit: TaskUnit, failures: Mapping[str, Failure]) -> None:
        entries = [asdict(failures[key]) for key in sorted(failures)]
        self.files.write_bytes(unit.receipt, json.dumps(entries, indent=2).encode())

    def _forget_failures(self) -> None:
        exists = self._existing(self.own)
        for unit in filter(lambda unit: exists(unit.receipt), self.own):
            failures = self._failures(unit)
            kept = {key: one for key, one in failures.items() if not self.options.takes_up(one)}
            if not kept:
                self.files.delete(unit.receipt)
            elif len(kept) < len(failures):
                self._record(unit, kept)
        self.files.delete_folder(FAILURES)


def load_media_task(files: Files, folder: str) -> MediaTask:
    """Return the task that another process has written."""
    data = json.loads(files.read(f"{folder}/{_OPTIONS}"))
    index = BucketIndex.load_from(files, f"{folder}/{_INDEX}")
    return MediaTask(index, files, MediaOptions(**data["options"]), data["gone"])


def _rest(unit: TaskUnit, left: int) -> TaskUnit:
    """A unit of which some clips are there already, for progress."""
    return replace(unit, cost=unit.cost // unit.items * left, items=left)
