"""VP305: a bucket smaller than a batch."""

from __future__ import annotations

from collections import Counter

from tests.support.rules import check, overview
from videoprep.index.bucket import Bucket
from videoprep.validators.overview import Overview
from videoprep.validators.rules.small_bucket import SmallBucket


def _buckets(*clips: int) -> Overview:
    over = overview("a")
    over.buckets = Counter({Bucket(9, 64, 32 * n): count for n, count in enumerate(clips, 1)})
    return over


def test_it_goes_by_the_batch_size() -> None:
    (finding,) = check(SmallBucket, _buckets(3, 4), batch_size=4)
    assert finding.data["clips"] == 3
    assert (finding.file, finding.line) == ("videos.txt", None)
    assert check(SmallBucket, _buckets(3, 4)) == []
