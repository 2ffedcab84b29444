"""Where the edit list of an MP4 jumps, so that a decoder has to begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_BEFORE_ALL = -(2**63)


class EditJumps:
    """Makes an HEVC decoder begin anew where an edit list leaves one part of a file for another.

    FFmpeg hands out the packets of both as if they followed each other: up to a key frame after the
    end of the one, and from a key frame before the start of the other. The numbers of the pictures
    (POC) do not follow: an HEVC decoder takes some for pictures that it has, and refuses them.
    Decoders of other codecs do not mind, and other containers have no edit lists.

    Args:
        container: the file.
        decoder: the decoder of its video.
    """

    def __init__(self, container: InputContainer, decoder: VideoCodecContext) -> None:
        self._decoder = decoder
        self._may_jump = decoder.name == "hevc" and "mov" in container.format.name.split(",")
        self._place = self._time = _BEFORE_ALL

    def frames_before(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """Return the frames that the decoder still holds if a packet does not follow the last one.

        Call it with each packet before that is decoded.
        """
        if not self._may_jump or packet.pos is None or packet.dts is None:
            return []
        goes_back = packet.pos < self._place or packet.dts < self._time
        self._place, self._time = packet.pos, packet.dts
        if not goes_back or not packet.is_keyframe:
            return []
        try:
            return self._decoder.decode(None)
        except av.error.InvalidDataError:
            return []
        finally:
            self._decoder.flush_buffers()
