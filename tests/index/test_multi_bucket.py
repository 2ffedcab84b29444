"""A clip in every bucket that it fits: which these are, what they weigh, where they end."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import videoprep as vp
from tests.index.test_placement import media, policy, products, time_ranges, triples
from tests.support.assets import write_lists, write_video
from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.placement import LeftOut, Placement, place, share_of_weight
from videoprep.index.policy import Policy, options_of
from videoprep.index.sampler import BucketBatchSampler
from videoprep.index.summary import summarize
from videoprep.spec.sample import NO_EXTRAS

WIDE = ("9x64x96", "5x64x96", "5x32x64", "5x96x64")


def buckets_of(found: tuple[Placement, ...] | LeftOut) -> list[str]:
    assert isinstance(found, tuple)
    return [str(one.bucket).replace("×", "x") for one in found]


def test_all_that_fit_the_nearest_and_longest_first() -> None:
    wish = policy(buckets=WIDE, reshape="center-crop", multi_bucket=True)
    assert buckets_of(place(media(96, 64, 9), wish)) == ["9x64x96", "5x64x96", "5x32x64"]
    assert buckets_of(place(media(96, 64, 8), wish)) == ["5x64x96", "5x32x64"]
    assert buckets_of(place(media(64, 96, 9), wish)) == ["5x96x64"]
    assert buckets_of(place(media(64, 32, 9), wish)) == ["5x32x64"]


def test_how_much_of_the_picture_is_kept_is_an_option() -> None:
    """A square keeps two thirds in 2:3 and 3:2, and half in 2:1. The nearest one always fits."""
    options: dict[str, Any] = {"buckets": WIDE, "reshape": "center-crop", "multi_bucket": True}
    for least, expected in [(0.0, 4), (0.5, 4), (0.51, 3), (0.66, 3), (0.67, 2), (1.0, 2)]:
        found = place(media(96, 96, 9), policy(**options, min_kept=least))
        assert isinstance(found, tuple)
        kept = [one.crop.width * one.crop.height / 96**2 for one in found]
        first = [one for one in found if one.bucket.height == found[0].bucket.height]
        assert all(share >= least for share in kept[len(first) :])
        assert len(found) == expected
    wide = place(media(96, 64, 9), policy(**options, min_kept=0.0))
    assert len(buckets_of(wide)) == 3  # 96×64 upright would be enlarged


def test_lengths_alone_without_consent_to_reshape() -> None:
    wish = policy(buckets=("9x64x96", "5x64x96", "5x32x64"), multi_bucket=True)
    assert buckets_of(place(media(96, 64, 9), wish)) == ["9x64x96", "5x64x96"]


def test_lengths_of_clips_of_their_own_size() -> None:
    wish = policy(frame_buckets=(5, 9), reshape="center-crop", multi_bucket=True)
    assert buckets_of(place(media(96, 64, 20), wish)) == ["9x64x96", "5x64x96"]


def test_each_length_is_cut_by_itself() -> None:
    wish = policy(
        buckets=("9x64x96", "5x64x96"), reshape="center-crop", multi_bucket=True, clip_mode="chunk"
    )
    found = place(media(96, 64, 20), wish)
    assert buckets_of(found) == ["9x64x96"] * 2 + ["5x64x96"] * 4
    assert isinstance(found, tuple)
    assert [int(one.frame_indices[0]) for one in found] == [0, 9, 0, 5, 10, 15]
    assert share_of_weight(found, wish) == 2 / 6


fitted = st.sampled_from(["center-crop", "resize", "pad", "random-crop", "none"])


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 1500), st.integers(1, 1500)),
    frames=st.integers(1, 200),
    reshape=fitted,
    upscale=st.booleans(),
    wish=st.one_of(triples, products),
    mode=st.sampled_from(["head", "middle", "chunk", "slide", "all-frames-stride"]),
    extras=st.just(NO_EXTRAS) | time_ranges,
    kept=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_no_clip_is_lost_or_doubled(
    size: Any, frames: Any, reshape: Any, upscale: Any, wish: Any, mode: Any, extras: Any, kept: Any
) -> None:
    shared = {"reshape": reshape, "allow_upscale": upscale, "clip_mode": mode, **wish}
    shape = media(*size, frames)
    alone = place(shape, policy(**shared), extras)
    several = policy(**shared, multi_bucket=True, min_kept=kept)
    found = place(shape, several, extras)
    if isinstance(alone, LeftOut):
        assert found == alone
        return
    assert isinstance(found, tuple)
    known = {_told(one) for one in found}
    assert len(known) == len(found)
    assert _told(found[0]) == _told(alone[0])
    if mode != "chunk":  # of which the last may be shorter than the others
        assert known >= set(map(_told, alone))
    total = Fraction(share_of_weight(found, several)) * len(found)
    assert float(total) == pytest.approx(len(alone))
    listed = several.sizes
    for one in found:
        counts = listed[one.bucket.height, one.bucket.width]
        assert not counts or one.bucket.frames in counts
        assert one.bucket.frames <= one.available


def _told(one: Placement) -> tuple[Any, ...]:
    return one.bucket, one.frame_indices.tobytes(), one.crop, one.fit


def test_wishes_that_contradict_each_other() -> None:
    with pytest.raises(PlanError, match="multi_bucket"):
        policy(multi_bucket=True)
    with pytest.raises(PlanError, match="min_kept"):
        policy(buckets=("5x64x96",), min_kept=0.4)


def test_a_policy_is_saved_only_if_asked_for() -> None:
    assert "multi_bucket" not in policy(buckets=WIDE).to_json()
    saved = policy(buckets=WIDE, multi_bucket=True).to_json()
    assert options_of(saved)["multi_bucket"] is True
    assert Policy.of(vp.DatasetSpec(data_root=Path(), **options_of(saved))).to_json() == saved


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six videos of which two have the same contents."""
    names = []
    for number in range(6):
        path = tmp_path / f"{number}.mp4"
        if number == 5:
            path.write_bytes((tmp_path / "0.mp4").read_bytes())
        else:
            frames = 5 if number == 1 else 9
            write_video(path, width=96, height=64, frames=frames, lift=50 - 5 * number)
        names.append(path.name)
    write_lists(tmp_path, [f"clip {n}" for n in range(6)], names)
    return tmp_path


OPTIONS: dict[str, Any] = {
    "buckets": ("9x64x96", "5x64x96", "5x32x64"), "reshape": "center-crop", "multi_bucket": True
}  # fmt: skip


def test_rows_of_a_sample(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(dataset, **OPTIONS)
    rows = index.table.to_pylist()
    by_sample: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_sample.setdefault(row["sample"], []).append(row)
    assert [len(own) for own in by_sample.values()] == [3, 2, 3, 3, 3, 3]
    for own in by_sample.values():
        assert [row["clip"] for row in own] == list(range(len(own)))
        assert sum(row["weight"] for row in own) == pytest.approx(1)
        assert len({row["weight"] for row in own}) == 1
        assert len({row["prompt_key"] for row in own}) == 1
        assert len({row["fingerprint"] for row in own}) == 1
        assert len({row["video_key"] for row in own}) == len(own)
    index.save(tmp_path / "plan.parquet")
    loaded = vp.BucketIndex.load(tmp_path / "plan.parquet")
    assert loaded.table.equals(index.table)
    alone = vp.BucketIndex.build(dataset, **{**OPTIONS, "multi_bucket": False})
    changed = index.diff(alone)
    assert changed.counts == {"weight": 6, "added": 11}
    assert changed.to_encode["prompt_embeds"] == 0
    assert changed.to_encode["video_latents"] == 9  # the copy needs none of its own


def test_a_clip_and_its_copies_stay_on_one_side(dataset: Path) -> None:
    for seed in range(6):  # other contents would fall elsewhere: so many shares
        share = 0.2 + 0.1 * seed
        index = vp.BucketIndex.build(dataset, **OPTIONS, split={"train": share, "val": 1 - share})
        sides: dict[str, set[str]] = {}
        for row in index.table.to_pylist():
            sides.setdefault(row["fingerprint"], set()).add(row["split"])
        assert len(sides) == 5
        assert all(len(side) == 1 for side in sides.values())
        anew = index.split({"a": share, "b": 1 - share})
        seen = [set(pc.unique(part.table["fingerprint"]).to_pylist()) for part in anew.values()]
        assert not seen[0] & seen[1]


def test_a_summary_tells_clips_from_bucket_assignments(dataset: Path) -> None:
    index = vp.BucketIndex.build(dataset, **OPTIONS)
    summary = summarize(index)
    assert (summary.samples, summary.planned) == (6, 6)
    assert (summary.clips, summary.assignments) == (6, 17)
    assert sum(one.clips for one in summary.buckets) == summary.assignments
    assert sum(one.draws for one in summary.buckets) <= 6
    assert summary.frames.available == summary.frames.used == 5 * 9 + 5
    assert summary.to_json()["bucket_assignments"] == 17
    alone = summarize(vp.BucketIndex.build(dataset, **{**OPTIONS, "multi_bucket": False}))
    assert alone.clips == alone.assignments == 6


def test_each_bucket_uses_frames_of_its_own(dataset: Path) -> None:
    """Not only that of a sample's first clip, although the frames are the same."""
    index = vp.BucketIndex.build(dataset, **OPTIONS)
    shares = {
        str(one.bucket).replace("×", "x"): (one.frames_used, one.frames_available)
        for one in summarize(index).buckets
    }
    assert shares == {"9x64x96": (45, 45), "5x64x96": (30, 50), "5x32x64": (30, 50)}
    chunks = vp.BucketIndex.build(dataset, **OPTIONS, clip_mode="slide", min_gap=0.0)
    assert all(0 < one.frames_used <= one.frames_available for one in summarize(chunks).buckets)


def test_the_sampler_draws_by_weights(dataset: Path) -> None:
    index = vp.BucketIndex.build(dataset, **OPTIONS)
    sampler = BucketBatchSampler(index, 1, seed=2)
    samples = index.table["sample"].to_pylist()
    drawn: Counter[str] = Counter()
    rows: Counter[int] = Counter()
    epochs = 60
    for _ in range(epochs):
        for batch in sampler:
            rows.update(batch)
            drawn.update(samples[number] for number in batch)
    assert all(abs(count - epochs) <= 3 for count in drawn.values())
    for number, weight in enumerate(index.multiplicity):
        assert abs(rows[number] - epochs * weight) <= 1
    assert np.isclose(sum(index.multiplicity), 6)


def test_weights_and_repeats_of_the_list_are_divided(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=96, height=64, frames=9)
    (tmp_path / "list.csv").write_text("video,caption,weight,repeats\na.mp4,one,1.5,4\n")
    index = vp.BucketIndex.build(tmp_path / "list.csv", **OPTIONS)
    assert index.table["weight"].to_pylist() == [0.5, 0.5, 0.5]
    assert index.table["repeats"].to_pylist() == [4, 4, 4]
    assert sum(index.multiplicity) == pytest.approx(6)


def test_buckets_that_are_chosen_are_used_so_too(dataset: Path) -> None:
    options: dict[str, Any] = {"buckets": "auto", "frame_buckets": (5, 9)}
    alone = vp.BucketIndex.build(dataset, **options)
    several = vp.BucketIndex.build(dataset, **options, multi_bucket=True)
    assert alone.policy["sizes"] == several.policy["sizes"]
    assert set(several.buckets) == {Bucket(5, 64, 96), Bucket(9, 64, 96)}
    assert len(several) == 11
