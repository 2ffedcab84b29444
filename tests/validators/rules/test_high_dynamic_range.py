"""VP116: more than 8 bits, or an HDR curve."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.high_dynamic_range import HighDynamicRange

test_high_dynamic_range = rule_test(
    HighDynamicRange,
    breaks=[file(bit_depth=10, pixel_format="yuv420p10le"), file(bit_depth=10, color_transfer=16)],
    clean=[file()],
)
