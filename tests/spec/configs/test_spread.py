"""Frames spread over a video, against torch's own."""

from __future__ import annotations

import pytest

from videoprep.spec.configs.spread import spread_evenly


@pytest.mark.heavy
def test_frames_are_those_of_torch() -> None:
    import torch

    for available in (*range(1, 60), 97, 241, 1001, 4096):
        for count in (1, 2, 3, 16, 17, 33, 49, 81, available):
            expected = torch.linspace(0, available - 1, count).to(torch.int32).tolist()
            assert list(spread_evenly(available, count)) == expected, (available, count)


def test_some_are_skipped_or_repeated() -> None:
    assert spread_evenly(9, 4) == (0, 2, 5, 8)
    assert spread_evenly(3, 5) == (0, 0, 1, 1, 2)
    assert spread_evenly(5, 1) == (0,)
    assert spread_evenly(5, 0) == ()
