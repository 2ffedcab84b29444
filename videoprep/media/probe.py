"""What is in a video file: a header, a scan of its packets, and one decoded frame.

Header frame counts lie (a trimmed file still announces the whole), so the packets are counted.
Size and orientation come from the first decoded frame, which also shows that the file decodes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
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

# Containers that do not say when a frame is shown. FFmpeg makes times up for their packets, in an
# order that need not be that of the pictures: their frames are decoded and counted.
_UNTIMED_FORMATS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "obu")

# Containers in which torchcodec finds a frame by its number.
_INDEXED_FORMATS = ("mov", "matroska")

# What FFmpeg, too, assumes for a raw stream without any timing.
_RATE_OF_UNTIMED = Fraction(25)

# Seconds by which a decoding clock goes back only where it starts again.
_CLOCK_RESTART = Fraction(1, 2)

# A few doubled times are a muxer's slip; more mean that the file's clock is not to be trusted.
_DISTINCT_SHARE = 0.9

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
        pyav_only: whether torchcodec is known to give other frames than those asked for: it takes
            a mirror for a rotation, and loses count in containers without an index of frames and
            in streams that do not start on a key frame.
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
    pyav_only: bool
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
        return _probe_file(path, fingerprint)
    except MediaError as error:
        error.where = str(path)
        raise
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError) as error:
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


def open_file(path: Path) -> InputContainer:
    """Opens a video for reading.

    The path is made absolute: FFmpeg takes a relative one such as ``file:/other`` for a URL.
    """
    return av.open(os.fspath(path.absolute()), options=OPEN_OPTIONS)


def _probe_file(path: Path, fingerprint: str) -> MediaInfo:
    with open_file(path) as container:
        stream = best_video_stream(container)
        first, shown = _scan(container, stream)
        formats = container.format.name.split(",")
        timed = not any(name in _UNTIMED_FORMATS for name in formats)
        if not timed or None in shown or stream.codec_context.name in _HIDDEN_PACKETS:
            shown = _decode_all(path, stream.index)
        timestamps = _timestamps(shown if timed else [None] * len(shown), first, stream)
        orientation = orientation_of(first)
        width, height = first.width, first.height
        if orientation.transpose:
            width, height = height, width
        indexed = any(name in _INDEXED_FORMATS for name in formats)
        return MediaInfo(
            fingerprint=fingerprint,
            stream=stream.index,
            width=width,
            height=height,
            timestamps=timestamps,
            fps=_true_rate(timestamps, stream),
            variable_frame_rate=timestamps.is_variable(),
            orientation=orientation,
            pyav_only=orientation.mirrored or not indexed or len(timestamps.ticks) < len(shown),
            sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            color_space=int(first.colorspace),
            color_range=int(first.color_range),
            color_primaries=int(first.color_primaries),
            color_transfer=int(first.color_trc),
        )


def _scan(container: InputContainer, stream: VideoStream) -> tuple[VideoFrame, list[int | None]]:
    """The first frame, and the times of all packets, in one pass over the file.

    Packets are decoded only until the first frame is out.
    """
    stream.codec_context.thread_count = 1
    first: VideoFrame | None = None
    shown: list[int | None] = []
    latest: int | None = None
    for packet in container.demux(stream):
        if first is None:
            first = next(iter(packet.decode()), None)
        if packet.size and not packet.is_discard:
            shown.append(packet.pts)
            _require_onward(latest, packet.dts, stream, len(shown))
            latest = latest if packet.dts is None else packet.dts
    if first is None:
        raise MediaError(
            "no frame of it can be decoded",
            code=Code.UNREADABLE,
            remedy="replace the file or remove the sample",
        )
    return first, shown


def _require_onward(before: int | None, now: int | None, stream: VideoStream, number: int) -> None:
    """Files joined without remuxing start their clock again: their frames cannot be told apart."""
    if before is None or now is None or stream.time_base is None:
        return
    if (before - now) * stream.time_base > _CLOCK_RESTART:
        raise _bad_times(f"its clock starts again at packet {number}")


def _bad_times(what: str) -> MediaError:
    return MediaError(
        what,
        code=Code.UNREADABLE,
        remedy="give its frames times anew, for instance: ffmpeg -i IN -c:v libx264 OUT.mp4",
    )


def time_of(frame: VideoFrame) -> int | None:
    """By what a frame is known: its presentation time, or what FFmpeg takes for it."""
    return frame.dts if frame.pts is None else frame.pts


def _decode_all(path: Path, stream: int) -> list[int | None]:
    """The times of all frames, where the packets do not tell them."""
    with open_file(path) as container:
        video = container.streams[stream]
        video.codec_context.thread_count = 1
        return [time_of(cast("VideoFrame", frame)) for frame in container.decode(video)]


def _timestamps(shown: Sequence[int | None], first: VideoFrame, stream: VideoStream) -> Timestamps:
    """The times of the frames that a decoder gives.

    A stream can start in the middle: packets before its first key frame show nothing. Two frames
    at one time are one.

    Raises:
        MediaError: some frames have a time and others have none, or many share one.
    """
    known = [tick for tick in shown if tick is not None]
    start = time_of(first)
    if not known or stream.time_base is None:
        # A raw stream does not say when its frames are shown: they are taken as evenly spaced.
        rates = (stream.guessed_rate, stream.codec_context.framerate, stream.average_rate)
        rate = next((Fraction(rate) for rate in rates if rate), _RATE_OF_UNTIMED)
        return Timestamps(np.arange(len(shown), dtype=np.int64), 1 / rate, timed=False)
    ticks = np.unique(np.array(known, dtype=np.int64))
    if len(known) < len(shown) or start is None:
        raise _bad_times(f"{len(shown) - len(known)} of its {len(shown)} frames have no time")
    if len(ticks) < _DISTINCT_SHARE * len(known):
        raise _bad_times(f"its {len(known)} frames have only {len(ticks)} different times")
    return Timestamps(ticks[ticks >= start], stream.time_base)


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
    return measured.limit_denominator(1_000_000) or measured


def _reason(error: Exception) -> str:
    """The library's own words, without the path that the error already names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
