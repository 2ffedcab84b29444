"""What is in a video file: a header, a scan of its packets, and one decoded frame.

Header frame counts lie (a trimmed file still announces the whole), so the packets are counted.
Size and orientation come from the first decoded frame, which also shows that the file decodes.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import xxhash

from videoprep.errors import Code, MediaError
from videoprep.media.orientation import Orientation, orientation_of
from videoprep.media.timestamps import Timestamps

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Untrusted files: only container formats that hold their media themselves. Playlists (hls,
# concat, dash) would make FFmpeg open other files or addresses named inside the file.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,"
    "webp,wmv,ivf,h264,hevc,av1,obu,mxf,yuv4mpegpipe,nut,rm,dv,m4v"
)
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

# Codecs whose packets may hold a frame that is never shown.
_HIDDEN_PACKETS = ("vp8", "libvpx")

# What FFmpeg, too, assumes for a raw stream without any timing.
_RATE_OF_UNTIMED = Fraction(25)

# A stated rate and the timestamps' that differ by less are the same, once the rounding of two
# timestamps is allowed for: less than what lies between 24 and 23.976.
_SAME_RATE = Fraction(1, 5000)

_HASH_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is in a video file.

    Attributes:
        fingerprint: xxh3-128 of the file's bytes, 32 hexadecimal digits.
        stream: index of the best video stream, as FFmpeg chooses it.
        width: pixels a row, upright; sample aspect ratio not applied.
        height: rows, upright.
        timestamps: when each frame is shown; edit lists applied.
        fps: average frames a second.
        variable_frame_rate: whether the intervals between frames differ noticeably.
        orientation: how decoded frames have to be turned to stand upright.
        sample_aspect_ratio: width of a pixel over its height; 1 where the file does not say.
        codec: FFmpeg's name of the codec.
        pixel_format: FFmpeg's name of the pixel format.
        color_space: matrix coefficients, FFmpeg's number (1: BT.709, 2: untagged, 6: BT.601).
        color_range: FFmpeg's number (0: untagged, 1: limited, 2: full).
        color_primaries: FFmpeg's number.
        color_transfer: FFmpeg's number.
    """

    fingerprint: str
    stream: int
    width: int
    height: int
    timestamps: Timestamps
    fps: Fraction
    variable_frame_rate: bool
    orientation: Orientation
    sample_aspect_ratio: Fraction
    codec: str
    pixel_format: str
    color_space: int
    color_range: int
    color_primaries: int
    color_transfer: int

    @property
    def frames(self) -> int:
        """The true number of frames."""
        return len(self.timestamps.ticks)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return float(self.timestamps.seconds()[-1] + 1 / self.fps)

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write; `from_json` reads it back."""
        data: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        data["timestamps"] = self.timestamps.to_json()
        data["fps"] = str(self.fps)
        data["sample_aspect_ratio"] = str(self.sample_aspect_ratio)
        turn = self.orientation
        data["orientation"] = [turn.transpose, turn.flip_horizontal, turn.flip_vertical]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MediaInfo:
        """The inverse of `to_json`."""
        fields = dict(data)
        fields["timestamps"] = Timestamps.from_json(fields["timestamps"])
        fields["fps"] = Fraction(fields["fps"])
        fields["sample_aspect_ratio"] = Fraction(fields["sample_aspect_ratio"])
        fields["orientation"] = Orientation(*fields["orientation"])
        return cls(**fields)


def probe(path: Path) -> MediaInfo:
    """Looks into a video file.

    Raises:
        MediaError: with `Code.UNREADABLE` where the file cannot be opened or its first frame not
            decoded, with `Code.NO_VIDEO_STREAM` where it holds no video.
    """
    try:
        # A FIFO or device would block every decoder for ever: look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError("not a regular file", code=Code.UNREADABLE, where=str(path))
        fingerprint = fingerprint_of(path)
        with av.open(os.fspath(path), options=OPEN_OPTIONS) as container:
            return _probe_container(container, fingerprint)
    except MediaError as error:
        error.where = str(path)
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"cannot be read as a video: {_reason(error)}",
            code=Code.UNREADABLE,
            where=str(path),
            remedy="play the file to see whether it is damaged; replace it or remove the sample",
        ) from error


def fingerprint_of(path: Path) -> str:
    """xxh3-128 of the file's bytes, 32 hexadecimal digits. Reads in chunks: memory stays flat."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def best_video_stream(container: InputContainer) -> VideoStream:
    """The best video stream as FFmpeg chooses it. Cover art is not a video.

    Raises:
        MediaError: the file holds no video stream.
    """
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        raise MediaError(
            "holds no video stream",
            code=Code.NO_VIDEO_STREAM,
            remedy="replace the file or remove the sample",
        )
    return cast("VideoStream", stream)


def _probe_container(container: InputContainer, fingerprint: str) -> MediaInfo:
    stream = best_video_stream(container)
    timestamps, frame = _scan(container, stream)
    orientation = orientation_of(frame)
    width, height = frame.width, frame.height
    if orientation.transpose:
        width, height = height, width
    return MediaInfo(
        fingerprint=fingerprint,
        stream=stream.index,
        width=width,
        height=height,
        timestamps=timestamps,
        fps=_true_rate(timestamps, stream),
        variable_frame_rate=timestamps.is_variable(),
        orientation=orientation,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        codec=stream.codec_context.name,
        pixel_format=frame.format.name,
        color_space=int(frame.colorspace),
        color_range=int(frame.color_range),
        color_primaries=int(frame.color_primaries),
        color_transfer=int(frame.color_trc),
    )


def _scan(container: InputContainer, stream: VideoStream) -> tuple[Timestamps, VideoFrame]:
    """Times of all frames that will be shown, and the first frame, in one pass over the file.

    Packets are decoded only until the first frame is out, unless the codec has packets that show
    nothing: then only decoding tells which.
    """
    stream.codec_context.thread_count = 1
    decode_all = stream.codec_context.name in _HIDDEN_PACKETS
    first: VideoFrame | None = None
    shown: list[int | None] = []
    for packet in container.demux(stream):
        if first is None or decode_all:
            for frame in packet.decode():
                first = first or frame
                if decode_all:
                    shown.append(frame.pts)
        if not decode_all and packet.size and not packet.is_discard:
            shown.append(packet.pts if packet.pts is not None else packet.dts)
    if first is None or not shown:
        raise MediaError(
            "no frame of it can be decoded",
            code=Code.UNREADABLE,
            remedy="replace the file or remove the sample",
        )
    return _timestamps(shown, stream), first


def _timestamps(shown: list[int | None], stream: VideoStream) -> Timestamps:
    known = [tick for tick in shown if tick is not None]
    if len(known) == len(shown) and stream.time_base is not None:
        return Timestamps(np.sort(np.array(known, dtype=np.int64)), stream.time_base)
    # A raw stream says when nothing is shown: its frames are taken as evenly spaced.
    rate = stream.average_rate or stream.guessed_rate or _RATE_OF_UNTIMED
    return Timestamps(np.arange(len(shown), dtype=np.int64), 1 / Fraction(rate))


def _true_rate(timestamps: Timestamps, stream: VideoStream) -> Fraction:
    """A rate that the header gives and the timestamps agree with, else theirs."""
    stated = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    measured = timestamps.average_rate()
    if measured is None:
        return stated[0] if stated else _RATE_OF_UNTIMED
    rounding = Fraction(2, int(timestamps.ticks[-1] - timestamps.ticks[0]))
    for rate in stated:
        if abs(measured / rate - 1) < rounding + _SAME_RATE:
            return rate
    return measured.limit_denominator(1001)


def _reason(error: Exception) -> str:
    """The library's own words, without the path that the error already names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
