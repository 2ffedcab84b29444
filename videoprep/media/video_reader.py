"""`VideoReader`: the frames of a video that are shown at given times, and what is wrong with them.

A reader goes forward through the file, and hands frames out as they come, so that memory does not
grow with the length of the video. Groups of pictures in which no frame is wanted are not decoded:
near ones are read past, far ones are sought. A jump is proven by the time of its first frame;
if that fails, the file is decoded from its beginning. One decoding thread a file: several give
different pixels of damaged frames from run to run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av

from videoprep.media.damage import DamageTracker, DecoderLog
from videoprep.media.edit_jumps import EditJumps
from videoprep.media.h264_units import heals_at_once
from videoprep.media.orientation import Orientation, display_matrix, from_display_matrix
from videoprep.media.probe import open_file, time_of

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Codecs whose key frames need nothing of what comes before them in the file. In others, palettes
# and headers may stand in the first packets alone.
_RESTARTABLE = {
    "h264", "hevc", "av1", "libdav1d", "libaom", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg1video",
    "mpeg2video", "mpeg4", "msmpeg4", "wmv1", "wmv2", "h263", "flv", "mjpeg", "prores", "dnxhd",
    "dvvideo", "ffv1", "huffyuv", "ffvhuff", "utvideo", "v210", "rawvideo", "jpeg2000", "theora",
}  # fmt: skip

# Containers in which FFmpeg guesses the times of frames from those before, as far as it has read.
_GUESSED_TIMES = ("mpeg",)

# Containers that may give B-frames the times of their packets.
_PACKET_TIMES = ("mxf", "asf")

# Seconds that are read past rather than sought: the packets of so many are quickly read.
_NEAR = 10

# Seconds before a wanted frame at which a key frame is looked for, each if the one before fails.
_BACK = (0, 2, 10, 60, 600)

# Compressed bytes that are held while the next key frame is looked for.
_HELD = 1 << 25


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """What has to be the same in all frames of a video."""

    size: str
    """As it is stored, such as ``320×192``."""
    pixel_format: str
    """FFmpeg's name."""
    color_tags: tuple[int, int, int, int]
    """Matrix, range, primaries and transfer, FFmpeg's numbers."""
    pixel_aspect: Fraction
    """Width of a pixel over its height; 1 where the file does not say."""
    interlaced: bool
    """Whether it consists of two fields."""
    orientation: Orientation
    """How it has to be turned to stand upright."""

    def difference(self, first: FrameFormat) -> str | None:
        """Say what differs from the first frame, or return None."""
        if self is first:
            return None
        for field in fields(self):
            own, its = getattr(self, field.name), getattr(first, field.name)
            if own != its:
                what = field.name.replace("_", " ")
                return f"{what} changes from {_shown(its)} to {_shown(own)}"
        return None


@lru_cache(maxsize=256)  # nearly all frames are alike
def _format(
    size: tuple[int, int],
    pixel_format: str,
    tags: tuple[int, int, int, int],
    aspect: Fraction | None,
    interlaced: bool,
    matrix: bytes | None,
) -> FrameFormat:
    space, span, primaries, transfer = map(int, tags)
    return FrameFormat(
        size=f"{size[0]}×{size[1]}",
        pixel_format=pixel_format,
        color_tags=(space, span, primaries, transfer),
        pixel_aspect=aspect or Fraction(1),
        interlaced=interlaced,
        orientation=from_display_matrix(matrix),
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return str(value)


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """A frame that was decoded."""

    frame: VideoFrame
    tick: int | None
    """When it is shown, in the stream's time base."""
    number: int
    """Its number among those decoded since the reader began at the beginning of the file."""
    damage: str | None
    """What the decoder complains of, if it does."""
    pixel_aspect: Fraction | None
    """Width of a pixel over its height; None if the file does not say."""

    @property
    def format(self) -> FrameFormat:
        """What has to be the same in all frames.

        Raises:
            MediaError: it is turned by something else than a multiple of 90°.
        """
        frame = self.frame
        tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
        size, matrix = (frame.width, frame.height), display_matrix(frame)
        return _format(
            size, frame.format.name, tags, self.pixel_aspect, frame.interlaced_frame, matrix
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """A packet, and what the container's reader complains of where it lies."""

    packet: Packet[VideoStream]
    complaints: list[str]


class _UnprovenError(Exception):
    """What is decoded after a jump is not what stands at that place in the file."""


class VideoReader:
    """Reads frames of one stream of a file. Close it, or use it in a ``with`` block.

    Args:
        path: the video.
        stream: index of the stream.

    Raises:
        av.error.FFmpegError: the file cannot be opened.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, stream: int) -> None:
        self._position: ReadFrame | None = None
        self._path, self._index = path, stream
        self._log = DecoderLog()
        self.complaints: list[str] = []
        """What is said at the end of what can be read: of frames that are lost."""
        self._seeks = True
        self._reordered = False
        self._in_vain: int | None = None  # no key frame is found before this time by seeking
        self._open()
        first = self._next(None)
        self.first = None if first is None else first.format
        """The format of the first frame; None if no frame decodes."""
        if first is not None:
            self._out.appendleft(first)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def at_time(self, tick: int) -> ReadFrame | None:
        """Return the frame that is shown at a time of the stream's time base, or None."""
        if self._position is not None and self._position.tick == tick:
            return self._position
        try:
            found = self._forward(tick, jumping=self._restartable)
            doubtful = self._jumped and (found is None or found.damage is not None)
        except (_UnprovenError, av.error.InvalidDataError):
            if not self._jumped:
                raise
            doubtful = True
        if doubtful:  # whether the jump is to blame shows when all is decoded
            self._reopen()
            found = self._forward(tick, jumping=False)
        return found

    def all_frames(self) -> Iterator[ReadFrame]:
        """Yield the frames from the position on."""
        while (frame := self._next(None)) is not None:
            self._position = frame
            yield frame

    def by_number(self, number: int) -> ReadFrame | None:
        """Return the frame of a number, counted from 0, or None."""
        if self._jumped or (self._position is not None and self._position.number > number):
            self._reopen()
        while self._position is None or self._position.number < number:
            frame = self._next(None)
            if frame is None:
                return None
            self._position = frame
        return self._position

    # --- going through the file --------------------------------------------------------------

    def _open(self) -> None:
        """Begin at the beginning."""
        self._container = open_file(self._path)
        self._stream = cast("VideoStream", self._container.streams[self._index])
        self._decoder: VideoCodecContext = self._stream.codec_context
        self._decoder.thread_count = 1
        self._jumps = EditJumps(self._container, self._decoder)
        container = self._container.format.name
        self._restartable = self._decoder.name in _RESTARTABLE and container not in _GUESSED_TIMES
        self._untrusted = container in _PACKET_TIMES
        self._jumped = False
        self._count = 0
        self._damage = DamageTracker()
        self._begin_reading()

    def _begin_reading(self) -> None:
        self._packets = self._container.demux(self._stream)
        self._held: deque[_Read] = deque()
        self._out: deque[ReadFrame] = deque()
        self._position = None
        self._ended = False
        self._read_to: int | None = None  # time of the last packet in the order of decoding
        self._start: int | None = None  # time of the key frame at which the decoder begins again
        self._shown: int | None = None  # time of the last frame that came out
        self._expected: int | None = None  # time of the frame that has to come out next

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _forward(self, tick: int, *, jumping: bool) -> ReadFrame | None:
        """Go on to the frame of a time; None if there is none."""
        if self._is_behind(tick) and not (jumping and self._seek(tick)):
            self._reopen()
        while True:
            frame = self._next(tick if jumping else None)
            self._position = frame
            if frame is None or frame.tick == tick:
                return frame
            if frame.tick is not None and frame.tick > tick:
                return None

    def _is_behind(self, tick: int) -> bool:
        """Whether the reader has passed a time."""
        position = self._position
        return position is not None and position.tick is not None and position.tick >= tick

    def _next(self, target: int | None) -> ReadFrame | None:
        """Decode the next frame, or the next after a part that ends before the target."""
        while not self._out:
            read = self._next_packet(target)
            if read is None:
                return None
            self._decode(read)
        return self._out.popleft()

    def _next_packet(self, target: int | None) -> _Read | None:
        if self._held or self._ended or target is None or not self._is_ahead(target):
            pass
        elif not (self._is_far(target) and self._seek(target)):
            self._hold_until(target)
        return self._held.popleft() if self._held else self._read()

    def _is_ahead(self, target: int) -> bool:
        return self._read_to is None or self._read_to < target

    def _is_far(self, target: int) -> bool:
        """Whether a target is better sought than read up to."""
        if self._in_vain is not None and target <= self._in_vain:
            return False
        return self._read_to is not None and target - self._read_to > self._ticks(_NEAR)

    def _hold_until(self, target: int, *, sought: bool = False) -> None:
        """Read up to a time; skip what comes before the last key frame until then.

        Args:
            target: the time.
            sought: whether to begin at a key frame even if nothing comes before it.
        """
        size = 0
        while size < _HELD and self._is_ahead(target):
            read = self._read()
            if read is None:
                return
            if (sought or self._held) and self._is_start(read.packet, target):
                self._begin_at(read)
                size = 0
            self._held.append(read)
            size += read.packet.size

    def _seek(self, target: int) -> bool:
        """Begin at the last key frame before a time; False if the file cannot be sought."""
        if not self._seeks:
            return False
        for back in _BACK:
            start = target - self._ticks(back)
            if start < (self._stream.start_time or 0):
                self._in_vain = max(target, self._in_vain or target)
                self._reopen()
                return True
            try:
                self._container.seek(start, stream=self._stream)
            except av.error.FFmpegError:
                break
            self._jumped = True
            self._begin_reading()
            self._hold_until(target, sought=True)
            if self._start is not None:
                return True
        self._seeks = False
        self._reopen()
        return False

    def _is_start(self, packet: Packet[VideoStream], target: int) -> bool:
        """Whether decoding can begin at a packet if only frames from a time on are wanted.

        Where B-frames have the times of their packets, a frame that is known by its time could be
        another.
        """
        if self._untrusted and self._decoder.has_b_frames and not self._reordered:
            return False
        sound = packet.is_keyframe and not packet.is_discard and not packet.is_corrupt
        return sound and packet.size > 0 and packet.pts is not None and packet.pts <= target

    def _begin_at(self, read: _Read) -> None:
        """Leave out what was read before a key frame.

        What is complained of there may concern the key frame, too: containers read several packets
        at a time. Whether it does shows when all is decoded.
        """
        read.complaints[:0] = [text for before in self._held for text in before.complaints]
        self._held.clear()
        self._start = read.packet.pts

    def _read(self) -> _Read | None:
        try:
            with self._log.listening():
                packet = next(self._packets, None)
        except av.error.FFmpegError:  # which says less than the container
            self.complaints += self._log.take()
            raise
        complaints = self._log.take()
        if packet is None:
            self._ended = True
            self.complaints += complaints
            return None
        if packet.is_corrupt:
            complaints.append("a packet is cut off")
        at = packet.pts if packet.dts is None else packet.dts
        self._reordered = self._reordered or packet.pts not in (None, at)
        self._read_to = self._read_to if at is None else at
        return _Read(packet, complaints)

    def _decode(self, read: _Read) -> None:
        packet = read.packet
        if self._start is not None:
            self._decoder.flush_buffers()
            self._damage.restart(self._start)
            self._out.clear()
            self._expected, self._start, self._jumped = self._start, None, True
        if not packet.size and packet.dts is not None:
            return  # an empty one shows the frame before once more; to a decoder it is the end
        complaints = list(read.complaints)
        with self._log.listening():
            frames = self._jumps.frames_before(packet)
            try:
                frames += packet.decode()
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError as error:
                complaints.append(str(error.strerror))
        complaints += self._log.take()
        if packet.size:
            heals = packet.is_keyframe and heals_at_once(packet, self._decoder)
            self._damage.add(packet.pts, heals, complaints, lost=bool(read.complaints))
        else:
            self.complaints += complaints
        for frame in frames:
            self._put(frame)

    def _put(self, frame: VideoFrame) -> None:
        tick = time_of(frame)
        if self._expected is not None:
            if tick is not None and tick < self._expected:
                return  # shown before the key frame, and decoded without what it refers to
            if tick != self._expected or not frame.key_frame:
                raise _UnprovenError
            self._expected = None
        elif self._jumped and tick is not None and self._shown is not None and tick < self._shown:
            raise _UnprovenError
        self._shown = tick
        damage = self._damage.of(tick, frame.is_corrupt)
        aspect = self._decoder.sample_aspect_ratio  # the container's own is the same for all
        self._out.append(ReadFrame(frame, tick, self._count, damage, aspect))
        self._count += 1

    def _ticks(self, seconds: int) -> int:
        return int(seconds / self._stream.time_base) if self._stream.time_base else 0
