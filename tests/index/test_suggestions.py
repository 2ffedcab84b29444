"""What is suggested for buckets that do not fill a batch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.plans import clip, index_of, left_out
from videoprep.index.bucket import Bucket
from videoprep.index.suggestions import Advice, suggest
from videoprep.index.summary import summarize

_SIZES = [[480, 640, [49]], [480, 720, [17, 49]]]


def _advice(*rows: dict[str, Any], batch: int = 4, **policy: Any) -> Advice:
    index = index_of(*rows, **{"sizes": _SIZES, **policy})
    return suggest(index, summarize(index, batch))


def _clips(number: int, *bucket: int, **values: Any) -> list[dict[str, Any]]:
    return [clip(f"{bucket} {n}", *bucket, **values) for n in range(number)]


def test_buckets_that_fill_a_batch_need_nothing() -> None:
    assert _advice(*_clips(4, 49, 480, 720)) == Advice(4, ())
    assert suggest(index_of(left_out("a", "VP103")), summarize(index_of())) == Advice(8, ())


def test_where_clips_would_go_and_what_that_costs() -> None:
    # 720×480 into 640×480 loses a ninth of the picture, and as many pixels of each frame.
    advice = _advice(*_clips(3, 49, 480, 720), *_clips(5, 49, 480, 640))
    (one,) = advice.small
    assert (one.bucket, one.clips, one.draws, one.repeats) == (Bucket(49, 480, 720), 3, 3, 2)
    assert one.move is not None
    assert one.move.targets == {Bucket(49, 480, 640): 3}
    assert one.move.cut == pytest.approx(1 / 9, abs=1e-6)
    assert one.move.pixels == pytest.approx(1 / 9, abs=1e-6)
    assert one.move.frames == 0
    assert (advice.options, advice.left) == ("`reshape='center-crop', buckets='49x480x640'`", 0)


def test_nothing_is_enlarged_and_no_frame_is_made_up() -> None:
    smaller = _clips(3, 49, 480, 640)
    shorter = _clips(3, 17, 480, 720)
    for rows in (smaller, shorter):
        advice = _advice(*rows, *_clips(5, 49, 480, 720))
        assert advice.small[0].move is None
        assert (advice.options, advice.left) == (None, 1)
    advice = _advice(*smaller, *_clips(5, 49, 480, 720), allow_upscale=True)
    assert advice.small[0].move is not None
    assert advice.small[0].move.pixels == pytest.approx(-1 / 8)


def test_frames_that_the_video_has_may_be_used() -> None:
    long = {"available_frames": 60}
    rows = [*_clips(3, 17, 480, 720, **long), *_clips(5, 49, 480, 640)]
    move = _advice(*rows).small[0].move
    assert move is not None
    assert move.frames == pytest.approx(1 - 49 / 17, abs=1e-6)
    # One of several clips of a sample has its place.
    assert _advice(*rows, clip_mode="chunk").small[0].move is None


def test_clips_move_on_when_their_next_bucket_goes_too() -> None:
    rows = [*_clips(1, 49, 480, 720), *_clips(2, 49, 480, 640), *_clips(9, 49, 448, 640)]
    advice = _advice(*rows)
    assert [one.clips for one in advice.small] == [1, 2]
    assert (advice.options, advice.left) == ("`reshape='center-crop', buckets='49x448x640'`", 0)
    # Where one fills the other, that one stays.
    advice = _advice(*_clips(1, 49, 480, 720), *_clips(3, 49, 480, 640))
    assert (advice.options, advice.left) == ("`reshape='center-crop', buckets='49x480x640'`", 0)


def test_clips_that_would_lose_much_are_rather_repeated() -> None:
    advice = _advice(*_clips(3, 49, 480, 720), *_clips(5, 17, 480, 720))
    assert advice.small[0].move is not None
    assert advice.small[0].move.frames == pytest.approx(1 - 17 / 49, abs=1e-6)
    assert (advice.options, advice.left) == (None, 1)
    assert advice.small[0].repeats == 2


def test_repeats_count_what_is_repeated_already() -> None:
    once = _advice(*_clips(3, 49, 480, 720, repeats=2), batch=8).small[0]
    assert (once.clips, once.draws, once.repeats) == (3, 6, 2)
    assert _advice(*_clips(3, 49, 480, 720, weight=0.0)).small == ()  # none ever comes


def test_parts_of_clips_are_dropped_and_small_too() -> None:
    """What comes in an epoch is dropped whole where no bucket fills a batch."""
    rows = [*_clips(2, 49, 480, 720, weight=0.5), *_clips(3, 49, 480, 640, weight=0.5)]
    rows += _clips(1, 17, 480, 720, weight=0.5)
    index = index_of(*rows, sizes=_SIZES)
    summary = summarize(index, 4)
    assert summary.draws == 3
    assert summary.dropped(4) == 3
    assert summary.dropped(1) == 0
    small = suggest(index, summary).small
    assert [(one.clips, one.draws, one.repeats) for one in small] == [
        (1, 0, 8),
        (2, 1, 4),
        (3, 1, 3),
    ]


def test_without_consent_or_buckets_the_option_is_another() -> None:
    rows = [*_clips(3, 49, 480, 720), *_clips(5, 49, 480, 640)]
    advice = _advice(*rows, reshape="none")
    assert advice.small[0].move is None
    assert advice.options == "`reshape='center-crop', buckets='auto'`"
    advice = _advice(*rows, sizes=[])
    assert advice.small[0].move is not None
    assert (advice.options, advice.left) == ("`buckets='auto'`", None)
    many = [row for n in range(1, 70) for row in _clips(1, 49, 32 * n, 32)]
    assert _advice(*many).options == "`buckets='auto'`"


def test_json_survives_a_round_trip() -> None:
    written = _advice(*_clips(3, 49, 480, 720), *_clips(5, 49, 480, 640)).to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    target = {"frames": 49, "height": 480, "width": 640, "clips": 3}
    assert written["small_buckets"][0]["move"]["targets"] == [target]
