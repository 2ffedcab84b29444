"""VP113: pixels that are not square."""

from __future__ import annotations

from fractions import Fraction

from tests.support.rules import file, rule_test
from videoprep.validators.rules.non_square_pixels import NonSquarePixels

test_non_square_pixels = rule_test(
    NonSquarePixels,
    breaks=[file(sample_aspect_ratio=Fraction(4, 3))],
    clean=[file()],
)
