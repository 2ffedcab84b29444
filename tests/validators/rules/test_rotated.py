"""VP112: a flag that turns the picture."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.media.orientation import Orientation
from videoprep.validators.rules.rotated import Rotated

test_rotated = rule_test(
    Rotated,
    breaks=[file(orientation=Orientation(transpose=True, flip_horizontal=True))],
    clean=[file()],
)
