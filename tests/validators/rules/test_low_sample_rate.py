"""VP137: sound with fewer samples a second than the family takes."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import check, file, rule_test, with_sound
from videoprep.validators.rules.low_sample_rate import LowSampleRate

test_low_sample_rate = rule_test(
    LowSampleRate,
    breaks=[
        with_sound(file(), sample_rate=8000),
        with_sound(file(), own=False, sample_rate=11_025),
    ],
    clean=[
        replace(file(), _beside={}),
        with_sound(file(), sample_rate=16_000),
        with_sound(file(), sample_rate=8000, rate=None),
        with_sound(file(), sample_rate=0, error="no sample of it can be decoded"),
    ],
)


def test_a_rate_of_ones_own() -> None:
    case = with_sound(file(), sample_rate=22_050, rate=None)
    (finding,) = check(LowSampleRate, case, sample_rate=44_100)
    assert finding.message == "its sound has 22,050 samples a second, below 44,100"
