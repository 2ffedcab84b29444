"""Which frames a captioner is shown: those of the range, at even times, upright, not squashed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.numbered import numbers_on, write_numbered
from videoprep.captions.frames import ClipFrames, FrameSampling, choose_frames
from videoprep.index.placement import LeftOut
from videoprep.media.clip import load_clip
from videoprep.media.orientation import Orientation
from videoprep.media.probe import MediaInfo, probe
from videoprep.media.timestamps import Timestamps
from videoprep.spec.sample import NO_EXTRAS, Extras


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred numbered frames at 25 a second."""
    return write_numbered(tmp_path_factory.mktemp("film") / "film.mp4", 100)


@pytest.fixture(scope="module")
def media(film: Path) -> MediaInfo:
    return probe(film)


def chosen(media: MediaInfo, rule: FrameSampling, extras: Extras = NO_EXTRAS) -> ClipFrames:
    found = choose_frames(media, extras, "container", rule)
    assert isinstance(found, ClipFrames)
    return found


def indices(media: MediaInfo, rule: FrameSampling, extras: Extras = NO_EXTRAS) -> list[list[int]]:
    return [list(window.indices) for window in chosen(media, rule, extras).windows]


@pytest.mark.heavy
def test_what_is_decoded_is_what_was_chosen(film: Path, media: MediaInfo) -> None:
    extras = Extras(start=1.0, end=3.0)
    frames = chosen(media, FrameSampling(frames=5), extras)
    pixels = load_clip(frames.pixels(film)).numpy().transpose(0, 2, 3, 1)
    assert numbers_on(pixels) == [25, 37, 49, 62, 74]
    assert frames.times(frames.windows[0]) == pytest.approx([0, 0.48, 0.96, 1.48, 1.96])


@pytest.mark.parametrize(
    ("rule", "extras", "expected"),
    [
        (FrameSampling(frames=3), NO_EXTRAS, [[0, 49, 99]]),
        (FrameSampling(frames=1), NO_EXTRAS, [[49]]),
        (FrameSampling(frames=3), Extras(10, 21, "frames"), [[10, 15, 20]]),
        (FrameSampling(frames=16), Extras(10, 12, "frames"), [[10, 11]]),
        (FrameSampling(frames=3), Extras(start=3.0), [[75, 87, 99]]),
        (FrameSampling(frames=None, fps=1), NO_EXTRAS, [[0, 25, 50, 75]]),
        (FrameSampling(frames=None, fps=1), Extras(0.0, 1.0), [[0]]),
        (FrameSampling(frames=None, fps=25, max_frames=4), NO_EXTRAS, [[0, 33, 66, 99]]),
        (FrameSampling(frames=2, window=2.0), NO_EXTRAS, [[0, 49], [50, 99]]),
        (FrameSampling(frames=2, window=3.0), NO_EXTRAS, [[0, 49], [50, 99]]),
        (FrameSampling(frames=2, window=3.99), NO_EXTRAS, [[0, 99]]),
        (FrameSampling(frames=None, fps=1, window=2.0), NO_EXTRAS, [[0, 25], [50, 75]]),
    ],
)
def test_frames_by_time(
    media: MediaInfo, rule: FrameSampling, extras: Extras, expected: list[list[int]]
) -> None:
    assert indices(media, rule, extras) == expected


def test_times_count_from_the_clips_first_frame(media: MediaInfo) -> None:
    frames = chosen(media, FrameSampling(frames=2, window=1.0), Extras(1.0, 3.0))
    assert [window.duration for window in frames.windows] == pytest.approx([1.0, 1.0])
    assert frames.times(frames.windows[1]) == pytest.approx([1.0, 1.96])


def test_a_range_outside_the_video(media: MediaInfo) -> None:
    found = choose_frames(media, Extras(10.0, 12.0), "container", FrameSampling())
    assert isinstance(found, LeftOut)
    assert found.code.value == "VP310"


@pytest.mark.parametrize(
    ("size", "ratio", "turned", "shown"),
    [
        ((1920, 1080), Fraction(1), False, (448, 252)),
        ((1080, 1920), Fraction(1), False, (252, 448)),
        ((320, 240), Fraction(1), False, (320, 240)),  # never enlarged
        ((1440, 1080), Fraction(4, 3), False, (448, 252)),
        ((720, 1280), Fraction(2), True, (126, 448)),  # its pixels are high once it is upright
        ((8000, 2), Fraction(1), False, (448, 1)),
    ],
)
def test_frames_are_upright_and_not_squashed(
    media: MediaInfo, size: tuple[int, int], ratio: Fraction, turned: bool, shown: tuple[int, int]
) -> None:
    other = replace(
        media,
        width=size[0],
        height=size[1],
        sample_aspect_ratio=ratio,
        orientation=Orientation(turned, False, False),
    )
    frames = chosen(other, FrameSampling())
    assert (frames.source, frames.size) == (size, shown)


def test_a_variable_rate_is_shown_by_time(media: MediaInfo) -> None:
    """Ten frames in the first second, and one a second after it."""
    ticks = np.array([*range(0, 1000, 100), *range(1000, 10_000, 1000)])
    other = replace(
        media,
        timestamps=Timestamps(ticks, Fraction(1, 1000)),
        fps=Fraction(2),
        variable_frame_rate=True,
    )
    assert indices(other, FrameSampling(frames=4)) == [[0, 12, 15, 18]]
    assert indices(other, FrameSampling(frames=None, fps=0.5)) == [[0, 11, 13, 15, 17]]


@given(
    frames=st.one_of(st.none(), st.integers(1, 40)),
    fps=st.floats(0.1, 60),
    window=st.one_of(st.none(), st.floats(0.1, 10)),
    first=st.integers(0, 99),
    length=st.integers(1, 100),
    most=st.integers(1, 30),
)
def test_frames_are_of_the_range_and_each_is_shown_once(
    media: MediaInfo,
    frames: int | None,
    fps: float,
    window: float | None,
    first: int,
    length: int,
    most: int,
) -> None:
    end = min(100, first + length)
    rule = FrameSampling(frames, None if frames else fps, most, 448, window)
    found = chosen(media, rule, Extras(first, end, "frames"))
    every = [index for one in found.windows for index in one.indices]
    assert every == sorted(set(every))
    assert first <= every[0] <= every[-1] < end
    assert all(
        0 < len(one.indices) <= (most if frames is None else frames) for one in found.windows
    )
    assert sum(one.duration for one in found.windows) == pytest.approx((end - first) / 25)
    if window is not None:
        assert all(one.duration <= window + 0.05 for one in found.windows)
    assert ClipFrames.from_text(found.to_text()) == found
