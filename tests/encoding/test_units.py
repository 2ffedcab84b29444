"""Units: a pure function of what is to be made, stable under interruption."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videoprep.encoding.units import (
    MAX_BYTES,
    MAX_PIXELS,
    Item,
    Unit,
    dearest_first,
    distinct,
    plan_units,
    unit_limit,
)
from videoprep.index.bucket import Bucket

KINDS = (
    (Bucket(49, 480, 704), 60 << 20),  # four a unit, by bytes
    (Bucket(81, 1024, 1024), 1 << 20),  # six a unit, by pixels
    (Bucket(9, 64, 96), 300 << 20),  # one alone is too large: one a unit
)


def _items(kinds: list[int]) -> list[Item]:
    return [
        Item(f"key{n}", n, KINDS[kind][0], KINDS[kind][1], KINDS[kind][0].pixels)
        for n, kind in enumerate(kinds)
    ]


items = st.lists(st.integers(0, 2), max_size=60).map(_items)


@given(items)
def test_every_item_is_in_exactly_one_unit(items: list[Item]) -> None:
    units = plan_units("video_latents", items, MAX_PIXELS)
    keys = [key for unit in units for key in unit.keys]
    assert sorted(keys) == sorted(item.key for item in items)
    by_key = {item.key: item for item in items}
    for unit in units:
        members = [by_key[key] for key in unit.keys]
        assert len({item.bucket for item in members}) == 1
        assert tuple(item.row for item in members) == unit.rows
        assert sum(item.bytes for item in members) <= MAX_BYTES or len(members) == 1
        assert sum(item.pixels for item in members) <= MAX_PIXELS or len(members) == 1
    assert len({unit.name for unit in units}) == len(units)


@given(items, st.data())
def test_what_is_left_is_cut_as_before(items: list[Item], data: st.DataObject) -> None:
    limit = unit_limit(items)
    units = plan_units("video_latents", items, limit)
    done = data.draw(st.sets(st.sampled_from(units))) if units else set()
    committed = {key for unit in done for key in unit.keys}
    missing = distinct(items, committed.__contains__)
    left: list[Unit] = plan_units("video_latents", missing, limit)
    assert {unit.name for unit in left} == {unit.name for unit in units if unit not in done}


@given(items)
def test_the_dearest_come_first(items: list[Item]) -> None:
    costs = [unit.cost for unit in dearest_first(plan_units("video_latents", items, MAX_PIXELS))]
    assert costs == sorted(costs, reverse=True)


def test_equal_keys_are_made_once() -> None:
    bucket = Bucket(9, 64, 96)
    twice = [Item("same", n, bucket, 1, 1) for n in range(3)]
    assert [item.row for item in distinct(twice, lambda _: False)] == [0]
    assert distinct(twice, lambda _: True) == []


def test_a_small_dataset_still_gives_many_ranks_work() -> None:
    items = [Item(f"key{n}", n, KINDS[0][0], 1, KINDS[0][0].pixels) for n in range(128)]
    units = plan_units("video_latents", items, unit_limit(items))
    assert [len(unit.keys) for unit in units] == [2] * 64
    many = items * 2 + [
        Item(f"more{n}", n, KINDS[0][0], 1, KINDS[0][0].pixels) for n in range(5000)
    ]
    assert unit_limit(many) == MAX_PIXELS
