"""From samples and what is in their videos to the rows of an index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from videoprep.errors import Code, MediaError, PlanError
from videoprep.families.caption_places import FURTHER_CAPTIONS, FURTHER_KEYS
from videoprep.families.component import NO_AUDIO
from videoprep.index.aligned import PlannedClip
from videoprep.index.beside import PicturePlanner, refusal
from videoprep.index.clip import (
    audio_key,
    frames_text,
    prompt_key,
    span_of,
    transform_of,
    video_key,
)
from videoprep.index.numbers import to_text
from videoprep.index.placement import (
    LeftOut,
    Placement,
    available_frames,
    place,
    player_time,
    share_of_weight,
)
from videoprep.index.policy import Policy
from videoprep.index.schema import OF_SAMPLE, FurtherColumns, media_column, media_columns
from videoprep.media.audio import MOST_MISSING
from videoprep.media.inspect import InspectedSample, Inspection, SoundInspection
from videoprep.media.probe import MediaInfo
from videoprep.media.sound_file import SoundInfo
from videoprep.spec.roles import AUDIO, Role, distinct
from videoprep.spec.sample import Extras, Sample

_BATCH = 65_536
_MOST_KINDS = 4096

PATH_DIGITS = 16
"""So many characters of a sample's name stand for the path of its video."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Shared:
    """What clips of files that are alike have in common.

    Attributes:
        columns: values of all columns that are not the sample's own.
        video: what is done to the pixels; empty where the sample is skipped.
        image: the same for the first frame alone.
        audio: when its own sound begins and how long it lasts; empty if there is none.
        begins: seconds from where the file begins for a player to the clip's first frame.
        lasts: seconds.
        clip: what decides which part of other media goes with it; None where it is skipped.
    """

    columns: dict[str, Any]
    video: str = ""
    image: str = ""
    audio: str = ""
    begins: Fraction = Fraction(0)
    lasts: Fraction = Fraction(0)
    clip: PlannedClip | None = None


@dataclass(frozen=True, slots=True)
class _AlikeSamples:
    """The plan of samples that are alike: a row each clip, or one that says why there is none."""

    rows: tuple[_Shared, ...]
    available: int = 0
    share: float = 1.0
    """Which part of its sample's weight each clip has."""

    @property
    def alone(self) -> Iterator[tuple[_Shared, _Beside]]:
        """The rows, with nothing beside the video."""
        return ((row, _NOTHING_BESIDE) for row in self.rows)


def build_table(
    samples: Sequence[Sample],
    inspected: Iterable[InspectedSample],
    policy: Policy,
    on_progress: OnProgress | None = None,
    on_short_sound: Callable[[Sample], object] | None = None,
    unusable: Sequence[tuple[Sample, LeftOut]] = (),
) -> pa.Table:
    """Plan every sample; return a table with `FurtherColumns.memory_schema`, in their order.

    Args:
        samples: all that can be used.
        inspected: what is known of the files of each.
        policy: how they are planned.
        on_progress: called with how many samples are done, and how many there are.
        on_short_sound: called with a sample whose sound file ends before one of its clips does.
        unusable: further samples of the dataset, each with why it cannot be used. Their rows come
            last.

    Raises:
        PlanError: a frame bucket is longer than every clip.
    """
    planner = _Planner(policy)
    everyone = [*samples, *(sample for sample, _ in unusable)]
    rows, names = _Rows(_further_columns(everyone)), sample_names(everyone)
    for done, (sample, found) in enumerate(zip(samples, inspected, strict=True), start=1):
        name = next(names)
        kind = planner.kind_of(sample, found)
        planned = planner.with_media(sample, found, kind.rows) if found.beside else None
        for number, (shared, beside) in enumerate(planned or kind.alone):
            if beside and on_short_sound is not None and _ends_early(found, shared):
                on_short_sound(sample)
            rows.add(sample, name, number, found.video.fingerprint, shared, beside, kind.share)
        if on_progress is not None:
            on_progress(done, len(samples))
    planner.require_reachable()
    for (sample, reason), name in zip(unusable, names, strict=True):
        rows.add(sample, name, 0, "", _Shared(_reason(reason.code, reason.reason)))
    return rows.table()


def _further_columns(samples: Sequence[Sample]) -> FurtherColumns:
    """What columns the samples need beside those that every index has."""
    roles = distinct({media.role for sample in samples for media in sample.beside})
    several = any(sample.further for sample in samples)
    return FurtherColumns(roles, (FURTHER_CAPTIONS, FURTHER_KEYS) if several else ())


def sample_names(samples: Sequence[Sample]) -> Iterator[str]:
    """A name for each sample that its line and caption do not decide.

    Sixteen hexadecimal digits for the video's path; ``-`` and eight for its time range, where it
    has one; ``+2``, ``+3`` … where the same has been named before.
    """
    hashes = np.fromiter(map(_hash, samples), dtype=np.uint64, count=len(samples))
    order = np.argsort(hashes, kind="stable")
    again = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
    nth: dict[int, int] = {}
    for at in again.tolist():
        nth[int(order[at])] = nth.get(int(order[at - 1]), 1) + 1
    for number, sample in enumerate(samples):
        name = path_name(sample.name) + _range_name(sample.extras)
        yield f"{name}+{nth[number]}" if number in nth else name


def path_name(video: str) -> str:
    """What the names of a video's samples begin with: 16 hexadecimal digits."""
    return xxhash.xxh3_64_hexdigest(video.encode("utf-8", "surrogateescape"))


def _range_name(extras: Extras) -> str:
    if extras.start is None and extras.end is None:
        return ""
    text = f"{extras.start} {extras.end} {extras.unit}"
    return f"-{xxhash.xxh3_64_intdigest(text.encode()) >> 32:08x}"


def _hash(sample: Sample) -> int:
    text = sample.name + _range_name(sample.extras)
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogateescape"))


@dataclass(slots=True)
class _Planner:
    """Plans files that are alike once."""

    policy: Policy
    longest: int = 0
    kinds: dict[Any, _AlikeSamples] = field(default_factory=dict)
    pictures: PicturePlanner = field(init=False)

    def __post_init__(self) -> None:
        self.pictures = PicturePlanner(self.policy)

    def kind_of(self, sample: Sample, found: InspectedSample) -> _AlikeSamples:
        """The plan of one sample."""
        # Where the crop lies depends on the contents: no two files are alike.
        alone, video = self.policy.reshape == "random-crop", found.video
        media, extras = video.media if alone else video.shared, sample.extras
        if isinstance(media, MediaError):
            return _AlikeSamples((_Shared(_reason(media.code, media.message)),))
        if found.beside and (error := next(found.errors(sample), None)) is not None:
            return _AlikeSamples((_Shared(_reason(error.code, error.message)),))
        alike = (video.alike, extras.start, extras.end, extras.unit)
        kind = None if alone else self.kinds.get(alike)
        if kind is None:
            kind = self._plan(sample, media)
            if len(self.kinds) >= _MOST_KINDS:
                self.kinds.clear()
            self.kinds[alike] = kind
            self.longest = max(self.longest, 0 if media.is_still else kind.available)
        return kind

    def _plan(self, sample: Sample, media: MediaInfo) -> _AlikeSamples:
        placed = place(media, self.policy, sample.extras)
        if isinstance(placed, LeftOut):
            available = available_frames(media, self.policy, sample.extras)
            columns = _of_media(media) | _reason(placed.code, placed.reason)
            columns["available_frames"] = available
            return _AlikeSamples((_Shared(columns),), available)
        zero = self.policy.time_zero
        background = self.policy.image_background if media.is_still and media.alpha else None
        clips = (PlannedClip(media, placement, zero) for placement in placed)
        rows = tuple(_shared(clip, background) for clip in clips)
        return _AlikeSamples(rows, placed[0].available, share_of_weight(placed, self.policy))

    def with_media(
        self, sample: Sample, found: InspectedSample, rows: Sequence[_Shared]
    ) -> list[tuple[_Shared, _Beside]]:
        """The same rows with what each takes of further media, or one that says what it cannot."""
        planned: list[tuple[_Shared, _Beside]] = []
        for row in rows:
            beside = self._beside(sample, found, row)
            if isinstance(beside, LeftOut):
                of_video = {name: rows[0].columns[name] for name in _OF_VIDEO}
                reason = _reason(beside.code, beside.reason)
                return [(_Shared(of_video | reason), _NOTHING_BESIDE)]
            planned.append((row, beside))
        return planned

    def _beside(self, sample: Sample, found: InspectedSample, row: _Shared) -> _Beside | LeftOut:
        """What a clip takes of the media beside its video, or why it cannot have one of them."""
        clip = row.clip
        if clip is None:
            return _NOTHING_BESIDE
        beside: dict[Role, _Taken] = {}
        for media in sample.beside:
            one = found.beside[media.role]
            if isinstance(one, Inspection):
                plan = self.pictures.plan(media.role, one, clip)
                if isinstance(plan, LeftOut):
                    return refusal(media, plan)
                key = video_key(one.fingerprint, plan.transform)
                beside[media.role] = _Taken(plan.columns, one.fingerprint, key)
            elif isinstance(one.sound, SoundInfo):
                beside[media.role] = _sound_of(one, one.sound, row)
        return beside

    def require_reachable(self) -> None:
        """Checks that every frame bucket that was asked for fits some clip."""
        above = [n for n in self.policy.counts_asked if n > self.longest]
        if above and self.longest:
            rate = f" at {float(self.policy.target_fps):g} fps" if self.policy.target_fps else ""
            raise PlanError(
                f"frame buckets longer than every clip: {', '.join(map(str, above))}; the longest "
                f"has {self.longest} frames{rate}",
                remedy="leave these buckets out, or raise `target_fps`",
            )


class _Taken(NamedTuple):
    """What a clip takes of a medium beside its video."""

    columns: Mapping[str, Any]
    """Values of the columns that are not the medium's own, one object for many clips."""
    fingerprint: str | None = None
    key: str | None = None
    """What names that which is made of it."""


_Beside = Mapping[Role, _Taken]
"""What a clip takes of further media, by role."""

_NOTHING_BESIDE: _Beside = {}
_NOTHING_TAKEN = _Taken({})


class _SharedColumns:
    """Gathers what many rows share, each time as a number; it is written down once a batch."""

    def __init__(self) -> None:
        self._kinds: list[Mapping[str, Any]] = []  # held, so that no other one has its identity
        self._numbers: dict[int, int] = {}
        self._positions: list[int] = []

    def add(self, columns: Mapping[str, Any]) -> None:
        """Adds a row with these values by column."""
        at = self._numbers.get(id(columns))
        if at is None:
            at = self._numbers[id(columns)] = len(self._kinds)
            self._kinds.append(columns)
        self._positions.append(at)

    def __len__(self) -> int:
        return len(self._positions)

    def column(self, name: str, kind: pa.DataType) -> pa.Array:
        """The values of a column; null where a row has none."""
        return _array([one.get(name) for one in self._kinds], kind).take(
            pa.array(self._positions, pa.int32())
        )


class _MediaColumns:
    """Gathers the columns of a role."""

    def __init__(self) -> None:
        self.own: dict[str, list[str | None]] = {"path": [], "fingerprint": [], "key": []}
        self._shared = _SharedColumns()

    def add(self, path: str | None, taken: _Taken) -> None:
        """Adds a row: the path of its medium, if it has one, and what is taken of it."""
        own = self.own
        own["path"].append(path)
        own["fingerprint"].append(taken.fingerprint)
        own["key"].append(taken.key)
        self._shared.add(taken.columns)

    def column(self, name: str, kind: pa.DataType) -> pa.Array:
        """The values of a column."""
        if name in self.own:
            return _array(self.own[name], kind)
        return self._shared.column(name, kind)


class _Rows:
    """Gathers rows by column; what many share is written down once a batch.

    Args:
        further: the columns beside those that every index has.
    """

    def __init__(self, further: FurtherColumns) -> None:
        self._roles = further.roles
        self._optional = further.optional
        self._schema = (further | FurtherColumns(optional=("background",))).memory_schema
        self._batches: list[pa.RecordBatch] = []
        self._start()

    def _start(self) -> None:
        self._own: dict[str, list[Any]] = {name: [] for name in (*OF_SAMPLE, *self._optional)}
        self._of_roles = {role: _MediaColumns() for role in self._roles}
        self._shared = _SharedColumns()

    def add(
        self,
        sample: Sample,
        name: str,
        number: int,
        fingerprint: str,
        shared: _Shared,
        beside: _Beside = _NOTHING_BESIDE,
        share: float = 1.0,
    ) -> None:
        """Adds a clip of a sample, or the sample where it is skipped."""
        self._shared.add(shared.columns)
        own, extras = self._own, sample.extras
        planned = bool(shared.video)
        own["sample"].append(name)
        own["clip"].append(number if planned else None)
        own["video"].append(_readable(sample.name) if not planned else sample.name)
        own["caption"].append(sample.caption)
        own["file"].append(_readable(sample.source.file))
        own["line"].append(sample.source.line or sample.source.row or 1)
        own["split"].append(extras.split)
        own["weight"].append(extras.weight * share if planned else extras.weight)
        own["repeats"].append(extras.repeats)
        own["fingerprint"].append(fingerprint or None)
        own["video_key"].append(video_key(fingerprint, shared.video) if planned else None)
        own["image_key"].append(video_key(fingerprint, shared.image) if planned else None)
        own["prompt_key"].append(prompt_key(sample.caption) if planned else None)
        if AUDIO in beside:
            sound: str | None = beside[AUDIO].key
        else:
            sound = audio_key(fingerprint, shared.audio) if shared.audio else NO_AUDIO
        own["audio_key"].append(sound if planned else None)
        if self._roles:
            self._add_beside(sample, beside, planned=planned)
        if FURTHER_CAPTIONS in self._optional:
            texts = [sample.token + text for text in sample.further] if planned else []
            own[FURTHER_CAPTIONS].append(texts or None)
            own[FURTHER_KEYS].append([prompt_key(text) for text in texts] or None)
        if len(self._shared) == _BATCH:
            self._flush()

    def _add_beside(self, sample: Sample, beside: _Beside, *, planned: bool) -> None:
        """Adds what a row says of further media: of a sample that is skipped, their paths."""
        names = {media.role: media.name for media in sample.beside}
        for role, columns in self._of_roles.items():
            name = names.get(role)
            path = name if planned or name is None else _readable(name)
            columns.add(path, beside.get(role, _NOTHING_TAKEN))

    def table(self) -> pa.Table:
        """All rows."""
        self._flush()
        table = pa.Table.from_batches(self._batches, schema=self._schema).unify_dictionaries()
        used = FurtherColumns(tuple(self._roles), FurtherColumns.used_in(table).optional)
        return used.of(table)

    def _flush(self) -> None:
        of_roles = {
            media_column(role, one.name): (columns, one.name)
            for role, columns in self._of_roles.items()
            for one in media_columns(role)
        }
        arrays = []
        for name, kind in zip(self._schema.names, self._schema.types, strict=True):
            if name in self._own:
                arrays.append(_array(self._own[name], kind))
            elif name in of_roles:
                columns, of_medium = of_roles[name]
                arrays.append(columns.column(of_medium, kind))
            else:
                arrays.append(self._shared.column(name, kind))
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._start()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column, held once each if that is its type."""
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


@cache
def _readable(path: str) -> str:
    """Parquet holds Unicode only; a path may hold any bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(code: Code, reason: str) -> dict[str, Any]:
    return {"left_out_code": code.value, "left_out_reason": reason}


_OF_VIDEO = (
    "stream", "pyav_only", "source_width", "source_height", "source_frames", "source_fps",
    "available_frames",
)  # fmt: skip


def _of_media(media: MediaInfo) -> dict[str, Any]:
    return {
        "stream": media.stream,
        "pyav_only": True,
        "source_width": media.width,
        "source_height": media.height,
        "source_frames": media.frames,
        "source_fps": None if media.fps is None else float(media.fps),
    }


def _shared(clip: PlannedClip, background: str | None) -> _Shared:
    media, placement = clip.media, clip.placement
    crop, fit, bucket, times = placement.crop, placement.fit, placement.bucket, media.timestamps
    indices = placement.frame_indices
    columns = {
        **_of_media(media),
        "available_frames": placement.available,
        "start": placement.start,
        "end": placement.end,
        "fps": None if placement.rate is None else float(placement.rate),
        "speed": float(placement.speed),
        "frame_indices": to_text(indices),
        "frame_ticks": to_text(times.ticks[indices]) if times.timed else None,
        "time_base": None if media.time_base is None else str(media.time_base),
        "background": background,
        "frames": bucket.frames,
        "height": bucket.height,
        "width": bucket.width,
    }
    for name, box in (("crop", crop), ("fit", fit)):
        columns |= {
            f"{name}_x": box.x,
            f"{name}_y": box.y,
            f"{name}_width": box.width,
            f"{name}_height": box.height,
        }
    taken, first = (
        frames_text(one, still=media.is_still, background=background)
        for one in (indices, indices[:1])
    )
    video = transform_of(media.stream, taken, crop, fit, bucket)
    image = transform_of(media.stream, first, crop, fit, bucket, image=True)
    if media.is_still:
        return _Shared(columns, video, image, clip=clip)
    sound, played = _audio_of(media, placement), player_time(media, placement)
    return _Shared(columns, video, image, sound, *played, clip)


def _sound_of(found: SoundInspection, sound: SoundInfo, shared: _Shared) -> _Taken:
    """What a clip takes of a sound file: what a player plays there at the clip's time."""
    start = sound.zero + shared.begins
    audio = sound.audio
    before = audio.end is not None and audio.end <= shared.begins
    none = before or audio.start >= shared.begins + shared.lasts
    span = span_of(start, 0, shared.lasts)
    key = NO_AUDIO if none else audio_key(found.fingerprint, span)
    return _Taken({"stream": audio.stream, "start": str(start)}, found.fingerprint, key)


def _ends_early(found: InspectedSample, shared: _Shared) -> bool:
    """Whether a sound file is known to end before a clip does, so that it fails if encoded."""
    one = found.beside.get(AUDIO)
    if not isinstance(one, SoundInspection) or not isinstance(one.sound, SoundInfo):
        return False
    end = one.sound.audio.end
    return end is not None and shared.begins + shared.lasts - end > MOST_MISSING


def _audio_of(media: MediaInfo, placement: Placement) -> str:
    """What decides the sound of a clip; empty if the file has none at its time."""
    audio, times, indices = media.audio, media.timestamps, placement.frame_indices
    if audio is None:
        return ""
    _, length = player_time(media, placement)
    first = int(indices[0])
    if not times.timed:  # when its frames are shown is found when it is decoded
        return span_of(None, first, length)
    begin = int(times.ticks[first]) * times.time_base
    since = begin - int(times.ticks[0]) * times.time_base  # counted as `AudioInfo.start` is
    ends = audio.end is not None and audio.end <= since
    if ends or audio.start >= since + length:
        return ""
    return span_of(begin, first, length)
