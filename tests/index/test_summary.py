"""What a plan comes to, against numbers worked out by hand."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plans import POLICY, clip, index_of, left_out
from videoprep.families.profile import DEFAULT
from videoprep.index.bucket import Bucket
from videoprep.index.schema import SCHEMA
from videoprep.index.summary import FrameSummary, LeftOutSummary, Spread, summarize
from videoprep.index.table import BucketIndex


def test_losses_of_a_bucket() -> None:
    # 1280×720 cut to 1080×720 loses 15.625 %, and each side shrinks to 2/3.
    cropped = {"source_width": 1280, "source_height": 720, "crop_width": 1080, "crop_height": 720}
    summary = summarize(
        index_of(
            clip("a", 49, 480, 720, **cropped, available_frames=100),
            clip("b", 49, 480, 720, available_frames=50),
            clip("c", 17, 64, 64, fit_height=48, source_width=128, source_height=96),
        )
    )
    assert (summary.samples, summary.planned, summary.clips) == (3, 3, 3)
    small, large = summary.buckets
    assert (large.bucket, large.clips, large.draws) == (Bucket(49, 480, 720), 2, 2)
    assert large.cut == pytest.approx(0.15625 / 2)
    assert large.scale == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    assert (large.frames_used, large.frames_available) == (98, 150)
    assert large.latent_tokens == 13 * 30 * 45
    # 32 channels of moments, 13 latent frames, sides of an eighth, two bytes.
    assert large.clip_bytes == 32 * 13 * 60 * 90 * 2
    assert (small.padded, small.scale, small.cut) == (0.25, 0.5, 0)


def test_frames_of_overlapping_clips_count_once() -> None:
    # Of 40 frames: 0–17, 8–25 and 30–39 are covered.
    summary = summarize(
        index_of(
            clip("a", 17, 64, 64, available_frames=40),
            clip("a", 17, 64, 64, available_frames=40, clip=1, start=1.0),
            clip("a", 9, 64, 64, available_frames=40, clip=2, start=30 / 8),
            clip("b", 17, 64, 64, available_frames=20),
        )
    )
    assert summary.frames == FrameSummary(
        used=25 + 9 + 17, skipped=0, between=5, outside=1 + 3, left_out=0, source_frames_each=1.0
    )
    assert summary.clips_per_sample == Spread(1, 2, 3)
    short, long = summary.buckets
    assert (short.frames_used, short.frames_available) == (9, 40)
    assert (long.frames_used, long.frames_available) == (25 + 17, 60)


def test_clips_that_are_sped_up() -> None:
    # 100 frames in 25: four times as fast, three of four frames passed over.
    summary = summarize(
        index_of(
            clip("a", 25, 64, 64, available_frames=100, speed=4.0, fps=2.0),
            clip("b", 25, 64, 64),
        )
    )
    assert (summary.sped_up, summary.speed) == (1, Spread(4, 4, 4))
    assert (summary.frames.used, summary.frames.skipped, summary.frames.available) == (50, 75, 125)
    assert summary.frames.source_frames_each == 1


def test_another_rate_and_enlarging() -> None:
    summary = summarize(
        index_of(
            clip("a", 9, 64, 64, source_fps=24.0, source_width=32, source_height=32),
            clip("b", 9, 64, 64, source_fps=8.0),
        )
    )
    assert summary.frames.source_frames_each == 2
    assert (summary.enlarged, summary.enlargement) == (1, Spread(2, 2, 2))


def test_samples_left_out_by_code() -> None:
    summary = summarize(
        index_of(
            left_out("a", "VP302", available_frames=10),
            clip("b", 9, 64, 64),
            left_out("c", "VP103"),
            left_out("d", "VP302", source_frames=300, available_frames=7),
            target_fps="8",
        )
    )
    assert (summary.samples, summary.planned) == (4, 1)
    assert summary.left_out == (
        LeftOutSummary("VP103", samples=1, frames=0, unknown=1),
        LeftOutSummary("VP302", samples=2, frames=10 + 7, unknown=0),
    )
    assert summary.frames.left_out == 17
    assert summary.frames.available == 9 + 17


def test_what_is_shared_is_stored_once() -> None:
    same = {"video_key": "v", "image_key": "i", "prompt_key": "p"}
    summary = summarize(
        index_of(
            clip("a", 17, 64, 96, **same),
            clip("b", 17, 64, 96, **same),
            clip("c", 9, 64, 64, prompt_key="p", image_key="j"),
        )
    )
    videos, images, prompts = summary.components
    assert (videos.artifacts, images.artifacts, prompts.artifacts) == (2, 2, 1)
    assert videos.pixels == 17 * 64 * 96 + 9 * 64 * 64
    assert videos.bytes == 64 * (5 * 8 * 12 + 3 * 8 * 8)
    assert images.bytes == 64 * (8 * 12 + 8 * 8)
    assert prompts.bytes == 226 * 4096 * 2


def test_incomplete_batches() -> None:
    rows = [clip(f"a{n}", 17, 64, 64) for n in range(5)]
    rows += [clip(f"b{n}", 17, 64, 96) for n in range(3)]
    summary = summarize(index_of(*rows), 6)
    assert [summary.dropped(n) for n in (1, 2, 3, 4, 5, 8)] == [0, 2, 2, 4, 3, 8]
    batches = summary.to_json()["batches"]
    assert [one["global_batch"] for one in batches] == [1, 2, 4, 6, 8, 16, 32, 64]
    assert batches[3] == {"global_batch": 6, "dropped": 8, "share": 1.0}


def test_weights_and_the_training_split_decide_what_is_batched() -> None:
    rows = [clip(f"a{n}", 17, 64, 64, split="train", repeats=3, weight=0.5) for n in range(4)]
    rows += [clip("v", 17, 64, 64, split="val"), clip("n", 17, 64, 64)]
    summary = summarize(index_of(*rows))
    assert summary.splits == {"": 1, "train": 4, "val": 1}
    assert summary.batched_split == "train"
    assert (summary.draws, summary.buckets[0].clips, summary.dropped(4)) == (6, 6, 2)


def test_the_largest_split_is_batched_where_none_is_called_train() -> None:
    splits = ["a", "b", "b", "c", None, None, None]
    rows = [clip(f"s{n}", 17, 64, 64, split=split) for n, split in enumerate(splits)]
    summary = summarize(index_of(*rows))
    assert (summary.batched_split, summary.draws) == ("b", 2)
    assert summary.splits == {"": 3, "a": 1, "b": 2, "c": 1}


def test_nothing_planned() -> None:
    summary = summarize(index_of(left_out("a", "VP103")))
    assert (summary.samples, summary.clips, summary.buckets) == (1, 0, ())
    assert summary.frames.available == 0
    assert summary.dropped(8) == 0
    json.dumps(summary.to_json(), allow_nan=False)


def test_json_survives_a_round_trip() -> None:
    index = index_of(clip("a", 17, 64, 64, split="train"), left_out("b", "VP103"))
    written = summarize(index).to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["buckets"][0]["frames"] == 17
    assert written["frames"]["available"] == 17


_LENGTHS = st.sampled_from([n for n in range(1, 51) if DEFAULT.accepts_frames(n)])
_SAMPLES = st.lists(
    st.tuples(
        st.integers(50, 300),  # frames available
        st.lists(st.tuples(st.integers(0, 250), _LENGTHS), min_size=1, max_size=6),
        st.fractions(1, 60, max_denominator=1001),  # the rate
        st.floats(0, 1e4),  # where the sample begins, seconds
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(_SAMPLES)
def test_every_frame_is_accounted_for(
    samples: list[tuple[int, list[tuple[int, int]], Fraction, float]],
) -> None:
    rows, used, between, available = [], 0, 0, 0
    for number, (frames, windows, rate, begins) in enumerate(samples):
        inside = [(min(o, frames - n), n) for o, n in windows]
        covered = {at for offset, n in inside for at in range(offset, offset + n)}
        used, available = used + len(covered), available + frames
        between += max(covered) - min(covered) + 1 - len(covered)
        rows += [
            clip(
                f"s{number}", n, 64, 64,
                clip=at, available_frames=frames, fps=float(rate),
                start=begins + offset / float(rate),
            )
            for at, (offset, n) in enumerate(inside)
        ]  # fmt: skip
    found = summarize(index_of(*rows)).frames
    assert (found.used, found.between, found.available) == (used, between, available)
    assert found.outside == available - used - between


def test_a_million_clips_take_seconds() -> None:
    n = 1_000_000
    columns = index_of(clip("x", 17, 64, 64)).table.take(np.zeros(n, np.int64))
    names = pa.array(np.arange(n)).cast(pa.string())
    for name in ("sample", "video_key", "image_key", "prompt_key"):
        columns = columns.set_column(SCHEMA.get_field_index(name), name, names)
    index = BucketIndex(columns, Path(), POLICY)
    started = time.process_time()
    assert summarize(index).frames.used == 17 * n
    assert time.process_time() - started < 6  # 1.2 on an idle machine
