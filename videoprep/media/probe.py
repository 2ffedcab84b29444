"""What is in a video file: a header, a scan of its packets, and one decoded frame.

A still image is told by how its file starts; see `still_image`.

Header frame counts lie (a trimmed file still announces the whole), so the packets are counted.
Size and orientation come from the first decoded frame, which also shows that the file decodes;
damage to its picture, and to those that follow, is for a scan of the frames to find.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.media.audio_info import AudioInfo, AudioScan
from videoprep.media.commands import for_file
from videoprep.media.contents import is_picture_container, missing_end, picture_format
from videoprep.media.derived_times import Tick, evenly_timed, spread_doubled, times_of_chunks
from videoprep.media.edit_jumps import EditJumps
from videoprep.media.h264_units import UNIT_TYPE, length_prefix, prefixed_units
from videoprep.media.media_info import MediaInfo as MediaInfo
from videoprep.media.movie_header import contradiction
from videoprep.media.orientation import UPRIGHT, Orientation, orientation_of
from videoprep.media.refusals import (
    MAX_SIDE,
    bad_clock,
    bad_times,
    no_video,
    too_large,
    unreadable,
)
from videoprep.media.still_image import probe_still
from videoprep.media.timestamps import USUAL_RATES, Timestamps

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
_UNTIMED_FORMATS = ("h264", "hevc", "m4v", "mpegvideo", "obu")

# Codecs whose frames may be decoded in another order than they are shown.
_REORDERING = ("h264", "hevc", "mpeg2video", "mpeg4")

# Containers whose packets may hold several frames, of which only one has a time.
_SHARED_TIME_FORMATS = ("mpeg", "mpegts")

# Containers that hold an index of their frames.
_INDEXED_FORMATS = ("mov", "matroska")

# Seconds by which the picture starts late, and not because a time was rounded.
_LATE = Fraction(1, 500)

# What FFmpeg, too, assumes for a raw stream without any timing.
_RATE_OF_UNTIMED = Fraction(25)

# Seconds by which a decoding clock goes back only where it starts again.
_CLOCK_RESTART = Fraction(1, 2)

# A few doubled times are a muxer's slip; more mean that the file's clock is not to be trusted.
_DISTINCT_SHARE = 0.9

# A stated rate and the timestamps' that differ by less are the same, once the rounding of two
# timestamps is allowed for: less than what lies between 24 and 23.976.
_SAME_RATE = Fraction(1, 5000)

# Frames a second outside of which a clock is nonsense: time lapses take a frame an hour, and
# high-speed cameras write a thousand a second.
_SLOWEST, _FASTEST = Fraction(1, 86_400), 2000

# Formats that hold one picture; some of them may hold several.
_PICTURE_FORMATS = (
    "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "gif", "apng", "webp",
)  # fmt: skip

# Seconds by which a header may announce more than there is without anything being lost.
_SLACK = Fraction(1, 2)

_OPAQUE = 255

# Frames of a turned video that are compared: a message that turns the picture may be repeated with
# each key frame, so two frames that follow each other tell.
_TURNED = 3

# What looking into a file may end in.
FAILURES = (
    av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, MemoryError,
    struct.error,
)  # fmt: skip

# FFmpeg decodes some frames only to learn what a header already says: in containers that have
# one for each stream this is skipped, which makes opening several times as fast.
_QUICK: Any = [{"skip_frame": "all"}] * 16  # PyAV's stub says list[str]

# Told to skip all pictures, FFmpeg reads up to 5 MB in search of one. A container whose index
# tells all times has no need of that, unless FFmpeg has to estimate the rate.
_INDEX_ONLY = {**OPEN_OPTIONS, "probesize": "32"}

# Types of H.264 units that hold picture data, and more bytes than the header before those data has
# in a key frame. Were it longer, the decoder would give no frame, and more would be looked at.
_SLICES = (1, 5)
_SLICE_HEADER = 256

# For a decoder that gets little more than headers: what is missing is not to be made up, nor to be
# complained of.
_HEADERS_ONLY = {"ec": "0", "skip_loop_filter": "all", "log_level_offset": "64"}


def probe(path: str | os.PathLike[str], fingerprint: str | None = None) -> MediaInfo:
    """Look into a video file or a still image.

    Args:
        path: the file.
        fingerprint: that of its contents, where it is known already.

    Raises:
        MediaError: with `Code.UNREADABLE` where the file cannot be opened or its first frame not
            decoded, with `Code.NO_VIDEO_STREAM` where it holds no video.
    """
    try:
        return probe_contents(Path(path), fingerprint)
    except MediaError as error:
        error.remedy = for_file(error.remedy or "", path)
        raise


def probe_contents(path: Path, fingerprint: str | None = None) -> MediaInfo:
    """The same as `probe`, but what an error advises fits all files of these contents.

    `for_file` names the file in it.
    """
    try:
        # A FIFO or device would block every decoder for ever: look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError("not a regular file", code=Code.UNREADABLE, where=str(path))
        contents = fingerprint or fingerprint_of(path)
        if picture_format(path) is not None:
            return probe_still(path, contents)
        return _probe_file(path, contents)
    except MediaError as error:
        error.where = str(path)
        raise
    except FAILURES as error:
        raise unreadable(path, error) from error


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
        raise no_video()
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
    formats = container.format.name.split(",")
    alone = len(container.streams.video) == 1 and len(container.streams.audio) <= 1
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
    first, stream = found.first, found.stream
    _require_size(first.width, first.height)
    formats = found.container.split(",")
    times = _frame_times(path, found, formats)
    timestamps = times.stamps
    _require_sensible_clock(path, timestamps, found, formats)
    if len(timestamps.ticks) == 1 and _is_picture(path, formats):
        return probe_still(path, fingerprint)
    orientation = orientation_of(first)
    if orientation != UPRIGHT:
        _require_one_orientation(path, stream.index, orientation)
    width, height = first.width, first.height
    if orientation.transpose:
        width, height = height, width
    components = first.format.components
    return MediaInfo(
        fingerprint=fingerprint,
        stream=stream.index,
        width=width,
        height=height,
        timestamps=timestamps,
        picture_start=_picture_start(times.start, found.start),
        fps=_true_rate(timestamps, stream),
        variable_frame_rate=timestamps.is_variable(),
        orientation=orientation,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        container=found.container,
        codec=found.codec,
        header_frames=found.header_frames,
        packets=found.times.count,
        repeated_times=times.repeated,
        cut_off=found.cut_off or missing_end(path) is not None,
        interlaced=first.interlaced_frame,
        pixel_format=first.format.name,
        bit_depth=max((component.bits for component in components), default=8),
        alpha=_is_transparent(first, found),
        color_space=int(first.colorspace),
        color_range=int(first.color_range),
        color_primaries=int(first.color_primaries),
        color_transfer=int(first.color_trc),
        audio=found.audio and found.audio.since(times.start),
    )


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over a file's packets gives."""

    stream: _Stream
    container: str
    codec: str
    start: Fraction | None
    header_frames: int
    cut_off: bool
    alpha_beside: bool
    first: VideoFrame
    times: _Times
    audio: AudioInfo | None


@dataclass(slots=True)
class _Times:
    """The times of the packets that are shown, and what else the packets tell."""

    shown: list[int | None] = field(default_factory=list)
    count: int = 0
    last: Packet[VideoStream] | None = None
    first_decoded: int | None = None
    last_decoded: int | None = None
    reordered: bool = False  # whether some packet is decoded at another time than it is shown

    @property
    def interval(self) -> float:
        """Ticks from one packet to the next on average; 0 where it is not known."""
        if self.first_decoded is None or self.last_decoded is None or self.count < 2:
            return 0.0
        return (self.last_decoded - self.first_decoded) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class _Stream:
    """What the header says of a stream; outlives the container."""

    index: int
    id: int
    time_base: Fraction | None
    guessed_rate: Fraction | None
    average_rate: Fraction | None
    frame_rate: Fraction | None
    sample_aspect_ratio: Fraction | None
    duration: int | None


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
        sound = AudioScan(container, stream)
        packets = sound.watch(container, stream)
        key = next((packet for packet in packets if packet.size), None)
        if key is None or not key.is_keyframe or key.is_discard or key.pts is None:
            return None
        first = _decode_alone(key, stream)
        if first is None:
            return None
        times = _times(chain([key], packets), stream)
        if any(tick is None or tick < key.pts for tick in times.shown):
            return None
        found = _found(container, stream, first, times, sound)
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
    prefix = length_prefix(decoder.extradata or b"")
    if decoder.name != "h264" or prefix is None or any(key.iter_sidedata()):
        return None
    data = bytes(key)
    units = []
    for start, end in prefixed_units(data, prefix):
        if not start + 1 < end <= len(data):
            return None
        is_slice = data[start] & UNIT_TYPE in _SLICES
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
        sound = AudioScan(container, stream)
        times = _times(_decoding(sound.watch(container, stream), first), stream)
        if not first:
            raise ValueError("no frame of it can be decoded")
        return _found(container, stream, first[0], times, sound)


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
            first += _frames_of(packet)[:1]
        yield packet


def _frames_of(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Return the frames that come out with a packet; damage costs those of its own packet."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return []


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
        if found.first_decoded is None:
            found.first_decoded = packet.dts
        found.last_decoded = packet.dts
        if packet.is_discard:
            continue
        shown.append(packet.pts)
        now = packet.dts
        found.reordered = found.reordered or packet.pts != now
        if now is None:
            continue
        if latest is not None and slack and latest - now > slack:
            raise bad_times(f"its clock starts again at packet {len(shown)}")
        latest = now
    return found


def _found(
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    times: _Times,
    sound: AudioScan,
) -> _Scan:
    rates = (stream.guessed_rate, stream.average_rate, stream.codec_context.framerate)
    guessed, average, coded = (Fraction(rate) if rate else None for rate in rates)
    # The container's, or what the decoder has found.
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    kept = _Stream(
        stream.index, stream.id, stream.time_base, guessed, average, coded, aspect, stream.duration
    )
    return _Scan(
        stream=kept,
        container=container.format.name,
        codec=stream.codec_context.name,
        start=_seconds(container.start_time),
        header_frames=stream.frames,
        cut_off=_ends_early(container, stream, times),
        alpha_beside="1" in _tags(stream, "alpha_mode"),
        first=first,
        times=times,
        audio=sound.info(),
    )


def _seconds(time: int | None) -> Fraction | None:
    """Seconds of a time that a container tells, which is in microseconds."""
    return None if time is None else Fraction(time, av.time_base)


def _tags(stream: VideoStream, key: str) -> set[str]:
    """What a stream's metadata say under a key, which muxers write in either case."""
    return {text for name, text in stream.metadata.items() if name.lower() == key}


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


def _require_one_orientation(path: Path, stream: int, first: Orientation) -> None:
    """Refuses a file of which only some frames say that they are turned.

    An SEI message of H.264 or HEVC reaches one frame alone, and players do not agree on it. What
    the container says reaches all frames.
    """
    with open_file(path) as container:
        video = cast("VideoStream", container.streams[stream])
        video.codec_context.thread_count = 1
        frames = chain.from_iterable(map(_frames_of, container.demux(video)))
        others = {orientation_of(frame) for frame in islice(frames, _TURNED)} - {first}
    if others:
        raise MediaError(
            f"its frames are not turned alike: the first is {first}, later ones are {others.pop()}",
            code=Code.UNREADABLE,
            remedy="re-encode the file upright, or let the container alone say how it is turned",
        )


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
        raise too_large(width, height)


def _is_picture(path: Path, formats: Sequence[str]) -> bool:
    """Whether a file with a single frame is a still image."""
    return any(name in _PICTURE_FORMATS for name in formats) or is_picture_container(path)


def time_of(frame: VideoFrame) -> int | None:
    """By what a frame is known: its presentation time, or what FFmpeg takes for it."""
    return frame.dts if frame.pts is None else frame.pts


@dataclass(frozen=True, slots=True)
class _FrameTimes:
    """When frames are shown.

    Attributes:
        stamps: of all frames.
        start: the first frame's time in seconds on the container's clock.
        repeated: how many frames are skipped because their time is that of another.
    """

    stamps: Timestamps
    start: Fraction
    repeated: int = 0


def _frame_times(path: Path, found: _Scan, formats: Sequence[str]) -> _FrameTimes:
    """The times of the frames that a decoder gives, and of the first on the container's clock."""
    stream, shown = found.stream, found.times.shown
    if any(name in _UNTIMED_FORMATS for name in formats):
        stamps = _numbered(len(_decode_all(path, stream.index).presented), stream)
        return _FrameTimes(stamps, Fraction(0))
    if "avi" in formats:
        return _times_in_avi(_decode_all(path, stream.index), stream)
    of_packets = "asf" in formats or ("mxf" in formats and not found.times.reordered)
    if of_packets and found.codec in _REORDERING:
        frames = _decode_all(path, stream.index)
        if _is_shuffled(frames):
            return _times_in_places(frames, stream)
    shared = any(name in _SHARED_TIME_FORMATS for name in formats)
    by_packets = not (None in shown or found.codec in _HIDDEN_PACKETS or _repeats(shown))
    if not by_packets:
        frames = _decode_all(path, stream.index)
        shown = frames.known
        derived = _shared_times(frames, stream) if shared and _repeats(shown) else None
        if derived is not None:
            return derived
    stamps = _timestamps(shown, found.first, stream)
    start = Fraction(0) if not stamps.timed else int(stamps.ticks[0]) * stamps.time_base
    # Packets without a frame of their own are no loss.
    return _FrameTimes(stamps, start, 0 if by_packets else len(shown) - len(stamps.ticks))


def _repeats(ticks: Sequence[Tick]) -> bool:
    """Whether a time occurs twice, or none is known."""
    return len(set(ticks) - {None}) < len(ticks)


@dataclass(slots=True)
class _Decoded:
    """What decoding all frames tells of their times; frames in the order in which they are shown.

    Attributes:
        presented: the presentation time of each frame.
        decoded: the decoding time of the packet with which each frame came out.
        packets: the decoding times of the packets that hold something.
    """

    presented: list[Tick] = field(default_factory=list)
    decoded: list[Tick] = field(default_factory=list)
    packets: list[Tick] = field(default_factory=list)

    @property
    def known(self) -> list[Tick]:
        """`time_of` each frame."""
        pairs = zip(self.presented, self.decoded, strict=True)
        return [later if tick is None else tick for tick, later in pairs]


def _decode_all(path: Path, stream: int) -> _Decoded:
    """The times of all frames, where the packets do not tell them."""
    found = _Decoded()
    with open_file(path) as container:
        video = cast("VideoStream", container.streams[stream])
        video.codec_context.thread_count = 1
        jumps = EditJumps(container, video.codec_context)
        for packet in container.demux(video):
            if packet.size:
                found.packets.append(packet.dts)
            elif packet.dts is not None:
                continue  # shows the frame before once more; to a decoder it is the end
            for frame in (*jumps.frames_before(packet), *_frames_of(packet)):
                found.presented.append(frame.pts)
                found.decoded.append(frame.dts)
    return found


def _is_shuffled(frames: _Decoded) -> bool:
    """Whether frames do not come in the order of their times: those are of the packets."""
    told = [tick for tick in frames.presented if tick is not None]
    return any(later < tick for tick, later in pairwise(told))


def _times_in_places(frames: _Decoded, stream: _Stream) -> _FrameTimes:
    """The times of frames whose packets have times in the order of decoding: one for each place."""
    places = sorted(tick for tick in frames.presented if tick is not None)
    if len(places) != len(frames.presented) or stream.time_base is None:
        count = len(frames.presented)
        raise bad_times(f"its {count} frames have only {len(places)} times")
    stamps = Timestamps(np.array(places, dtype=np.int64), stream.time_base, timed=False)
    return _FrameTimes(stamps, int(places[0]) * stream.time_base)


def _times_in_avi(frames: _Decoded, stream: _Stream) -> _FrameTimes:
    """The times of an AVI's frames, from the places of its chunks."""
    found = times_of_chunks(frames.presented, frames.decoded, frames.packets)
    if found is None or stream.time_base is None:
        count, chunks = len(frames.presented), len(frames.packets)
        raise bad_times(f"its {count} frames cannot be matched with its {chunks} chunks")
    stamps = Timestamps(np.array(found.ticks, dtype=np.int64), stream.time_base, found.told)
    return _FrameTimes(stamps, found.start * stream.time_base)


def _shared_times(frames: _Decoded, stream: _Stream) -> _FrameTimes | None:
    """The times of frames that share theirs, if those around them tell."""
    if stream.time_base is None:
        return None
    rates = [rate for rate in (stream.frame_rate, stream.guessed_rate, stream.average_rate) if rate]
    ticks = spread_doubled(frames.presented)
    if ticks is None:
        ticks = evenly_timed(frames.presented, stream.time_base, rates)
    if ticks is None:
        return None
    stamps = Timestamps(np.array(ticks, dtype=np.int64), stream.time_base, timed=False)
    return _FrameTimes(stamps, ticks[0] * stream.time_base)


def _require_sensible_clock(
    path: Path, stamps: Timestamps, found: _Scan, formats: Sequence[str]
) -> None:
    """Refuses a header whose units of time cannot be meant.

    Raises:
        MediaError: frames are shown faster or slower than any camera takes them, an MP4's header
            contradicts itself, or its edit list hides nearly all frames because it was written in
            other units.
    """
    rate = stamps.average_rate()
    if rate is not None and not _SLOWEST <= rate <= _FASTEST:
        speed = f"{float(rate):.0f} frames a second"
        slow = f"a frame every {float(1 / rate) / 3600:.0f} hours"
        raise bad_clock(f"its header says {speed if rate > 1 else slow}", formats)
    wrong = contradiction(path, found.stream.id) if "mov" in formats else None
    if wrong is not None:
        raise bad_clock(wrong, formats)
    length, shown = found.stream.duration, len(stamps.ticks)
    count = max(found.times.count, found.header_frames)
    if "mov" not in formats or not length or not found.stream.time_base or shown >= count:
        return
    coded = found.stream.frame_rate
    lasts_too_long = shown == 1 and found.times.interval > 2 * length
    # The length that the edit list has is right for all frames, at the rate of the pictures.
    meant = float(length * found.stream.time_base * coded) if coded else 0.0
    if lasts_too_long or (abs(meant - count) <= 1 and 3 * shown < count):
        raise bad_clock(
            f"its header shows {shown} of its {count} frames, each for too long a time", formats
        )


def _picture_start(first: Fraction, container: Fraction | None) -> Fraction:
    """Seconds from where a file begins to its first frame, from their times on its clock."""
    begins = max(min(first, Fraction(0)), first if container is None else container)
    # Containers write in microseconds when they begin: what is less is rounding.
    late = first - begins
    return late if late >= _LATE else Fraction(0)


def _numbered(count: int, stream: _Stream) -> Timestamps:
    """Those of a raw stream, which does not say when its frames are shown: evenly spaced."""
    rates = (stream.guessed_rate, stream.frame_rate, stream.average_rate)
    rate = next((rate for rate in rates if rate), _RATE_OF_UNTIMED)
    return Timestamps(np.arange(count, dtype=np.int64), 1 / rate, timed=False)


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
        return _numbered(len(shown), stream)
    ticks = np.unique(np.array(known, dtype=np.int64))
    if len(known) < len(shown) or start is None:
        raise bad_times(f"{len(shown) - len(known)} of its {len(shown)} frames have no time")
    if len(ticks) < _DISTINCT_SHARE * len(known):
        raise bad_times(f"its {len(known)} frames have only {len(ticks)} different times")
    return Timestamps(ticks[ticks >= start], stream.time_base)


def _true_rate(timestamps: Timestamps, stream: _Stream) -> Fraction:
    """A rate that the header gives and the timestamps agree with, else theirs.

    Gaps in a constant rate do not change it.
    """
    stated = [rate for rate in (stream.guessed_rate, stream.average_rate) if rate]
    steady = timestamps.steady_intervals()
    if steady is not None:
        return _steady_rate(steady, timestamps, stated)
    measured = timestamps.average_rate()
    if measured is None:
        return stated[0] if stated else _RATE_OF_UNTIMED
    rounding = Fraction(2, int(timestamps.ticks[-1] - timestamps.ticks[0]))
    for rate in stated:
        if abs(measured / rate - 1) < rounding + _SAME_RATE:
            return rate
    return measured.limit_denominator(1_000_000) or measured


def _steady_rate(
    steady: NDArray[np.int64], timestamps: Timestamps, stated: Sequence[Fraction]
) -> Fraction:
    """The rate of a file with gaps, from the intervals that agree: the header's is an average."""
    gaps = len(timestamps.ticks) - 1 - len(steady)
    span = int(steady.sum())
    measured = Fraction(len(steady), span) / timestamps.time_base
    rounding = Fraction(2 * (gaps + 1), span)  # of the two ends of each part between gaps
    near = min((*stated, *USUAL_RATES), key=lambda rate: abs(measured / rate - 1))
    if abs(measured / near - 1) < rounding + _SAME_RATE:
        return near
    return measured.limit_denominator(1_000_000) or measured
