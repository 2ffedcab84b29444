"""VP122: frames that decode with errors."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import rule_test, scanned
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.damaged import Damaged


def _cut_off() -> Subject:
    """Its last frame is damaged, and it has a finding of its own."""
    case = scanned(damaged=(9,))
    return replace(case, _media=replace(case.media, cut_off=True))


test_damaged = rule_test(
    Damaged,
    breaks=[
        scanned(damaged=(3, 4)),
        scanned(complaint="invalid data"),
        scanned(decoded=8),
        scanned(changes=("frame 5: 64×64",)),
    ],
    clean=[scanned(), _cut_off()],
)
