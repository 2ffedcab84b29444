"""Whether an index that was read holds only what a plan can hold: the file may be a stranger's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise, starmap
from operator import le
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.errors import PlanError, SpecError
from videoprep.families.caption_places import FURTHER_CAPTIONS, FURTHER_KEYS
from videoprep.families.profile import Profile
from videoprep.families.registry import get_profile
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.numbers import from_text
from videoprep.index.schema import media_column, media_columns, roles_in
from videoprep.media.refusals import MAX_SIDE
from videoprep.media.still_image import is_color
from videoprep.spec.roles import Role

_MOST_FRAMES = 1 << 24
_MOST_SIDE = 1 << 16
_MOST_STREAMS = 1 << 14
_MOST_WEIGHT = 1e9
# `Fraction` works out powers such as 1e1000000000 before they can be compared.
_FRACTION = re.compile(r"-?[0-9]{1,30}(/[0-9]{1,30})?")

_LISTED = ("sample", "video", "caption", "file", "weight", "repeats")
_PLANNED = (
    "clip", "fingerprint", "stream", "pyav_only", "source_width", "source_height", "source_frames",
    "source_fps", "available_frames", "start", "end", "fps", "speed", "frame_indices", "time_base",
    "crop_x", "crop_y", "crop_width", "crop_height", "fit_x", "fit_y", "fit_width", "fit_height",
    "frames", "height", "width", "video_key", "image_key", "prompt_key",
)  # fmt: skip
_OF_TIME = ("source_fps", "start", "end", "fps", "time_base")
"""Columns that are null for a still image, which is known by its `fps`."""
_BOUNDS = {
    "clip": (0, 2**31), "stream": (0, _MOST_STREAMS), "repeats": (0, 2**31), "weight": (0, 1e9),
    "source_width": (1, MAX_SIDE), "source_height": (1, MAX_SIDE),
    "source_frames": (1, _MOST_FRAMES * 64), "source_fps": (1e-6, 1e6), "fps": (1e-5, 1e6),
    "speed": (1e-6, 1e9), "start": (0, 1e9), "end": (0, 1e9),
    "crop_x": (0, MAX_SIDE), "crop_y": (0, MAX_SIDE),
    "crop_width": (1, MAX_SIDE), "crop_height": (1, MAX_SIDE),
    "fit_x": (0, _MOST_SIDE), "fit_y": (0, _MOST_SIDE),
    "fit_width": (1, _MOST_SIDE), "fit_height": (1, _MOST_SIDE),
    "frames": (1, _MOST_FRAMES), "height": (1, _MOST_SIDE), "width": (1, _MOST_SIDE),
}  # fmt: skip

Bad = tuple[str, NDArray[np.bool_]]
"""What is wrong, and with which planned rows."""


def require_sound(table: pa.Table, profile: str, where: str) -> None:
    """Checks that every row can be what it says.

    Args:
        table: with `schema.SCHEMA`.
        profile: name of the profile that the buckets are legal for.
        where: the file, for the message.

    Raises:
        PlanError: one cannot; it names the first.
    """
    anew = "make it anew with `videoprep index`"
    rows = np.flatnonzero(pc.is_null(table["left_out_code"]).to_numpy())
    for name in _LISTED:
        if table[name].null_count:
            raise PlanError(f"a row has no {name}", where=where, remedy=anew)
    planned = table.take(pa.array(rows))
    roles = roles_in(table.column_names)
    for name in ("video", *(media_column(role, "path") for role in roles)):
        if pc.any(pc.match_substring(planned[name], "\0")).as_py():
            raise PlanError(f"the {name} of a row holds a NUL byte", where=where, remedy=anew)
    try:
        legal = get_profile(profile)
    except SpecError as error:
        raise PlanError(f"it is of no known profile: {error.message}", where=where) from error
    for what, bad in _flaws(planned, legal):
        if bad.any():
            row = int(rows[np.flatnonzero(bad)[0]])
            raise PlanError(f"row {row} cannot be a clip's: {what}", where=where, remedy=anew)


def _flaws(table: pa.Table, profile: Profile) -> Iterator[Bad]:
    """All that may be wrong, each looked for only where what came before is right."""
    stills = pc.is_null(table["fps"]).to_numpy()
    yield "it is a still image of several frames", stills & (table["frames"].to_numpy() != 1)
    for name in _PLANNED:
        yield f"it has no {name}", pc.is_null(table[name]).to_numpy() & ~stills
    for name in _PLANNED:
        lacks = pc.is_null(table[name]).to_numpy()
        timed = name in _OF_TIME
        what = f"it is a still image and has a {name}" if timed else f"it has no {name}"
        yield what, stills & (lacks != timed)
    number = {name: _numbers(table[name], least) for name, (least, _) in _BOUNDS.items()}
    for name, (least, most) in _BOUNDS.items():
        yield f"its {name} is out of bounds", ~((number[name] >= least) & (number[name] <= most))
    for side, length in (("x", "width"), ("y", "height")):
        ends = number[f"crop_{side}"] + number[f"crop_{length}"]
        yield "its crop reaches out of the picture", ends > number[f"source_{length}"]
        ends = number[f"fit_{side}"] + number[f"fit_{length}"]
        yield "its picture reaches out of the bucket", ends > number[length]
    buckets = BucketColumn.of(number["frames"], number["height"], number["width"])
    illegal = [not _is_legal(bucket, profile) for bucket in buckets.kinds]
    yield f"its bucket is illegal for {profile.name}", np.array(illegal, np.bool_)[buckets.codes]
    yield from _flaws_of_times(table, number["frames"], number["source_frames"])
    if "background" in table.column_names:
        grounds = table["background"]
        yield "its background is no colour", _wrong(grounds, is_color)
        yield "it is no still image and has a background", pc.is_valid(grounds).to_numpy() & ~stills
    for role in roles_in(table.column_names):
        yield from _flaws_of_media(table, role)
        if role.kind.alignment != "time":
            yield from _flaws_of_pictures(table, role, profile)
    if FURTHER_CAPTIONS in table.column_names or FURTHER_KEYS in table.column_names:
        yield from _flaws_of_captions(table)
    if "dataset_weight" in table.column_names:
        weights = pc.fill_null(table["dataset_weight"], 1.0).to_numpy()
        yield "its dataset_weight is out of bounds", ~((weights > 0) & (weights <= _MOST_WEIGHT))


def _numbers(column: pa.ChunkedArray, least: float) -> NDArray[Any]:
    """A column's values; of what a still image lacks, one that is in bounds."""
    values = column.fill_null(pa.scalar(least, column.type)) if column.null_count else column
    numbers: NDArray[Any] = values.to_numpy()
    return numbers


def _flaws_of_media(table: pa.Table, role: Role) -> Iterator[Bad]:
    """What may be wrong with the columns of a role."""
    there = pc.is_valid(table[media_column(role, "path")]).to_numpy()
    for column in media_columns(role):
        name = media_column(role, column.name)
        values = table[name]
        if column.needed:
            yield f"it has no {name}", there & pc.is_null(values).to_numpy()
        if pa.types.is_integer(column.type) and column.name in _BOUNDS:
            least, most = _BOUNDS[column.name]
            number = pc.fill_null(values, int(least)).to_numpy()
            yield f"its {name} is out of bounds", ~((number >= least) & (number <= most))
        elif column.name == "start":
            yield f"its {name} is no time", _wrong(values, _is_time)


def _flaws_of_captions(table: pa.Table) -> Iterator[Bad]:
    """What may be wrong with captions after the first: each has a key, and none is null."""
    there = [name for name in (FURTHER_CAPTIONS, FURTHER_KEYS) if name in table.column_names]
    lengths = [pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy() for name in there]
    yield "its further captions are not as many as their keys", lengths[0] != lengths[-1]
    yield "its further captions have no keys", np.full(table.num_rows, len(there) < 2)
    for name in there:
        lists = table[name].combine_chunks()
        empty = pc.is_null(pc.list_flatten(lists)).to_numpy(zero_copy_only=False)
        bad = np.zeros(table.num_rows, np.bool_)
        bad[pc.list_parent_indices(lists).to_numpy()[empty]] = True
        yield f"one of its {name} is null", bad


def _flaws_of_pictures(table: pa.Table, role: Role, profile: Profile) -> Iterator[Bad]:
    """What may be wrong with what is taken of a picture, whose columns are known to be sound."""
    there = pc.is_valid(table[media_column(role, "path")]).to_numpy()
    rows = np.flatnonzero(there)
    named = {column.name for column in media_columns(role)}
    part = table.take(pa.array(rows))
    own = {name: part[media_column(role, name)] for name in named}
    of_clip = part["frames"].to_numpy()
    if "frames" in named:
        size = {name: own[name].to_numpy() for name in named & _BOUNDS.keys()}
        for side, length in (("x", "width"), ("y", "height")):
            ends = size[f"crop_{side}"] + size[f"crop_{length}"]
            what = f"the crop of its {role} reaches out of the picture"
            yield what, _spread(ends > size[f"source_{length}"], there)
        buckets = BucketColumn.of(size["frames"], size["height"], size["width"])
        illegal = [not _is_legal(one, profile, still=True) for one in buckets.kinds]
        wrong = np.array(illegal, np.bool_)[buckets.codes]
        yield f"the size of its {role} is illegal for {profile.name}", _spread(wrong, there)
        of_clip = size["frames"]
    times = {name: own[name] for name in ("time_base", "frame_indices", "frame_ticks")}
    for what, wrong in _flaws_of_series(times, of_clip):
        yield f"of its {role}: {what}", _spread(wrong, there)


def _spread(wrong: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is wrong with some rows, for all rows."""
    every = np.zeros(len(there), np.bool_)
    every[there] = wrong
    return every


def _is_legal(bucket: Bucket, profile: Profile, *, still: bool = False) -> bool:
    """Whether a bucket keeps the profile's rule; of a reference one frame is always legal."""
    size = profile.accepts_size(bucket.width, bucket.height)
    return size and (profile.accepts_frames(bucket.frames) or (still and bucket.frames == 1))


def _flaws_of_times(
    table: pa.Table, frames: NDArray[np.int64], source_frames: NDArray[np.int64]
) -> Iterator[Bad]:
    timed = pc.is_valid(table["frame_ticks"]).to_numpy()
    stills = pc.is_null(table["fps"]).to_numpy()
    yield "it is a still image and has frame_ticks", stills & timed
    yield from _flaws_of_series(table, frames)
    series, codes = _distinct(table["frame_indices"])
    _, _, most = _measured(series)
    yield "its frame_indices lie outside the file", most[codes] >= source_frames


def _flaws_of_series(
    columns: pa.Table | Mapping[str, pa.ChunkedArray], frames: NDArray[np.int64]
) -> Iterator[Bad]:
    """What may be wrong with the numbers and the times of so many frames."""
    yield "its time_base is no fraction", _wrong(columns["time_base"], _is_base)
    series, codes = _distinct(columns["frame_indices"])
    count, least, _ = _measured(series)
    yield "its frame_indices are no ascending numbers", (count < 0)[codes]
    yield "it has not as many frame_indices as frames", count[codes] != frames
    yield "its frame_indices lie outside the file", (least < 0)[codes]
    timed = pc.is_valid(columns["frame_ticks"]).to_numpy()
    series, codes = _distinct(columns["frame_ticks"].filter(pa.array(timed)))
    count, _, _ = _measured(series)
    wrong = np.zeros(len(frames), np.bool_)
    wrong[timed] = count[codes] != frames[timed]
    yield "its frame_ticks are not one a frame, ascending", wrong


def _wrong(column: pa.ChunkedArray, is_right: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Which rows have a text that is not right."""
    there = pc.is_valid(column).to_numpy()
    texts, codes = _distinct(column.filter(pa.array(there)))
    wrong = np.zeros(len(there), np.bool_)
    wrong[there] = np.array([not is_right(text) for text in texts], np.bool_)[codes]
    return wrong


def _distinct(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """The texts of a column, each once, and which of them each row has."""
    joined = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return joined.dictionary.to_pylist(), joined.indices.to_numpy().astype(np.int64)


def _measured(texts: list[str]) -> tuple[NDArray[np.int64], ...]:
    """How many numbers each text stands for, the least and the greatest; −1 if it is none."""
    found = np.full((3, max(1, len(texts))), -1, dtype=np.int64)
    for at, text in enumerate(texts):
        try:
            numbers = from_text(text)
            if not 0 < len(numbers) <= _MOST_FRAMES:
                continue
            rises = isinstance(numbers, range) or all(starmap(le, pairwise(numbers)))
            if rises and numbers[0] <= numbers[-1]:
                found[:, at] = len(numbers), numbers[0], numbers[-1]
        except (ValueError, OverflowError):
            continue  # it keeps its −1
    return tuple(found)


def _is_time(text: str) -> bool:
    try:
        return _FRACTION.fullmatch(text) is not None and abs(Fraction(text)) < 10**9
    except ZeroDivisionError:
        return False


def _is_base(text: str) -> bool:
    return _is_time(text) and Fraction(text) > 0
