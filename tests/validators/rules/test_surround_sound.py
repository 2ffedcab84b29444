"""VP141: sound of more than two channels."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import check, file, rule_test, with_sound
from videoprep.validators.rules.surround_sound import SurroundSound

test_surround_sound = rule_test(
    SurroundSound,
    breaks=[
        with_sound(file(), channels=6, layout="5.1"),
        with_sound(file(), own=False, rate=None, channels=3, layout="2.1"),
    ],
    clean=[
        replace(file(), _beside={}),
        with_sound(file()),
        with_sound(file(), channels=1, layout="mono"),
        with_sound(file(), channels=6, layout="5.1", rate=None),
    ],
)


def test_what_becomes_of_it() -> None:
    (finding,) = check(SurroundSound, with_sound(file(), channels=6, layout="5.1"))
    assert finding.message == "its sound has 6 channels (5.1), mixed to stereo"
    (finding,) = check(SurroundSound, with_sound(file(), channels=16, layout="hexadecagonal"))
    assert finding.severity.value == "warning"
    assert "clips with it fail" in finding.message
