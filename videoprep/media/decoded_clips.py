"""Clips of a dataset, decoded for one rank of a run, wherever their files are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from videoprep.engine.rank import RankContext
from videoprep.errors import MediaError, SourceError
from videoprep.fs.staging import Staging
from videoprep.media.clip import ClipPixels
from videoprep.media.clip_request import ClipRequest, request_of
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.staged import clips_here

T = TypeVar("T")


def decoded_clips(
    pool: DecodePool,
    requests: Iterator[tuple[T, ClipPixels | ClipRequest]],
    data_root: Path,
    rank: RankContext,
) -> Iterator[tuple[T, Decoded | MediaError]]:
    """Yield what is asked of each clip, or why it cannot be decoded, in order.

    Files of a remote dataset are brought here. The time that this takes counts as waiting for
    input, and the rank ends here if it must not go on.

    Raises:
        SourceError: A video is gone or another one than was planned.
    """
    staging = Staging.of(data_root)
    asked = (((item, request), request) for item, request in clips_here(requests, staging))
    answers = pool.run(asked)
    while True:
        started = time.monotonic()
        answered = next(answers, None)
        rank.stats.add_input(time.monotonic() - started)
        if answered is None:
            return
        (item, request), answer = answered
        for path in request_of(request).paths:
            staging.done(path)
        rank.check()
        if isinstance(answer, SourceError):
            raise answer
        yield item, answer
