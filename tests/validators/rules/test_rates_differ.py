"""VP311: clips of one bucket that last differently."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from tests.index.test_placement import media, policy
from tests.support.rules import check, overview, rule_test, sample
from videoprep.index.placement import place
from videoprep.media.timestamps import Timestamps
from videoprep.validators.overview import Overview
from videoprep.validators.rules.rates_differ import RatesDiffer


def _of_rates(*rates: tuple[Fraction | int, int], **options: Any) -> Overview:
    """An overview of clips at such rates, of so many frames each."""
    over, rules = overview(), policy(**options)
    for rate, frames in rates:
        times = Timestamps(np.arange(frames, dtype=np.int64), 1 / Fraction(rate))
        info = media(64, 64, frames, fps=Fraction(rate), timestamps=times)
        over.add(sample(), info, place(info, rules))
    return over


test_rates_differ = rule_test(
    RatesDiffer,
    breaks=[_of_rates((24, 17), (24, 17), (60, 17))],
    clean=[
        _of_rates((24, 17), (60, 33)),  # no bucket has both
        _of_rates((Fraction(30000, 1001), 17), (30, 17)),
        _of_rates((24, 17), (25, 17)),
        _of_rates((24, 17), (60, 17), target_fps=12, frame_buckets=(5,)),
        _of_rates((24, 1), (60, 1)),  # nothing moves
        _of_rates((24, 50), (60, 80), clip_mode="all-frames-stride", frame_buckets=(17,)),
    ],
)


def test_it_says_how_differently() -> None:
    (finding,) = check(RatesDiffer, _of_rates((24, 17), (24, 17), (60, 17)))
    assert "17×64×64 last from 0.28 s, at 60 frames a second, to 0.71 s, at 24" in finding.message
    assert finding.data["clips_by_rate"] == {"24": 2, "60": 1}
    assert "`target_fps=24`" in finding.remedy
