"""Units: a pure function of what is to be made, stable under interruption."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from videoprep.encoding.units import (
    MAX_BYTES,
    MAX_PIXELS,
    ArtifactSize,
    Items,
    Unit,
    items_of,
    plan_units,
    share_of,
)
from videoprep.families.component import CAPTION, FIRST_FRAME, FRAMES
from videoprep.index.bucket import Bucket

NOTHING = pa.array([], pa.string())
KINDS = {
    Bucket(49, 480, 704): 60 << 20,  # four a unit, by bytes
    Bucket(81, 1024, 1024): 1 << 20,  # six a unit, by pixels
    Bucket(9, 64, 96): 300 << 20,  # one alone is too large: one a unit
}


def _table(kinds: list[int | None], names: list[str] | None = None) -> pa.Table:
    """An index's table; None is a sample that is skipped."""
    buckets = [None if kind is None else list(KINDS)[kind] for kind in kinds]
    keys = names or [f"key{n}" for n in range(len(kinds))]
    columns = {
        "video_key": pa.array(
            [key if bucket else None for key, bucket in zip(keys, buckets, strict=True)],
            pa.string(),
        )
    }
    columns["image_key"] = columns["prompt_key"] = columns["video_key"]
    columns["fps"] = pa.array([bucket and 8.0 for bucket in buckets], pa.float64())
    for name in ("frames", "height", "width"):
        columns[name] = pa.array([b and getattr(b, name) for b in buckets], pa.int32())
    return pa.table(columns)


def _measure(bucket: Bucket) -> ArtifactSize:
    return ArtifactSize(bucket, KINDS.get(bucket, 1), bucket.pixels)


def _items(kinds: list[int | None]) -> Items:
    return items_of("video_latents", FRAMES, _table(kinds), _measure)


def _keys(items: Items, unit: Unit) -> list[str]:
    by_row = dict(zip(items.rows.tolist(), items.keys.to_pylist(), strict=True))
    return [by_row[row] for row in unit.rows.tolist()]


plans = st.lists(st.sampled_from([0, 1, 2, None]), max_size=60).map(_items)


@given(plans)
def test_every_artifact_is_in_exactly_one_unit(items: Items) -> None:
    units = plan_units(items, NOTHING, {})
    keys = [key for unit in units for key in _keys(items, unit)]
    assert sorted(keys) == sorted(items.keys.to_pylist())
    group = dict(zip(items.rows.tolist(), items.groups.tolist(), strict=True))
    for unit in units:
        (number,) = {group[row] for row in unit.rows.tolist()}
        measure = items.measures[number]
        assert unit.cost == len(unit) * measure.pixels
        assert len(unit) * measure.bytes <= MAX_BYTES or len(unit) == 1
        assert unit.cost <= MAX_PIXELS or len(unit) == 1
    assert len({unit.name for unit in units}) == len(units)


@given(plans, st.data())
def test_what_is_left_is_cut_as_before(items: Items, data: st.DataObject) -> None:
    units = plan_units(items, NOTHING, {})
    done = data.draw(st.sets(st.sampled_from(units))) if units else set()
    settled = pa.array([key for unit in done for key in _keys(items, unit)], pa.string())
    left = plan_units(items, settled, {})
    assert {unit.name for unit in left} == {unit.name for unit in units if unit not in done}


@given(plans, st.integers(1, 5), st.data())
def test_jobs_that_do_not_talk_share_without_gap_or_overlap(
    items: Items, shares: int, data: st.DataObject
) -> None:
    units = plan_units(items, NOTHING, {})
    dealt = [share_of([items], units, number, shares) for number in range(shares)]
    names = [unit.name for share in dealt for unit in share]
    assert sorted(names) == sorted(unit.name for unit in units)
    # A job that starts late, when others have committed, comes to the same shares.
    done = data.draw(st.sets(st.sampled_from(units))) if units else set()
    left = [unit for unit in units if unit not in done]
    for number, share in enumerate(dealt):
        late = share_of([items], left, number, shares)
        assert [u.name for u in late] == [u.name for u in share if u not in done]


def test_shares_cost_about_the_same() -> None:
    items = _items([0] * 700 + [1] * 90)
    units = plan_units(items, NOTHING, {})
    costs = [sum(u.cost for u in share_of([items], units, n, 4)) for n in range(4)]
    assert max(costs) - min(costs) <= max(unit.cost for unit in units)


def test_equal_keys_are_made_once_and_left_out_samples_never() -> None:
    table = _table([2, 2, None, 2], ["other", "same", "gone", "same"])
    items = items_of("video_latents", FRAMES, table, _measure)
    assert items.keys.to_pylist() == ["other", "same"]
    assert items.rows.tolist() == [0, 1]
    assert plan_units(items, pa.array(["same", "other"]), {}) == []


def test_first_frames_are_made_from_one_frame_and_captions_from_none() -> None:
    table = _table([0, 1])
    images = items_of("image_latents", FIRST_FRAME, table, lambda b: ArtifactSize(b, 1, b.pixels))
    assert [m.source for m in images.measures] == [Bucket(1, 480, 704), Bucket(1, 1024, 1024)]
    texts = items_of("prompt_embeds", CAPTION, table, lambda b: ArtifactSize(b, 1, 1))
    assert [m.source for m in texts.measures] == [Bucket(0, 0, 0)]
    assert [unit.name.partition("-")[0] for unit in plan_units(texts, NOTHING, {})] == ["text"] * 2


def test_a_small_dataset_still_gives_many_ranks_work_of_equal_size() -> None:
    small = {Bucket(49, 480, 704): ArtifactSize(Bucket(49, 480, 704), 1, 49 * 480 * 704)}
    items = items_of("video_latents", FRAMES, _table([0] * 130), lambda bucket: small[bucket])
    sizes = [len(unit) for unit in plan_units(items, NOTHING, {})]
    assert sizes == [2] * 65
    uneven = items_of("video_latents", FRAMES, _table([0] * 1950), lambda bucket: small[bucket])
    counts = np.array([len(unit) for unit in plan_units(uneven, NOTHING, {})])
    assert (counts[:-1] == counts[0]).all(), "leaving out whole units moves no cut"
    assert counts[-1] > counts[0] // 2, "no unit is a small rest"


def test_a_unit_that_is_tried_again_is_another_one() -> None:
    items = _items([2])
    first, second, third = (
        plan_units(items, NOTHING, a)[0] for a in ({}, {"key0": 1}, {"key0": 2})
    )
    assert len({first.name, second.name, third.name}) == 3
