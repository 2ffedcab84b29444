"""VP108: still images."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.still_image import StillImage

test_still_image = rule_test(
    StillImage, breaks=[file(frames=1, fps=None)], clean=[file(), file(frames=1)]
)
