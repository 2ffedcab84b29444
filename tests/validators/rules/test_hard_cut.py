"""VP126: cuts inside of a clip."""

from __future__ import annotations

from tests.support.rules import check, part_of, rule_test, scanned
from videoprep.validators.rules.hard_cut import HardCut

test_hard_cut = rule_test(
    HardCut,
    breaks=[scanned(jump=[5] * 4 + [200] + [5] * 5, change=200)],
    clean=[
        part_of(scanned(jump=[5] * 4 + [200] + [5] * 5, change=200), 0, 4),
        part_of(scanned(jump=[5] * 4 + [200] + [5] * 5, change=200), 4, 10),
        scanned(),
        scanned(jump=[200] + [5] * 9, change=200),
        scanned(jump=200, change=8),
    ],
)


def test_it_names_the_frames() -> None:
    case = scanned(jump=[5] * 4 + [200] + [5] * 5, change=200)
    assert check(HardCut, case)[0].message == "1 cut, at frame 4"


def test_frames_of_a_range_keep_the_numbers_of_the_file() -> None:
    case = part_of(scanned(20, jump=[5] * 14 + [200] + [5] * 5, change=200), 10, 20)
    assert check(HardCut, case)[0].message == "1 cut, at frame 14"
