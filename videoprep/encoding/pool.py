"""The processes that decode the clips of a run."""

from __future__ import annotations

from videoprep.encoding.options import EncodeOptions
from videoprep.index.table import BucketIndex
from videoprep.media.decode_pool import DecodePool

_DECODE_BYTES = 1 << 30  # of decoded pixels that may wait for the device


def decode_pool(options: EncodeOptions, index: BucketIndex) -> DecodePool:
    """Return the processes that decode the clips of an index: one at first."""
    return DecodePool(
        size=1,
        memory=_DECODE_BYTES,
        limits=options.limits,
        resizing=index.is_resizing,
        allow_damaged=options.allow_damaged,
    )
