"""VP136: sound that is clipped."""

from __future__ import annotations

from tests.support.rules import check, file, heard, rule_test
from videoprep.validators.rules.clipped_sound import ClippedSound

CLIP = file()  # nine frames at 8 fps: 1.125 s, of 12 stretches of 1600 samples of two channels
LEVELS = [20] * 12

test_clipped_sound = rule_test(
    ClippedSound,
    breaks=[heard(CLIP, LEVELS, [16] * 12), heard(CLIP, LEVELS, [0] * 11 + [80])],
    clean=[
        heard(CLIP, LEVELS),
        heard(CLIP, LEVELS, [3] * 12),
        heard(CLIP, [20] * 13, [0] * 12 + [3200]),  # behind the clip
        heard(CLIP, []),
    ],
)


def test_a_threshold_of_ones_own() -> None:
    case = heard(CLIP, LEVELS, [320] * 12)
    (finding,) = check(ClippedSound, case, share=0.05)
    assert finding.message == "10.0% of the samples are clipped, in 1 of 1 clips"
    assert not check(ClippedSound, case, share=0.2)
