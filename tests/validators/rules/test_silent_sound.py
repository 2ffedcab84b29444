"""VP135: a sound track of silence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.support.rules import check, file, heard, rule_test, with_sound
from videoprep.media.sound_scan import NOTHING
from videoprep.validators.rules.silent_sound import SilentSound

CLIP = file()  # nine frames at 8 fps: 1.125 s

test_silent_sound = rule_test(
    SilentSound,
    breaks=[
        heard(CLIP, [NOTHING] * 12),
        heard(CLIP, [130] * 12),
        heard(CLIP, [NOTHING] * 12 + [10] * 100),  # it is loud behind the clip
    ],
    clean=[
        heard(CLIP, [40] * 12),
        heard(CLIP, [NOTHING] * 11 + [40]),
        heard(CLIP, []),
        heard(CLIP, [10] * 12 + [NOTHING] * 100),
    ],
)


def test_a_threshold_of_ones_own() -> None:
    (finding,) = check(SilentSound, heard(CLIP, [90] * 12), level=-40)
    assert finding.message == (
        "its sound is silent in 1 of 1 clips; the loudest tenth of a second has -45.0 dB"
    )
    assert check(SilentSound, heard(CLIP, [NOTHING] * 6 + [10] * 6), share=0.4)
    (nothing,) = check(SilentSound, heard(CLIP, [NOTHING] * 12))
    assert nothing.message == "its sound is silent in 1 of 1 clips; all of its samples are zero"


def test_the_time_of_the_clip_counts() -> None:
    """Sound that begins half a second before the picture is loud only then."""
    case = heard(CLIP, [10] * 5 + [NOTHING] * 12)
    early = with_sound(CLIP, start=Fraction(-1, 2))
    assert check(SilentSound, replace(early, _sound_scan=case._sound_scan))
    assert not check(SilentSound, case)
