"""Clips of 24, 30 and 60 frames a second in one dataset, from validating to the encoded store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.encoding.test_encode import _moments_made_apart, encode
from tests.support.assets import RATES

EACH_ITS_OWN = [list(range(9))] * 3
AT_15 = [
    [0, 2, 3, 5, 6, 8, 10, 11, 13],  # 24 / 15 = 1.6 frames apart
    [0, 2, 4, 6, 8, 10, 12, 14, 16],
    [0, 4, 8, 12, 16, 20, 24, 28, 32],
]


@pytest.mark.parametrize(
    ("target", "expected", "rates"),
    [({}, EACH_ITS_OWN, list(RATES)), ({"target_fps": 15}, AT_15, [15, 15, 15])],
    ids=["own rates", "at 15 fps"],
)
def test_mixed_frame_rates(
    mixed_rates: Path,
    tmp_path: Path,
    tiny_model: Path,
    target: dict[str, Any],
    expected: list[list[int]],
    rates: Sequence[int],
) -> None:
    spec = vp.DatasetSpec.from_path(mixed_rates, **target)
    assert vp.validate(spec, frame_buckets=(9,)).ok
    index = vp.BucketIndex.build(spec, frame_buckets=(9,))
    assert index.left_out == []
    assert [list(clip.pixels.frames.indices) for clip in index.clips()] == expected
    assert encode(index, tiny_model, tmp_path / "store").ok
    data = vp.LatentDataset(tmp_path / "store")
    assert len(data) == 3
    for item in data:
        apart = _moments_made_apart(item, mixed_rates, tiny_model, False)
        assert torch.equal(item["video_latents"], apart)
    assert [item["metadata"]["fps"] for item in data] == rates
