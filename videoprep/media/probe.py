"""What is in a video file: a header, a scan of its packets, and one decoded frame.

Header frame counts lie (a trimmed file still announces the whole), so the packets are counted.
Size and orientation come from the first decoded frame, which also shows that the file decodes;
damage to its picture, and to those that follow, is for a scan of the frames to find.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import xxhash

from videoprep.errors import Code, MediaError
from videoprep.media.contents import is_picture, is_picture_container, missing_end, open_regular
from videoprep.media.orientation import Orientation, orientation_of
from videoprep.media.timestamps import Timestamps

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Untrusted files: only container formats that hold their media themselves. Playlists (hls,
# concat, dash) would make FFmpeg open other files or addresses named inside the file.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,"
    "webp,wmv,ivf,h264,hevc,av1,obu,mxf,yuv4mpegpipe,nut,rm,dv,m4v,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,"
    "mp3,wav,flac,aac,ac3,aiff"  # to say that they hold no video
)
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
# Titles in other encodings than UTF-8 are no reason to refuse a file.
_OPENING: Any = {"options": OPEN_OPTIONS, "metadata_errors": "replace"}

# Codecs whose packets may hold a frame that is never shown.
_HIDDEN_PACKETS = ("vp8", "libvpx")

# Containers that do not say when a frame is shown. FFmpeg makes times up for their packets, in an
# order that need not be that of the pictures: their frames are decoded and counted.
_UNTIMED_FORMATS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "obu")

# Containers in which torchcodec finds a frame by its number.
_INDEXED_FORMATS = ("mov", "matroska")

# Pixel formats of which torchcodec, with whatever FFmpeg it finds, makes the RGB that PyAV makes
# with its own: see `_converted_alike`.
_CONVERTED_ALIKE = (
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv444p10le",
)  # fmt: skip

# What FFmpeg, too, assumes for a raw stream without any timing.
_RATE_OF_UNTIMED = Fraction(25)

# Seconds by which a decoding clock goes back only where it starts again.
_CLOCK_RESTART = Fraction(1, 2)

# A few doubled times are a muxer's slip; more mean that the file's clock is not to be trusted.
_DISTINCT_SHARE = 0.9

# A stated rate and the timestamps' that differ by less are the same, once the rounding of two
# timestamps is allowed for: less than what lies between 24 and 23.976.
_SAME_RATE = Fraction(1, 5000)

# Formats that hold one picture; some of them may hold several.
_PICTURE_FORMATS = (
    "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "gif", "apng", "webp",
)  # fmt: skip

# Seconds by which a header may announce more than there is without anything being lost.
_SLACK = Fraction(1, 2)

_OPAQUE = 255

# What looking into a file may end in.
FAILURES = (
    av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, MemoryError,
    struct.error,
)  # fmt: skip

MAX_SIDE = 8192
"""Pixels that a side may have; the memory for one larger picture is a clip's or a bomb's."""

# FFmpeg decodes some frames only to learn what a header already says: in containers that have
# one for each stream this is skipped, which makes opening several times as fast.
_QUICK: Any = [{"skip_frame": "all"}] * 16  # PyAV's stub says list[str]

# Told to skip all pictures, FFmpeg reads up to 5 MB in search of one. A container whose index
# tells all times has no need of that, unless FFmpeg has to estimate the rate.
_INDEX_ONLY = {**OPEN_OPTIONS, "probesize": "32"}

# Types of H.264 units that hold picture data, and more bytes than the header before those data has
# in a key frame. Were it longer, the decoder would give no frame, and more would be looked at.
_SLICES, _UNIT_TYPE = (1, 5), 0x1F
_SLICE_HEADER = 256

# For a decoder that gets little more than headers: what is missing is not to be made up, nor to be
# complained of.
_HEADERS_ONLY = {"ec": "0", "skip_loop_filter": "all", "log_level_offset": "64"}

# What fits into a processor's cache.
_HASH_CHUNK = 1 << 18


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
        pyav_only: whether torchcodec is known to give other frames than those asked for, or other
            pixels than PyAV: it takes a mirror for a rotation, loses count in containers without
            an index of frames and in streams that do not start on a key frame, and heeds neither
            fields nor where chroma samples lie.
        sample_aspect_ratio: width of a pixel over its height; 1 where the file does not say.
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the codec.
        header_frames: how many frames the header announces; 0 where it does not say.
        packets: how many packets there are, also those that an edit list hides.
        cut_off: whether the file ends before what its header announces.
        interlaced: whether the first frame is made of two fields.
        pixel_format: FFmpeg's name of the pixel format.
        bit_depth: bits of the deepest component.
        alpha: whether the pixels have transparency.
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
    container: str
    codec: str
    header_frames: int
    packets: int
    cut_off: bool
    interlaced: bool
    pixel_format: str
    bit_depth: int
    alpha: bool
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
        ticks = self.timestamps.ticks
        return float(ticks[-1] - ticks[0]) * float(self.timestamps.time_base) + 1 / float(self.fps)

    def with_fingerprint(self, fingerprint: str) -> MediaInfo:
        """The same of a file with other bytes."""
        made: MediaInfo = object.__new__(MediaInfo)
        for name in self.__slots__:  # several times as fast as dataclasses.replace
            object.__setattr__(made, name, getattr(self, name))
        object.__setattr__(made, "fingerprint", fingerprint)
        return made

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


def probe(path: Path, fingerprint: str | None = None) -> MediaInfo:
    """Looks into a video file.

    Args:
        path: the file.
        fingerprint: that of its contents, where it is known already.

    Raises:
        MediaError: with `Code.UNREADABLE` where the file cannot be opened or its first frame not
            decoded, with `Code.NO_VIDEO_STREAM` where it holds no video.
    """
    try:
        # A FIFO or device would block every decoder for ever: look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError("not a regular file", code=Code.UNREADABLE, where=str(path))
        return _probe_file(path, fingerprint or fingerprint_of(path))
    except MediaError as error:
        error.where = str(path)
        raise
    except FAILURES as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> MediaError:
    """The error for a file that FFmpeg cannot make anything of."""
    if isinstance(error, MemoryError):
        return out_of_memory(path)
    missing = missing_end(path)
    if missing:
        return MediaError(
            f"is cut off: {missing}",
            code=Code.TRUNCATED,
            where=str(path),
            remedy="copy or download the file again",
        )
    if is_picture(path):
        return _still_image(path)
    return MediaError(
        f"cannot be read as a video: {_reason(error)}",
        code=Code.UNREADABLE,
        where=str(path),
        remedy="play the file to see whether it is damaged; replace it or remove the sample",
    )


def out_of_memory(path: Path) -> MediaError:
    """The error for a file that wants more memory than it may have."""
    return MediaError(
        "wants more memory than a file may have",
        code=Code.MEMORY_LIMIT,
        where=str(path),
        remedy="re-encode the file, raise --memory-limit, or remove the sample",
    )


def fingerprint_of(path: Path) -> str:
    """xxh3-128 of the file's bytes, 32 hexadecimal digits. Reads in chunks: memory stays flat.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    digest = xxhash.xxh3_128()
    with open_regular(path) as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def best_video_stream(container: InputContainer) -> VideoStream:
    """The best video stream as FFmpeg chooses it. Cover art is not a video.

    Raises:
        MediaError: the file holds no video stream.
        ValueError: it holds no stream at all, or one of an unknown codec.
    """
    stream = container.streams.best("video")
    if not container.streams:
        raise ValueError("no stream is found in it")
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
    container: InputContainer = av.open(os.fspath(path.absolute()), **_OPENING)
    return container


def _open_quickly(path: Path, by_index: bool) -> tuple[InputContainer, bool]:
    """Opens a video for its header; all that is known of its streams stands in there.

    Where it does not, or where what was skipped would have decided which stream is the best, the
    file is opened as usual.

    Args:
        path: the file.
        by_index: whether no packets need be looked at if the container has an index of times.

    Returns:
        The container, and whether that was so.
    """
    name = os.fspath(path.absolute())
    opening = {**_OPENING, "options": _INDEX_ONLY} if by_index else _OPENING
    try:
        container: InputContainer = av.open(name, **opening, stream_options=_QUICK)
    except ValueError:  # streams show themselves only when packets are read
        return open_file(path), False
    formats, alone = container.format.name.split(","), len(container.streams.video) == 1
    if alone and by_index and "mov" in formats and _is_small(container.streams.video[0]):
        return container, True
    indexed = any(name in _INDEXED_FORMATS for name in formats)
    if alone and indexed and not by_index:
        return container, False
    container.close()
    return _open_quickly(path, by_index=False) if alone and indexed else (open_file(path), False)


def _is_small(stream: VideoStream) -> bool:
    """Whether the header gives a size that is allowed. What it says may be wrong either way."""
    decoder = stream.codec_context
    return bool(decoder) and max(decoder.width, decoder.height) <= MAX_SIDE


def _probe_file(path: Path, fingerprint: str) -> MediaInfo:
    found = _scan_quickly(path) or _scan(path)
    first, stream, shown = found.first, found.stream, found.times.shown
    _require_size(first.width, first.height)
    formats = found.container.split(",")
    timed = not any(name in _UNTIMED_FORMATS for name in formats)
    if not timed or None in shown or found.codec in _HIDDEN_PACKETS:
        shown = _decode_all(path, stream.index)
    timestamps = _timestamps(shown if timed else [None] * len(shown), first, stream)
    if len(timestamps.ticks) == 1:
        _require_video(path, formats)
    orientation = orientation_of(first)
    width, height = first.width, first.height
    if orientation.transpose:
        width, height = height, width
    indexed = any(name in _INDEXED_FORMATS for name in formats)
    whole = indexed and len(timestamps.ticks) == len(shown)
    components = first.format.components
    return MediaInfo(
        fingerprint=fingerprint,
        stream=stream.index,
        width=width,
        height=height,
        timestamps=timestamps,
        fps=_true_rate(timestamps, stream),
        variable_frame_rate=timestamps.is_variable(),
        orientation=orientation,
        pyav_only=orientation.mirrored or not whole or not _converted_alike(first),
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        container=found.container,
        codec=found.codec,
        header_frames=found.header_frames,
        packets=found.times.count,
        cut_off=found.cut_off or missing_end(path) is not None,
        interlaced=first.interlaced_frame,
        pixel_format=first.format.name,
        bit_depth=max((component.bits for component in components), default=8),
        alpha=_is_transparent(first, found),
        color_space=int(first.colorspace),
        color_range=int(first.color_range),
        color_primaries=int(first.color_primaries),
        color_transfer=int(first.color_trc),
    )


def _converted_alike(first: VideoFrame) -> bool:
    """Whether torchcodec makes the same RGB of a stream as PyAV.

    FFmpeg repeats chroma samples only in 8-bit pictures of even sides. In others that have fewer of
    them than pixels it interpolates: from where they lie, as the file says, and in each field for
    itself, if it is a new FFmpeg and called as PyAV calls it, but not if called as torchcodec does.
    """
    even = first.width % 2 == first.height % 2 == 0
    return first.format.name in _CONVERTED_ALIKE and even and not first.interlaced_frame


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over a file's packets gives."""

    stream: _Stream
    container: str
    codec: str
    header_frames: int
    cut_off: bool
    alpha_beside: bool
    first: VideoFrame
    times: _Times


@dataclass(slots=True)
class _Times:
    """The times of the packets that are shown, and what else the packets tell."""

    shown: list[int | None] = field(default_factory=list)
    count: int = 0
    last: Packet[VideoStream] | None = None


@dataclass(frozen=True, slots=True)
class _Stream:
    """What the header says of a stream; outlives the container."""

    index: int
    time_base: Fraction | None
    guessed_rate: Fraction | None
    average_rate: Fraction | None
    frame_rate: Fraction | None
    sample_aspect_ratio: Fraction | None


def _scan_quickly(path: Path, by_index: bool = True) -> _Scan | None:
    """Decodes the first packet alone, and reads the times of all.

    The picture of a key frame comes out at once when the decoder is told that nothing follows.
    None where the first packet is no key frame or is not the first that is shown: then only
    decoding on tells which frame is the first.
    """
    container, by_index = _open_quickly(path, by_index)
    with container:
        stream = best_video_stream(container)
        _prepare(stream)
        packets = container.demux(stream)
        key = next((packet for packet in packets if packet.size), None)
        if key is None or not key.is_keyframe or key.is_discard or key.pts is None:
            return None
        first = _decode_alone(key, stream)
        if first is None:
            return None
        times = _times(chain([key], packets), stream)
        if any(tick is None or tick < key.pts for tick in times.shown):
            return None
        found = _found(container, stream, first, times)
    if by_index and (found.cut_off or not _is_even(found)):
        return _scan_quickly(path, by_index=False)
    return found


def _is_even(found: _Scan) -> bool:
    """Whether the header speaks for all frames, and has them all equally far apart.

    Only then does FFmpeg take the header's word for the rate.
    """
    stream, times = found.stream, found.times
    rate = stream.guessed_rate
    if not rate or rate != stream.average_rate or not stream.time_base:
        return False
    interval = 1 / (rate * stream.time_base)
    if interval.denominator != 1 or found.header_frames != times.count:
        return False
    ticks = np.array(times.shown, dtype=np.int64)
    ticks.sort()
    return bool((np.diff(ticks) == int(interval)).all())


def _decode_alone(key: Packet[VideoStream], stream: VideoStream) -> VideoFrame | None:
    """The frame of a key packet, if it gives exactly one."""
    decoder = stream.codec_context
    headers = _headers_of(key, decoder)
    if headers is not None:
        decoder.options = _HEADERS_ONLY
        key = headers
    frames: list[VideoFrame] = []
    with suppress(av.error.InvalidDataError):
        frames += decoder.decode(key)
        frames += decoder.decode(None)
    return frames[0] if len(frames) == 1 else None


def _headers_of(key: Packet[VideoStream], decoder: VideoCodecContext) -> Packet[VideoStream] | None:
    """An H.264 packet without most of its picture data; None where it is not that simple.

    The decoder makes up what is damaged or missing in a picture, and gives a frame all the same:
    if it gives one for the headers it gives one for the whole, and all that is asked of it stands
    in the headers. The picture data take nearly all of the time.
    """
    setup = decoder.extradata or b""
    if decoder.name != "h264" or setup[:1] != b"\1" or len(setup) < 7 or any(key.iter_sidedata()):
        return None
    prefix = (setup[4] & 3) + 1  # bytes that give a unit's length
    data, end = bytes(key), 0
    units = []
    while end < len(data):
        start = end + prefix
        end = start + int.from_bytes(data[end:start], "big")
        if not start + 1 < end <= len(data):
            return None
        is_slice = data[start] & _UNIT_TYPE in _SLICES
        kept = data[start : min(end, start + _SLICE_HEADER) if is_slice else end]
        units += [len(kept).to_bytes(prefix, "big"), kept]
    headers = cast("Packet[VideoStream]", av.Packet(b"".join(units)))
    headers.pts, headers.dts, headers.time_base = key.pts, key.dts, key.time_base
    return headers


def _scan(path: Path) -> _Scan:
    """The first frame, and the times of all packets, in one pass over the file.

    Packets are decoded only until the first frame is out.
    """
    with open_file(path) as container:
        stream = best_video_stream(container)
        _prepare(stream)
        first: list[VideoFrame] = []
        times = _times(_decoding(container.demux(stream), first), stream)
        if not first:
            raise ValueError("no frame of it can be decoded")
        return _found(container, stream, first[0], times)


def _prepare(stream: VideoStream) -> None:
    if not stream.codec_context:
        raise ValueError("there is no decoder for its codec")
    _require_size(stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.thread_count = 1


def _decoding(
    packets: Iterable[Packet[VideoStream]], first: list[VideoFrame]
) -> Iterator[Packet[VideoStream]]:
    """Passes packets on, and decodes them until there is a frame.

    One that is damaged may come before the first frame is out, which decoders hold back.
    """
    for packet in packets:
        if not first:
            with suppress(av.error.InvalidDataError):
                first += packet.decode()[:1]
        yield packet


def _times(packets: Iterable[Packet[VideoStream]], stream: VideoStream) -> _Times:
    """The times of all packets.

    Files joined without remuxing start their clock again: their frames cannot be told apart.
    """
    found = _Times()
    shown = found.shown
    slack = int(_CLOCK_RESTART / stream.time_base) if stream.time_base else 0
    latest: int | None = None
    for packet in packets:
        if not packet.size:
            continue
        found.count += 1
        found.last = packet
        if packet.is_discard:
            continue
        shown.append(packet.pts)
        now = packet.dts
        if now is None:
            continue
        if latest is not None and slack and latest - now > slack:
            raise _bad_times(f"its clock starts again at packet {len(shown)}")
        latest = now
    return found


def _found(
    container: InputContainer, stream: VideoStream, first: VideoFrame, times: _Times
) -> _Scan:
    rates = (stream.guessed_rate, stream.average_rate, stream.codec_context.framerate)
    guessed, average, coded = (Fraction(rate) if rate else None for rate in rates)
    # The container's, or what the decoder has found.
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    kept = _Stream(stream.index, stream.time_base, guessed, average, coded, aspect)
    return _Scan(
        stream=kept,
        container=container.format.name,
        codec=stream.codec_context.name,
        header_frames=stream.frames,
        cut_off=_ends_early(container, stream, times),
        alpha_beside=stream.metadata.get("alpha_mode") == "1",
        first=first,
        times=times,
    )


def _ends_early(container: InputContainer, stream: VideoStream, times: _Times) -> bool:
    """Whether packets are missing at the end.

    An index says how many there are (its entries, not the header's count: an edit list hides
    some). A duration speaks for the video where the file holds nothing else.
    """
    formats = container.format.name.split(",")
    if times.last is not None and times.last.is_corrupt:
        return True
    if "mov" in formats:
        entries = stream.index_entries
        return times.count < len(entries) and times.count < sum(1 for e in entries if e.size)
    known = [tick for tick in times.shown if tick is not None]
    alone = len(container.streams) == 1 and "flv" in formats
    if not alone or not known or not container.duration or not stream.time_base:
        return False
    announced = Fraction(container.duration, av.time_base)
    held = (max(known) - min(0, *known)) * stream.time_base
    return announced - held > max(_SLACK, held / max(1, len(known) - 1) * 2)


def _is_transparent(first: VideoFrame, found: _Scan) -> bool:
    """Whether pixels have transparency.

    WebM keeps it beside the picture. GIF frames always have it, but rarely let anything through.
    """
    if found.alpha_beside:
        return True
    alpha = any(component.is_alpha for component in first.format.components)
    if alpha and found.codec == "gif":
        return bool((first.to_ndarray(format="bgra")[..., 3] < _OPAQUE).any())
    return alpha


def _require_size(width: int, height: int) -> None:
    """Refuses what no bucket takes and no memory should hold: before anything is decoded, too."""
    if max(width, height) > MAX_SIDE:
        raise MediaError(
            f"{width}×{height} is larger than {MAX_SIDE} pixels a side",
            code=Code.TOO_LARGE,
            remedy="scale the video down, for instance: ffmpeg -i IN -vf scale=1920:-2 OUT.mp4",
        )


def _require_video(path: Path, formats: Sequence[str]) -> None:
    """A file with a single frame may be a picture."""
    if any(name in _PICTURE_FORMATS for name in formats) or is_picture_container(path):
        raise _still_image(path)


def _still_image(path: Path) -> MediaError:
    return MediaError(
        "is a still image, not a video",
        code=Code.STILL_IMAGE,
        where=str(path),
        remedy="replace the file or remove the sample",
    )


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


def _timestamps(shown: Sequence[int | None], first: VideoFrame, stream: _Stream) -> Timestamps:
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
        rates = (stream.guessed_rate, stream.frame_rate, stream.average_rate)
        rate = next((rate for rate in rates if rate), _RATE_OF_UNTIMED)
        return Timestamps(np.arange(len(shown), dtype=np.int64), 1 / rate, timed=False)
    ticks = np.unique(np.array(known, dtype=np.int64))
    if len(known) < len(shown) or start is None:
        raise _bad_times(f"{len(shown) - len(known)} of its {len(shown)} frames have no time")
    if len(ticks) < _DISTINCT_SHARE * len(known):
        raise _bad_times(f"its {len(known)} frames have only {len(ticks)} different times")
    return Timestamps(ticks[ticks >= start], stream.time_base)


def _true_rate(timestamps: Timestamps, stream: _Stream) -> Fraction:
    """A rate that the header gives and the timestamps agree with, else theirs."""
    stated = [rate for rate in (stream.guessed_rate, stream.average_rate) if rate]
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
    if isinstance(error, av.error.ArgumentError):  # so FFmpeg refuses what OPEN_OPTIONS leave out
        return "it is in none of the formats that are accepted"
    if isinstance(error, av.error.EOFError):
        return "it ends before its first frame"
    if isinstance(error, av.error.PermissionError) and error.errno == errno.EPERM:
        return "the decoder fails"  # some decoders use the number for failures of any kind
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
