"""Cutting a film into ranges, apart from what finds the scenes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoprep.media.scene_scan import DAMAGED, DIFFERENT, INTACT, MISSING, SPANS, SceneScores
from videoprep.media.timestamps import nearest_frame, nearest_frames
from videoprep.scenes.options import SplitOptions
from videoprep.scenes.ranges import FilmPiece, FilmTimes, cut_film
from videoprep.scenes.transitions import Transition


def scores_of(frames: int, **arrays: Any) -> SceneScores:
    """Scores of a film in which nothing happens, but for what is given."""
    plain = {
        name: np.zeros(frames, np.uint8)
        for name in ("state", "brightness", "detail", "change", "residue", "unlike", "palette",
                     "lasts")
    }  # fmt: skip
    wide = {
        name: np.zeros((frames, len(SPANS)), np.uint8)
        for name in ("span", "blend", "wash_span", "wash_blend")
    }
    lit = np.full(frames, 80, np.uint8)
    known = {"contrast": lit, "apart": np.full(frames, 255, np.uint8)}
    fields: Any = {
        **plain,
        **wide,
        **known,
        "step": 1,
        "complaint": None,
        "differs": None,
        **arrays,
    }
    return SceneScores(**fields)


def times_of(frames: int, rate: float = 25.0) -> FilmTimes:
    return FilmTimes(np.arange(frames + 1) / rate)


@st.composite
def films(draw: st.DrawFn) -> tuple[SceneScores, list[Transition], FilmTimes, SplitOptions]:
    frames = draw(st.integers(1, 120))
    gaps = draw(st.lists(st.integers(1, 500), min_size=frames, max_size=frames))
    starts = np.concatenate([[0], np.cumsum(gaps)]) / 1000
    states = draw(
        st.lists(
            st.sampled_from([INTACT] * 9 + [DAMAGED, MISSING, DIFFERENT]),
            min_size=frames,
            max_size=frames,
        )
    )
    edges = sorted(draw(st.sets(st.integers(0, frames), max_size=8)))
    transitions = []
    for first, after in zip(edges[::2], edges[1::2], strict=False):
        kind = draw(st.sampled_from(["cut", "dissolve", "fade"]))
        transitions.append(Transition(kind, first, first if kind == "cut" else after, 1.0))
    least = draw(st.floats(0, 3))
    options = SplitOptions(
        min_length=least,
        max_length=draw(st.none() | st.floats(max(0.01, least), 6)),
        long=draw(st.sampled_from(["stride", "drop", "keep"])),
        trim=draw(st.floats(0, 1)),
    )
    contrast = np.array(draw(st.lists(st.sampled_from([0, 80]), min_size=frames, max_size=frames)))
    scores = scores_of(frames, state=np.array(states, np.uint8), contrast=contrast.astype(np.uint8))
    late = draw(st.sampled_from([0.0, 0.04, 1.28]))
    return scores, transitions, FilmTimes(starts, late), options


@settings(max_examples=300, deadline=None)
@given(films())
def test_each_frame_is_in_exactly_one_piece(
    film: tuple[SceneScores, list[Transition], FilmTimes, SplitOptions],
) -> None:
    scores, transitions, times, options = film
    pieces = cut_film(scores, transitions, times, options)
    reached = 0
    for piece in pieces:
        assert piece.first == reached < piece.after
        reached = piece.after
    assert reached == len(scores.state)
    taken = {n for one in transitions for n in range(one.first, one.after)}
    for piece in pieces:
        if piece.reason is not None:
            continue
        inside = range(piece.first, piece.after)
        assert not taken.intersection(inside)
        assert (scores.state[piece.first : piece.after] == INTACT).all()
        assert not any(piece.first < one.first < piece.after for one in transitions)
        length = times.length(piece.first, piece.after)
        assert length >= options.min_length - 2e-3
        # A frame may be seen for longer than the maximum by itself.
        longest = float(np.diff(times.starts).max())
        if options.max_length is not None and options.long != "keep":
            assert length <= options.max_length + longest + 2e-3


@settings(max_examples=300, deadline=None)
@given(films(), st.data())
def test_what_is_written_selects_the_frames(
    film: tuple[SceneScores, list[Transition], FilmTimes, SplitOptions], data: st.DataObject
) -> None:
    """At the rate of the file, and at others, as the planner reads times."""
    times = film[2]
    count = len(times.starts) - 1
    first = data.draw(st.integers(0, count - 1))
    after = data.draw(st.integers(first + 1, count))
    start, end = (float(text) - times.late for text in times.written(first, after))
    seconds = times.starts[:-1]
    assert nearest_frame(seconds, start) == first
    if after < count:
        assert nearest_frame(seconds, end) == after
    else:
        assert end >= times.starts[-1] - 1e-9
    rate = Fraction(data.draw(st.sampled_from([8, 16, 24, 30, 60, 120, 240])))
    available = max(1, int((min(end, float(times.starts[-1])) - start) * float(rate) + 0.5))
    taken = nearest_frames(seconds, rate, available, start)
    assert taken[0] == first
    assert taken[-1] < after


def _cut(frames: int, transitions: list[Transition], **options: Any) -> list[FilmPiece]:
    scores = scores_of(frames)
    return cut_film(scores, transitions, times_of(frames), SplitOptions(**options))


def test_scenes_between_cuts() -> None:
    cuts = [Transition("cut", 60, 60, 9.0), Transition("cut", 80, 80, 9.0)]
    assert _cut(200, cuts) == [FilmPiece(0, 60), FilmPiece(60, 80, "short"), FilmPiece(80, 200)]


def test_trimming_at_both_ends() -> None:
    assert _cut(100, [], trim=0.5) == [
        FilmPiece(0, 13, "trimmed"),  # frame 12 is shown at 0.48 s
        FilmPiece(13, 87),
        FilmPiece(87, 100, "trimmed"),
    ]


def test_strides_and_their_remainder() -> None:
    assert _cut(220, [], max_length=4) == [
        FilmPiece(0, 100),
        FilmPiece(100, 200),
        FilmPiece(200, 220, "remainder"),
    ]
    assert _cut(250, [], max_length=4)[-1] == FilmPiece(200, 250)
    assert _cut(250, [], max_length=4, long="drop") == [FilmPiece(0, 250, "long")]
    assert _cut(250, [], max_length=4, long="keep") == [FilmPiece(0, 250)]


def test_frames_of_one_colour() -> None:
    contrast = np.full(200, 80, np.uint8)
    contrast[100:] = 2
    scores = scores_of(200, contrast=contrast)
    cuts = [Transition("cut", 100, 100, 9.0)]
    pieces = cut_film(scores, cuts, times_of(200), SplitOptions())
    assert pieces == [FilmPiece(0, 100), FilmPiece(100, 200, "one colour")]


def test_damage_splits_a_scene() -> None:
    state = np.zeros(200, np.uint8)
    state[90:93], state[93:95] = DAMAGED, MISSING
    pieces = cut_film(scores_of(200, state=state), [], times_of(200), SplitOptions())
    assert pieces == [FilmPiece(0, 90), FilmPiece(90, 95, "damaged"), FilmPiece(95, 200)]


@pytest.mark.parametrize("field", ["span", "state"])
def test_scores_come_back_as_they_were(field: str) -> None:
    rng = np.random.default_rng(1)
    scores = scores_of(50)
    value = rng.integers(0, 256, getattr(scores, field).shape).astype(np.uint8)
    scores = replace(scores, **{field: value}, complaint="a complaint")
    back = SceneScores.from_json(scores.to_json())
    assert (getattr(back, field) == value).all()
    assert back.complaint == "a complaint"


def test_scores_of_a_stranger_are_not_trusted() -> None:
    data = scores_of(50).to_json()
    for wrong in ({"frames": 49}, {"frames": 10**12}, {"spans": [1]}, {"state": "AAAA"}):
        with pytest.raises(ValueError, match=r"."):
            SceneScores.from_json({**data, **wrong})
