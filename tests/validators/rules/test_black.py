"""VP123: black frames."""

from __future__ import annotations

from tests.support.rules import check, part_of, rule_test, scanned
from videoprep.validators.rules.black import Black

LATE = scanned(20, brightness=[120] * 10 + [16] * 10, contrast=2)

test_black = rule_test(
    Black,
    breaks=[scanned(brightness=[16] * 2 + [120] * 8, contrast=2), part_of(LATE, 10, 20)],
    clean=[
        part_of(LATE, 0, 10),
        scanned(),
        scanned(brightness=[16] + [120] * 9, contrast=2),
        scanned(brightness=10, contrast=30),
    ],
)


def test_the_share_is_an_option() -> None:
    case = scanned(brightness=[16] * 2 + [120] * 8, contrast=2)
    assert check(Black, case)[0].message == "2 of 10 frames are black"
    assert not check(Black, case, share=0.2)
