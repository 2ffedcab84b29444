"""VP101: sides that the profile divides."""

from __future__ import annotations

from tests.support.rules import check, clip, rule_test
from videoprep.families.registry import profiles
from videoprep.validators.protocol import Severity
from videoprep.validators.rules.size_not_divisible import SizeNotDivisible

test_size_not_divisible = rule_test(
    SizeNotDivisible,
    breaks=[clip(720, 480, 49), clip(480, 270, 49, profile="cogvideox")],
    clean=[clip(704, 480, 49), clip(720, 480, 49, profile="cogvideox")],
)


def test_it_names_the_nearest_and_who_accepts_it() -> None:
    (finding,) = check(SizeNotDivisible, clip(720, 480, 49))
    assert finding.severity is Severity.ERROR
    assert "704×480, 736×480" in finding.remedy
    accepting = finding.data["accepted_by"]
    assert accepting == [n for n, one in profiles().items() if one.accepts_size(720, 480)]
    first = " or ".join(map(repr, accepting[:3]))
    others = len(accepting) - 3
    assert f"`profile={first}` accepts it, and so do {others} others" in finding.remedy
    assert finding.data["nearest"] == [[704, 480], [736, 480]]
    (finding,) = check(SizeNotDivisible, clip(1920, 1020, 49))
    assert "`profile" not in finding.remedy


def test_with_consent_it_is_a_note_of_what_is_cut() -> None:
    (finding,) = check(SizeNotDivisible, clip(720, 480, 49, reshape="center-crop"))
    assert finding.severity is Severity.NOTE
    assert "16 columns and 0 rows (2.2%) will be cut" in finding.message
    (finding,) = check(SizeNotDivisible, clip(368, 240, 49, reshape="resize"))
    assert "368×240 scaled to 352×224" in finding.message
