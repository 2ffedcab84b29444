"""VP308: frames that are in no clip."""

from __future__ import annotations

from typing import Any

from tests.support.rules import clip, rule_test
from videoprep.validators.rules.frames_unused import FramesUnused

_CHUNKS: dict[str, Any] = {"reshape": "center-crop", "clip_mode": "chunk", "clips_per_video": 3}

test_frames_unused = rule_test(
    FramesUnused,
    breaks=[clip(96, 64, 100, reshape="center-crop"), clip(96, 64, 400, **_CHUNKS)],
    clean=[clip(96, 64, 97, reshape="center-crop"), clip(96, 64, 40, **_CHUNKS)],
)
