"""VP111: frames at uneven distances."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tests.support.rules import file, rule_test
from videoprep.media.timestamps import Timestamps
from videoprep.validators.rules.variable_frame_rate import VariableFrameRate

_UNEVEN = Timestamps(np.array([0, 1, 3, 4, 8, 9], dtype=np.int64), Fraction(1, 25))

test_variable_frame_rate = rule_test(
    VariableFrameRate,
    breaks=[file(variable_frame_rate=True, timestamps=_UNEVEN)],
    clean=[file(), file(variable_frame_rate=True, timestamps=_UNEVEN, cut_off=True)],
)
