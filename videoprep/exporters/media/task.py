"""`MediaTask`: writing the clips of a plan as video files, as a task of the engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from videoprep.encoding.units import most_pixels
from videoprep.engine.progress import Phase, UnitGroup
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import JobShare, Stage, TaskDescription, TaskUnit
from videoprep.errors import Code
from videoprep.exporters.media.clip_writer import ClipWriter, MediaOptions
from videoprep.exporters.media.clips import MediaClip, media_clip
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

# Bytes of decoded pixels that may wait, as for encoding.
_MEMORY = 1 << 30
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ClipState:
    """What has become of a clip."""

    clip: MediaClip
    unit: str
    """The id of its unit."""
    files: int
    """How many of its files are there: those of pixels and its caption."""
    is_there: bool
    """Whether all of them are, and so it is exported."""
    problem: Failure | None
    """Why pixels cannot be written, if some are not there: they are gone, or the clip failed."""

    @property
    def is_left(self) -> bool:
        """Whether it is to be exported."""
        return not self.is_there and self.problem is None


class MediaTask:
    """Writing the clips of a plan as video files, as a task of the engine.

    What is done is told by the files alone: each is written whole or not at all, from bytes that
    follow from the plan. Only what fails is recorded.

    Args:
        index: the plan.
        files: where to.
        options: how clips are written.
        gone: samples whose files are not as they were planned, and why; their clips are skipped.
        cpus: how many one process takes, for executors that allot them.
    """

    def __init__(
        self,
        index: BucketIndex,
        files: Files,
        options: MediaOptions,
        gone: Mapping[str, str],
        cpus: float = 1,
    ) -> None:
        self.files = files
        self.index = index
        self.own: Sequence[TaskUnit] = ()
        """This job's units, those that were done before, too."""
        self.before = 0
        """How many files of their clips were there when `units` was called."""
        self._options = options
        self._gone = gone
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
        self.own, left = share.of(self.all_units), Counter[str]()
        self._forget_failures()
        for state in self.survey(self.own):
            self.before += state.files
            left[state.unit] += state.is_left
        return [  # without the clips that are there already, for progress
            replace(unit, cost=unit.cost // unit.items * left[unit.id], items=left[unit.id])
            for unit in self.own
            if left[unit.id]
        ]

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        """See `Task`."""
        left = {state.unit for state in self.survey(units) if state.is_left}
        return {unit.id for unit in units} - left

    @cached_property
    def all_units(self) -> Sequence[TaskUnit]:
        """The units of the whole plan, from which they follow alone."""
        return [
            TaskUnit(FAILURES, name, _NAME, _CLIPS, len(places) * bucket.pixels, len(places))
            for name, (bucket, places) in self._places.items()
        ]

    def survey(self, units: Sequence[TaskUnit]) -> Iterator[ClipState]:
        """Yield what has become of the clips of some units."""
        exists = self._existing(units)
        for unit in units:
            failures = self._failures(unit) if exists(unit.receipt) else {}
            for clip in self._clips(unit):
                pixels = [exists(one.name) for one in clip.files]
                caption = exists(clip.caption_file)
                problem = None if all(pixels) else self._problem(clip, failures)
                whole = caption and all(pixels)
                yield ClipState(clip, unit.id, sum(pixels) + caption, whole, problem)

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
            allow_damaged=self._options.allow_damaged,
            check=rank.check,
        )
        with pool, ThreadPoolExecutor(size) as threads:
            root = self.index.data_root
            yield ClipWriter(self.files, self._options, root, rank, pool, threads, size)

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
        data = {"options": asdict(self._options), "gone": dict(self._gone)}
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
        return [state.clip for state in self.survey([unit]) if state.is_left]

    def _problem(self, clip: MediaClip, failures: Mapping[str, Failure]) -> Failure | None:
        why = self._gone.get(clip.clip.sample)
        if why is not None:
            return Failure(clip.stem, Code.SOURCE_CHANGED.value, why)
        return failures.get(clip.stem)

    def _existing(self, units: Sequence[TaskUnit]) -> Callable[[str], bool]:
        """Tells which files there are."""
        if len(units) == 1:  # the folder of a bucket may have very many files
            return lambda name: self.files.size(name) is not None
        listed: dict[str, set[str]] = {}

        def exists(path: str) -> bool:
            folder, _, name = path.rpartition("/")
            if folder not in listed:
                listed[folder] = set(self.files.names(folder))
            return name in listed[folder]

        return exists

    def _failures(self, unit: TaskUnit) -> dict[str, Failure]:
        """The clips of a unit that failed, by their stems.

        If that cannot be read any more they are tried again, and it is written again.
        """
        try:
            found = [Failure(**entry) for entry in json.loads(self.files.read(unit.receipt))]
        except (FileNotFoundError, ValueError, TypeError):
            return {}
        return {failure.key: failure for failure in found}

    def _record(self, unit: TaskUnit, failures: Mapping[str, Failure]) -> None:
        entries = [asdict(failures[key]) for key in sorted(failures)]
        self.files.write_bytes(unit.receipt, json.dumps(entries, indent=2).encode())

    def _forget_failures(self) -> None:
        exists = self._existing(self.own)
        for unit in filter(lambda unit: exists(unit.receipt), self.own):
            failures = self._failures(unit)
            kept = {key: one for key, one in failures.items() if not self._options.takes_up(one)}
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
