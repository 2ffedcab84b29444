"""Ten million clips in twelve buckets: planning an epoch, iterating over it, resuming, memory.

    python benchmarks/sampler.py [ITEMS [CASE …]]

Each case is a process of its own, so that its peak memory is its own. Times are of the processor:
other work on the machine is not in them.
"""

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.sampler import BucketBatchSampler

CASES: dict[str, dict[str, Any]] = {
    "pad": {},
    "pad, rank 3 of 8": {"rank": 3, "world_size": 8},
    "carry": {"tail": "carry"},
    "max_tokens": {"batch_size": None, "max_tokens": 20_000},
    "weights": {"weighted": True},
    "weights, carry": {"weighted": True, "tail": "carry"},
    "captions": {"captioned": True},
}


@dataclass
class Data:
    """Clips that are nowhere."""

    buckets: BucketColumn
    multiplicity: NDArray[np.float64] | None
    caption_counts: NDArray[np.int64] | None
    digest: str = "0123456789abcdef" * 2

    @staticmethod
    def latent_tokens(bucket: Bucket) -> int:
        """As CogVideoX counts."""
        return -(-bucket.frames // 4) * (bucket.height // 16) * (bucket.width // 16)


def made(items: int, *, weighted: bool, captioned: bool) -> Data:
    """Clips in twelve buckets of unequal sizes, the first with a quarter of them.

    Args:
        items: how many.
        weighted: whether they come at different rates.
        captioned: whether they have one to five captions each, not one.
    """
    shares = np.array([12, *range(11, 0, -1)]) ** 1.5
    bounds = np.cumsum(shares / shares.sum() * 2**32).astype(np.uint64)
    spread = np.arange(items, dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(2**32)
    codes = np.searchsorted(bounds[:-1], spread, side="right").astype(np.int32)
    kinds = [
        Bucket(f, h, w) for f in (9, 17, 33, 49) for h, w in ((256, 256), (256, 320), (320, 256))
    ]
    weights = np.linspace(0.25, 1.75, items) if weighted else None
    captions = np.arange(items) % 5 + 1 if captioned else None
    return Data(BucketColumn(codes, kinds), weights, captions)


def measure(name: str, items: int) -> None:
    """Prints a row."""
    options = {"batch_size": 4, **CASES[name]}
    kinds = {name: options.pop(name, False) for name in ("weighted", "captioned")}
    data = made(items, **kinds)
    ready = time.process_time()
    sampler = BucketBatchSampler(data, **options)
    sampler.set_epoch(1)
    batches = iter(sampler)
    next(batches)
    planned = time.process_time()
    count = sum(1 for _ in batches)
    iterated = time.process_time()
    later = BucketBatchSampler(data, **options)
    state = later.state_dict()
    later.load_state_dict({**state, "epoch": 1, "batch": later.steps // 2})
    next(iter(later))
    resumed = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"| {name} | {planned - ready:.1f} s | {count / (iterated - planned) / 1e6:.1f} million/s "
        f"| {resumed - iterated:.1f} s | {peak:.2f} GiB |"
    )


def main() -> None:
    """Prints a table."""
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], int(sys.argv[3]))
        return
    items, *chosen = sys.argv[1:] or ["10_000_000"]
    print(f"{int(items):,} clips, 12 buckets, batches of 4\n")
    print("| case | made and planned | batches | resumed in the middle | peak memory |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for name in chosen or CASES:
        subprocess.run([sys.executable, __file__, "--one", name, items], check=True)


if __name__ == "__main__":
    main()
