"""Which clips are legal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.errors import SpecError
from videoprep.families.profile import DEFAULT, FrameRule, Profile
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


@pytest.mark.parametrize(
    ("rule", "frames", "latent_frames"),
    [
        (FrameRule(4, 1), [1, 5, 9, 81], [1, 2, 3, 21]),
        (FrameRule(4, 0), [4, 8, 88], [1, 2, 22]),
        (FrameRule(1, 0), [1, 2, 25], [1, 2, 25]),
        (FrameRule(33, 0, 9), [33, 66, 132], [9, 18, 36]),
        (FrameRule(17, 5, 5, 2), [5, 22, 39, 124], [2, 7, 12, 37]),
    ],
)
def test_latent_frames_follow_from_the_rule(
    rule: FrameRule, frames: list[int], latent_frames: list[int]
) -> None:
    profile = Profile("some", divisor=32, frame_rules=(rule,))
    assert [profile.latent_frames(n) for n in frames] == latent_frames
    assert [profile.frames_of(n) for n in latent_frames] == frames
    assert profile.latent_frames(1) == 1  # an image
    assert [n for n in range(frames[1] + 1) if profile.accepts_frames(n)][-2:] == frames[:2]


@pytest.mark.parametrize(
    ("rule", "frames", "groups"),
    [
        (FrameRule(4, 1), 13, (1, 4, 4, 4)),
        (FrameRule(4, 0), 12, (4, 4, 4)),
        (FrameRule(8, 1), 17, (1, 8, 8)),
        (FrameRule(1, 0), 3, (1, 1, 1)),
        (FrameRule(33, 0, 9), 33, (1, *[4] * 8)),
        (FrameRule(17, 5, 5, 2), 39, (1, 4, 4, 4, 4, 1, 4, 4, 4, 4, 1, 4)),
        (FrameRule(4, 1), 1, (1,)),
    ],
)
def test_each_frame_goes_into_a_latent_frame(
    rule: FrameRule, frames: int, groups: tuple[int, ...]
) -> None:
    profile = Profile("some", divisor=32, frame_rules=(rule,))
    assert profile.frame_groups(frames) == groups


@given(any_profile, st.integers(1, 500))
def test_groups_hold_every_frame_once(profile: Profile, frames: int) -> None:
    count = profile.frames_within(frames)
    assert count is not None
    groups = profile.frame_groups(count)
    assert sum(groups) == count
    assert len(groups) == profile.latent_frames(count)
    assert min(groups) >= 1


def test_counts_that_no_rule_accepts_have_no_latents() -> None:
    profile = Profile("some", divisor=32, frame_rules=(FrameRule(17, 5, 5, 2),))
    assert profile.nearest_frames(20) == [5, 22]
    assert profile.frames_of(5) is None
    with pytest.raises(ValueError, match="20 frames are not 17k\\+5"):
        profile.latent_frames(20)


@given(any_profile, st.integers(1, 500))
def test_latent_frames_there_and_back(profile: Profile, latent_frames: int) -> None:
    frames = profile.frames_of(latent_frames)
    assert frames is not None
    assert profile.accepts_frames(frames)
    assert profile.latent_frames(frames) == latent_frames


def test_a_breach_is_said_of_one_rule_and_of_several() -> None:
    one = Profile("one", divisor=16, frame_rules=(FrameRule(6, 1),))
    assert one.breach(17) == "17 frames are not 6k+1"
    two = Profile("two", divisor=16, frame_rules=(FrameRule(4, 0), FrameRule(4, 1)))
    assert two.breach(18) == "18 frames are neither 4k nor 4k+1"
