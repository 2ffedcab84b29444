"""Which frames stand for a rate: pure arithmetic, checked against brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.media.timestamps import (
    Timestamps,
    frames_available,
    nearest_frame,
    nearest_frames,
    usual_rate_within,
)

intervals = st.lists(st.integers(1, 5000), min_size=0, max_size=60)
rates = st.fractions(Fraction(1, 2), 120, max_denominator=1001)


def _timestamps(steps: list[int], first: int = 0) -> Timestamps:
    ticks = first + np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    return Timestamps(ticks, Fraction(1, 1000))


@given(intervals, st.integers(-1000, 1000), rates, st.integers(1, 80))
def test_each_ideal_time_gets_its_nearest_frame(
    steps: list[int], first: int, rate: Fraction, count: int
) -> None:
    timestamps = _timestamps(steps, first)
    chosen = nearest_frames(timestamps.seconds(), rate, count)
    exact = [Fraction(int(t - timestamps.ticks[0]), 1000) for t in timestamps.ticks]
    for number, frame in enumerate(chosen):
        ideal = number / rate
        best = min(abs(t - ideal) for t in exact)
        assert abs(exact[frame] - ideal) <= best + Fraction(1, 10**8)
    assert (np.diff(chosen) >= 0).all()


@given(st.integers(1, 400), st.sampled_from([8, 24, 25, 30, 50, 60]))
def test_at_its_own_rate_every_frame_is_taken_once(count: int, fps: int) -> None:
    base = Fraction(1, 90000)
    timestamps = Timestamps(np.arange(count, dtype=np.int64) * (90000 // fps), base)
    rate = Fraction(fps)
    assert frames_available(timestamps, rate, rate) == count
    assert nearest_frames(timestamps.seconds(), rate, count).tolist() == list(range(count))


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)]
)
def test_times_rounded_to_milliseconds_skip_no_frame(rate: Fraction) -> None:
    ticks = np.array([round(1000 * n / rate) for n in range(400)], dtype=np.int64)
    timestamps = Timestamps(ticks, Fraction(1, 1000))
    assert nearest_frames(timestamps.seconds(), rate, 400).tolist() == list(range(400))
    assert not timestamps.is_variable()


def test_gaps_are_told_from_a_variable_rate() -> None:
    steady = _timestamps([40] * 27 + [160]).steady_intervals()
    assert steady is not None
    assert steady.tolist() == [40] * 27
    assert _timestamps([40] * 27).steady_intervals() is None
    assert _timestamps([40, 40, 80] * 9).steady_intervals() is None


@pytest.mark.parametrize(
    ("rate", "usual"),
    [(23.419, 16), (24000 / 1001, 24000 / 1001), (24.0, 24), (14.0, 14), (7.2258, 7), (0.4, 0.4)],
)
def test_rates_that_are_advised(rate: float, usual: float) -> None:
    assert usual_rate_within(rate) == usual


def test_25_to_8_frames_a_second() -> None:
    timestamps = Timestamps(np.arange(132, dtype=np.int64) * 512, Fraction(1, 12800))
    assert frames_available(timestamps, Fraction(25), Fraction(8)) == 42
    chosen = nearest_frames(timestamps.seconds(), Fraction(8), 41)
    assert chosen[:6].tolist() == [0, 3, 6, 9, 12, 16]
    assert np.diff(chosen).mean() == pytest.approx(3.125)


@given(intervals)
def test_json_is_lossless(steps: list[int]) -> None:
    timestamps = _timestamps(steps, 7)
    again = Timestamps.from_json(timestamps.to_json())
    assert again.ticks.tolist() == timestamps.ticks.tolist()
    assert again.time_base == timestamps.time_base


@given(st.lists(st.integers(1, 50), max_size=30), st.floats(-1, 40))
def test_one_frame_is_the_first_of_many(gaps: list[int], time: float) -> None:
    seconds = np.cumsum([0, *gaps]) / 25
    assert nearest_frame(seconds, time) == nearest_frames(seconds, Fraction(1), 1, time)[0]
