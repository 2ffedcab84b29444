"""VP122: frames that decode with errors."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import part_of, rule_test, scanned
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
        part_of(scanned(20, damaged=(3, 14)), 10, 20),
        part_of(scanned(20, decoded=18), 10, 20),
        part_of(scanned(20, changes=("at frame 15 the size changes",)), 10, 20),
    ],
    clean=[
        scanned(),
        _cut_off(),
        part_of(scanned(20, damaged=(3, 4), complaint="invalid data"), 10, 20),
        part_of(scanned(20, decoded=18), 0, 10),
        part_of(scanned(20, changes=("at frame 10 the size changes",)), 10, 20),
    ],
)
