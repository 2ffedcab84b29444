"""VP140: sound that does not decode throughout."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import file, heard, rule_test
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.damaged_track import DamagedTrack


def complained(what: str | None) -> Subject:
    case = heard(file(), [20] * 12)
    assert case.sound_scan is not None
    return replace(case, _sound_scan=replace(case.sound_scan, complaint=what))


test_damaged_track = rule_test(
    DamagedTrack,
    breaks=[complained("Error submitting packet to decoder")],
    clean=[complained(None), heard(file(), [])],
)
