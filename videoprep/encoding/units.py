"""Units: what one shard holds. Pure functions of the plan and of what is already committed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from videoprep.index.bucket import Bucket
from videoprep.store.recipe import Component

MAX_BYTES = 256 << 20
"""A shard is about this large at most."""

MAX_PIXELS = 1 << 29
"""A unit has about this many pixels at most: some thirty clips of 49×480×720, which is below a
minute for a CogVideoX VAE on a data-centre GPU."""

PARTS = 64
"""The work of a component is cut into about this many units at least, so that a small dataset, too,
keeps many ranks busy."""


@dataclass(frozen=True, slots=True)
class Item:
    """One artifact to make.

    Attributes:
        key: its name.
        row: a row of the index that asks for it; the first of several.
        bucket: what it is made from; one frame for an image.
        bytes: its expected size.
        pixels: what making it costs.
    """

    key: str
    row: int
    bucket: Bucket
    bytes: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Unit:
    """The work of one shard.

    Attributes:
        component: what is made.
        name: the shard's name, from the keys in it.
        rows: index rows, one an artifact.
        keys: the artifacts, in the order in which they are made.
        cost: pixels to encode.
    """

    component: Component
    name: str
    rows: tuple[int, ...]
    keys: tuple[str, ...]
    cost: int


def distinct(items: Iterable[Item], settled: Callable[[str], bool]) -> list[Item]:
    """The items that still have to be made, each key once."""
    found: dict[str, Item] = {}
    for item in items:
        if item.key not in found and not settled(item.key):
            found[item.key] = item
    return list(found.values())


def unit_limit(items: Iterable[Item]) -> int:
    """How many pixels a unit may have, from all items of the plan, done or not."""
    pixels = {item.key: item.pixels for item in items}
    return min(MAX_PIXELS, sum(pixels.values()) // PARTS)


def plan_units(component: Component, items: Sequence[Item], limit: int) -> list[Unit]:
    """Cuts items into units: one bucket a unit, in plan order, each as full as the limits allow.

    Depends on nothing but the plan: what is encoded together does not change with the number of
    ranks. Because all items of a bucket are alike, leaving out whole units does not move the cuts
    between the others, so that an interrupted run goes on with the units it had planned.
    """
    by_bucket: dict[Bucket, list[Item]] = {}
    for item in items:
        by_bucket.setdefault(item.bucket, []).append(item)
    units: list[Unit] = []
    for bucket in sorted(by_bucket):
        members = by_bucket[bucket]
        size = _unit_size(members[0], limit)
        starts = range(0, len(members), size)
        units += [_unit(component, bucket, members[at : at + size]) for at in starts]
    return units


def dearest_first(units: Iterable[Unit]) -> list[Unit]:
    """The order of claiming: long units last would leave the other ranks idle at the end."""
    return sorted(units, key=lambda unit: (-unit.cost, unit.component, unit.name))


def _unit_size(item: Item, limit: int) -> int:
    by_bytes = MAX_BYTES // max(1, item.bytes)
    by_pixels = limit // max(1, item.pixels)
    return max(1, min(by_bytes, by_pixels))


def _unit(component: Component, bucket: Bucket, members: Sequence[Item]) -> Unit:
    keys = tuple(item.key for item in members)
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
    prefix = (
        "text"
        if component == "prompt_embeds"
        else f"{bucket.frames}x{bucket.height}x{bucket.width}"
    )
    return Unit(
        component=component,
        name=f"{prefix}-{digest}",
        rows=tuple(item.row for item in members),
        keys=keys,
        cost=sum(item.pixels for item in members),
    )
