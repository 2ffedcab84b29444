"""Units of an H.264 packet: where they lie, and whether a frame heals what was damaged before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

UNIT_TYPE = 0x1F
"""The bits of a unit's first byte that tell its type."""

_REFRESH, _MESSAGES = 5, 6  # types
_SHORTEST_SETUP = 7
_RECOVERY_POINT = 6
_START = re.compile(b"\0\0\1")


def heals_at_once(packet: Packet[VideoStream], decoder: VideoCodecContext) -> bool:
    """Return whether frames from a key packet on need nothing of what comes before.

    With intra refresh, H.264 has no key frames: a message says after how many frames the picture
    will be whole again, and FFmpeg calls the frame with that message a key frame.
    """
    if decoder.name != "h264":
        return True
    counts = []
    for unit in _units(bytes(packet), decoder.extradata or b""):
        if unit and unit[0] & UNIT_TYPE == _REFRESH:
            return True
        if unit and unit[0] & UNIT_TYPE == _MESSAGES:
            counts += [
                _is_whole(body) for kind, body in _messages(unit[1:]) if kind == _RECOVERY_POINT
            ]
    return all(counts)


def length_prefix(setup: bytes) -> int | None:
    """Return how many bytes give a unit's length; None if units stand behind start codes.

    Args:
        setup: the decoder's extra data.
    """
    return (setup[4] & 3) + 1 if setup[:1] == b"\1" and len(setup) >= _SHORTEST_SETUP else None


def prefixed_units(data: bytes, prefix: int) -> Iterator[tuple[int, int]]:
    """Yield where each unit starts and ends; the last may end beyond the data."""
    end = 0
    while end < len(data):
        start = end + prefix
        end = start + int.from_bytes(data[end:start], "big")
        yield start, end


def _units(data: bytes, setup: bytes) -> Iterator[bytes]:
    """The units of a packet, which stand behind start codes or behind their lengths."""
    prefix = length_prefix(setup)
    if prefix is None:
        starts = [match.end() for match in _START.finditer(data)]
        ends = [start - 3 for start in starts[1:]] + [len(data)]
        yield from (data[start:end] for start, end in zip(starts, ends, strict=True))
        return
    yield from (data[start:end] for start, end in prefixed_units(data, prefix))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of a unit: type and length are sums of bytes that end below 255."""
    data, at = data.replace(b"\0\0\3", b"\0\0"), 0
    while at + 2 < len(data):
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(data) and data[at] == 255:
                number, at = number + 255, at + 1
            if at == len(data):
                return
            numbers.append(number + data[at])
            at += 1
        kind, length = numbers
        yield kind, data[at : at + length]
        at += length


def _is_whole(message: bytes) -> bool:
    """Whether a recovery point counts 0 frames: an Exp-Golomb code whose first bit is set."""
    return bool(message) and message[0] >> 7 == 1
