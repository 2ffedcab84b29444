"""VP138: sound that begins after the clips do."""

from __future__ import annotations

from fractions import Fraction

from tests.support.rules import check, file, rule_test, with_sound
from videoprep.validators.rules.late_sound import LateSound

CLIP = file()  # nine frames at 8 fps
LATE = Fraction(1, 2)

test_late_sound = rule_test(
    LateSound,
    breaks=[with_sound(CLIP, start=LATE), with_sound(CLIP, own=False, rate=None, start=LATE)],
    clean=[
        with_sound(CLIP),
        with_sound(CLIP, start=-LATE),
        with_sound(CLIP, start=Fraction(1, 25)),
        with_sound(CLIP, start=Fraction(9, 8)),  # the clip has none
        with_sound(CLIP, start=LATE, rate=None),
        with_sound(CLIP, start=LATE, error="no sample of it can be decoded"),
        with_sound(file(picture_start=LATE), start=Fraction(0)),
    ],
)


def test_how_late() -> None:
    """Below a tenth of a second silence stands for what is missing."""
    (finding,) = check(LateSound, with_sound(file(fps=24), start=Fraction(1, 20)))
    assert (finding.severity.value, finding.message) == (
        "note",
        "its sound begins 0.05 s after a clip does",
    )
    (finding,) = check(LateSound, with_sound(CLIP, start=LATE))
    assert finding.severity.value == "warning"
