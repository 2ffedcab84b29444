"""VP134: sound that ends before the clips do."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.support.rules import check, file, rule_test, with_sound
from videoprep.validators.rules.short_sound import ShortSound

CLIP = file()
LASTS = 9 / CLIP.media.fps

test_short_sound = rule_test(
    ShortSound,
    breaks=[
        with_sound(CLIP, own=False, rate=None, duration=LASTS / 2),
        with_sound(CLIP, duration=LASTS / 2),
        with_sound(CLIP, start=Fraction(-1), duration=LASTS),
    ],
    clean=[
        with_sound(CLIP, own=False, duration=LASTS),
        with_sound(CLIP, own=False, duration=None),
        with_sound(CLIP, duration=LASTS - Fraction(1, 25)),
        with_sound(CLIP, start=Fraction(-1), duration=LASTS + 1),
        with_sound(CLIP, rate=None, duration=LASTS / 2),
        with_sound(file(audio=None), own=False, duration=LASTS),
    ],
)


@pytest.mark.parametrize(
    ("frames", "lacks", "severity"),
    [
        (1, Fraction(1, 24), None), (1, Fraction(1, 20), "note"), (3, Fraction(1, 20), None),
        (0, Fraction(1, 1000), "note"), (30, Fraction(1, 9), "warning"),
    ],
)  # fmt: skip
def test_frames_that_may_lack(frames: float, lacks: Fraction, severity: str | None) -> None:
    """It is a warning if the clip fails, whatever the option says."""
    clip = file(frames=9, fps=24)
    found = check(ShortSound, with_sound(clip, duration=Fraction(9, 24) - lacks), frames=frames)
    assert [finding.severity.value for finding in found] == ([severity] if severity else [])


def test_own_sound_if_asked() -> None:
    (finding,) = check(ShortSound, with_sound(CLIP, rate=None, duration=LASTS / 2), own=True)
    assert finding.message == "its sound ends 0.56 s before the last clip does"
    (finding,) = check(ShortSound, with_sound(CLIP, own=False, duration=LASTS / 2))
    assert finding.message == "its sound file ends 0.56 s before the last clip does"
