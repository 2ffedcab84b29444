"""VP110: how many frames the header announces."""

from __future__ import annotations

from tests.support.rules import file, rule_test
from videoprep.validators.rules.header_frame_count import HeaderFrameCount

test_header_frame_count = rule_test(
    HeaderFrameCount,
    breaks=[file(header_frames=12)],
    clean=[file(), file(header_frames=0), file(header_frames=12, cut_off=True)],
)
