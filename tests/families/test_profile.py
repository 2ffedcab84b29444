"""Which clips are legal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.errors import SpecError
from videoprep.families.profile import DEFAULT
from videoprep.families.registry import built_in, families, get_profile, profiles

any_profile = st.sampled_from(list(profiles().values()))


@pytest.mark.parametrize("frames", [1, 4, 5, 8, 9, 16, 17, 32, 49, 81])
def test_documented_frame_counts_are_legal(frames: int) -> None:
    assert DEFAULT.accepts_frames(frames)


@pytest.mark.parametrize("frames", [0, 2, 3, 6, 7, 10, 390])
def test_others_are_not(frames: int) -> None:
    assert not DEFAULT.accepts_frames(frames)


def test_the_documented_examples_break_its_rule() -> None:
    assert not DEFAULT.accepts_size(720, 480)
    assert not DEFAULT.accepts_size(1920, 1020)
    assert get_profile("cogvideox").accepts_size(720, 480)
    assert get_profile("cogvideox").accepts_size(1280, 720)
    assert DEFAULT.nearest_sizes(720, 480) == [(704, 480), (736, 480)]


@given(any_profile, st.integers(1, 10_000), st.integers(1, 10_000))
def test_nearest_sizes_are_legal_and_next(profile, width: int, height: int) -> None:
    for w, h in profile.nearest_sizes(width, height):
        assert profile.accepts_size(w, h)
        assert abs(w - width) < profile.divisor
        assert abs(h - height) < profile.divisor
    within = profile.size_within(width, height)
    assert (within is None) == (min(width, height) < profile.divisor)


@given(any_profile, st.integers(1, 2000))
def test_nearest_frame_counts_are_legal_and_next(profile, frames: int) -> None:
    nearest = profile.nearest_frames(frames)
    assert all(profile.accepts_frames(n) and n != frames for n in nearest)
    assert not any(
        profile.accepts_frames(n) for n in range(min(nearest) + 1, max(nearest)) if n != frames
    )
    within = profile.frames_within(frames)
    assert within is not None
    assert within <= frames
    assert not any(profile.accepts_frames(n) for n in range(within + 1, frames + 1))


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match="did you mean 'cogvideox'") as raised:
        get_profile("cogvideo")
    assert "default" in str(raised.value)


def test_every_family_has_a_profile_of_its_name() -> None:
    assert all(profiles()[name] is family.profile for name, family in families().items())


@pytest.mark.parametrize("name", built_in())
def test_a_familys_default_clip_is_legal(name: str) -> None:
    profile = built_in()[name].profile
    assert profile.fps is not None
    assert profile.num_frames is not None
    assert profile.accepts_frames(profile.num_frames)
    assert profile.models
    assert profile.describe().startswith(f"{profile.models}: sides divisible by ")


def test_the_models_are_told_apart() -> None:
    models = [family.profile.models for family in built_in().values()]
    assert len(set(models)) == len(models)
