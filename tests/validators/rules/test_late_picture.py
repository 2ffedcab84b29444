"""VP131: a picture that begins late."""

from __future__ import annotations

from fractions import Fraction

from tests.support.rules import file, rule_test
from videoprep.validators.rules.late_picture import LatePicture

test_late_picture = rule_test(
    LatePicture,
    breaks=[file(picture_start=Fraction(2))],
    clean=[file(), file(picture_start=Fraction(1, 20))],
)
