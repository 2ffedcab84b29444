"""Units: what one shard holds. Pure functions of the plan and of what is already committed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import Component, Source
from videoprep.index.bucket import Bucket

MAX_BYTES = 256 << 20
"""A shard is about this large at most."""

MAX_PIXELS = 1 << 29
"""A unit has about this many pixels at most: some thirty clips of 49×480×720, which is below a
minute for a CogVideoX VAE on a data-centre GPU."""

PARTS = 64
"""The work of a component is cut into about this many units at least, so that a small dataset, too,
keeps many ranks busy."""


def most_pixels(cost: int) -> int:
    """Return the maximum number of pixels per unit.

    Args:
        cost: pixels of all the work.
    """
    return min(MAX_PIXELS, cost // PARTS)


@dataclass(frozen=True, slots=True)
class ArtifactSize:
    """What the artifacts of one bucket are.

    Attributes:
        source: what one is made from; one frame for an image, nothing for a text.
        bytes: its expected size.
        pixels: what making it costs; 1 for a text.
    """

    source: Bucket
    bytes: int
    pixels: int


TEXT = Bucket(0, 0, 0)
"""What a caption is made from has no size."""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """The distinct artifacts of one component that a plan needs, in the plan's order.

    Attributes:
        component: which one.
        source: what of a clip they are made from.
        keys: the artifacts.
        rows: int64, for each the first place of the index that asks for it: a row, or beyond them a
            further caption of one; see `CaptionPlaces`.
        groups: int64, for each which of ``measures`` is its own.
        measures: what the artifacts of each bucket are, ordered by what they are made from.
    """

    component: Component
    source: Source
    keys: pa.Array
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    measures: Sequence[ArtifactSize]

    @property
    def cost(self) -> int:
        """Pixels of all together."""
        counts = np.bincount(self.groups, minlength=len(self.measures))
        pairs = zip(counts, self.measures, strict=True)
        return sum(int(count) * measure.pixels for count, measure in pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """The work of one shard.

    Attributes:
        component: what is made.
        name: the shard's name, from the keys in it.
        rows: int64, places of the index, one an artifact, in the order in which they are made; see
            `Items`.
        cost: pixels to encode; of captions, how many.
        attempts: for artifacts that failed before, how often they were tried.
    """

    component: Component
    name: str
    rows: NDArray[np.int64]
    cost: int
    attempts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


def items_of(
    component: Component,
    source: Source,
    table: pa.Table,
    measure: Callable[[Bucket], ArtifactSize],
) -> Items:
    """The artifacts of a component, from the index's table; those of left-out samples are null."""
    keys = source.all_keys(table).combine_chunks()
    distinct = pc.unique(keys.drop_null())
    rows = pc.index_in(distinct, value_set=keys).to_numpy(zero_copy_only=False).astype(np.int64)
    of_index = CaptionPlaces.of(table).rows(rows)
    sizes = np.stack(
        [
            pc.fill_null(column, 0).to_numpy()[of_index].astype(np.int64)
            for column in source.sizes(table).columns
        ],
        axis=1,
    )
    clips, groups_of_clips = np.unique(sizes, axis=0, return_inverse=True)
    read = np.array([source.size(*map(int, clip)) for clip in clips], np.int64).reshape(-1, 3)
    known, groups = np.unique(read[groups_of_clips.reshape(-1)], axis=0, return_inverse=True)
    measures = [measure(Bucket(*map(int, size))) for size in known]
    return Items(component, source, distinct, rows, groups.reshape(-1).astype(np.int64), measures)


def plan_units(
    items: Items,
    settled: pa.Array,
    attempts: Mapping[str, int],
) -> list[Unit]:
    """Cuts what is not settled into units of one bucket, in plan order, of about equal cost.

    Depends on nothing but the plan and what is committed: what lies together in a shard does not
    change with the number of ranks. Because all artifacts of a bucket are alike, leaving out whole
    units does not move the cuts between the others, so that an interrupted run goes on with the
    units it had planned.

    Args:
        items: all artifacts of the plan, done or not.
        settled: keys that need no work.
        attempts: for keys that failed before and are tried again, how often they were.
    """
    missing = pc.invert(pc.is_in(items.keys, value_set=settled))
    left = np.flatnonzero(missing.to_numpy(zero_copy_only=False))
    return [_unit(items, members, attempts) for members in _cut(items, left)]


def unit_of(items: Items, keys: pa.Array, attempts: Mapping[str, int]) -> Unit | None:
    """The unit of some artifacts.

    Args:
        items: all artifacts of the plan.
        keys: those of the unit, in any order.
        attempts: for keys that had failed before the unit, how often they were.

    Returns:
        None where the plan has not all of them any more, or they are of different buckets.
    """
    members = np.flatnonzero(pc.is_in(items.keys, value_set=keys).to_numpy(zero_copy_only=False))
    if not len(members) or len(members) < len(keys) or len(set(items.groups[members])) > 1:
        return None
    return _unit(items, members, attempts)


def keys_in(items: Items, unit: Unit) -> pa.Array:
    """Return the artifacts of a unit of a plan."""
    return items.keys.filter(pc.is_in(pa.array(items.rows), value_set=pa.array(unit.rows)))


def share_of(items: Sequence[Items], units: Iterable[Unit], number: int, shares: int) -> list[Unit]:
    """The units of one of several jobs that do not talk to each other.

    Every job comes to the same shares, also when others have committed some of the work already:
    the whole plan is dealt out, dearest unit first to the job with the least, and a unit goes where
    its first artifact went.

    Args:
        items: all artifacts of the plan, by component.
        units: those still to be done.
        number: which job, from 0.
        shares: how many jobs there are.
    """
    owner = {one.component: np.zeros(int(one.rows.max(initial=-1)) + 1, np.int32) for one in items}
    whole = [(one, members) for one in items for members in _cut(one, np.arange(len(one.keys)))]
    costs = [len(members) * one.measures[one.groups[members[0]]].pixels for one, members in whole]
    loads = [(0, share) for share in range(shares)]
    for at in sorted(range(len(whole)), key=lambda n: (-costs[n], n)):
        one, members = whole[at]
        load, share = heapq.heappop(loads)
        heapq.heappush(loads, (load + costs[at], share))
        owner[one.component][one.rows[members]] = share
    return [unit for unit in units if owner[unit.component][unit.rows[0]] == number]


def _cut(items: Items, left: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Positions of artifacts, in pieces."""
    counts = np.bincount(items.groups, minlength=len(items.measures))
    limit = most_pixels(items.cost)
    groups = items.groups[left]
    for group, measure in enumerate(items.measures):
        members = left[groups == group]
        size = _unit_size(measure, int(counts[group]), limit)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _unit_size(measure: ArtifactSize, count: int, limit: int) -> int:
    """How many artifacts a unit has: as many as the limits allow, and about as many in each."""
    by_bytes = MAX_BYTES // max(1, measure.bytes)
    by_pixels = limit // max(1, measure.pixels)
    most = max(1, min(by_bytes, by_pixels))
    pieces = -(-count // most)
    return -(-count // max(1, pieces))


def _unit(items: Items, members: NDArray[np.int64], attempts: Mapping[str, int]) -> Unit:
    keys = items.keys.take(pa.array(members)).to_pylist()
    # A unit that is tried again is another one: the receipt of the first stays.
    named = [f"{key}#{attempts[key] + 1}" if key in attempts else key for key in keys]
    digest = hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
    measure = items.measures[items.groups[members[0]]]
    source = measure.source
    prefix = "text" if source == TEXT else f"{source.frames}x{source.height}x{source.width}"
    return Unit(
        component=items.component,
        name=f"{prefix}-{digest}",
        rows=items.rows[members],
        cost=len(members) * measure.pixels,
        attempts={key: attempts[key] for key in keys if key in attempts},
    )
