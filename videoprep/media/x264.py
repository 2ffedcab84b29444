"""How x264 is set, so that the same frames give the same bytes on every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.stream import VideoStream


def set_repeatable(stream: VideoStream, options: Mapping[str, str]) -> None:
    """Set a stream of x264 up before its first frame.

    It gets one thread, since their number would change the bytes, and no macroblock trees, for
    which x264 reads memory that nobody wrote.

    Args:
        stream: one that is written.
        options: further ones of the encoder.
    """
    stream.codec_context.thread_count = 1
    stream.options = {"mbtree": "0", **options}
