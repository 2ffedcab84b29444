"""The sound of a clip: which samples belong to its frames, and decoding exactly those.

Times are seconds on the file's own clock, that of its timestamps: the picture and the sound share
it, and edit lists are applied to it. Time is not stretched. A clip at another rate than its file's,
or a time lapse, has the sound of the time that its frames span in the file.

For example, 49 frames at 24 fps whose first has the tick 44800 at 12800 ticks a second are those
from 3.5 s to 3.5 + 49/24 s. At 48 kHz they have the samples 168000 to 265999 of the file's clock,
which are 98000 = 49/24 · 48000. If the sound begins at 3.6 s, 4800 of them are missing: it starts
0.1 s late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.media.audio_info import best_audio_stream, layout_of
from videoprep.media.audio_mix import mixed, resampled
from videoprep.media.damage import DecoderLog
from videoprep.media.decode import FrameChoice, decode_failed, raise_meaning
from videoprep.media.probe import open_file, probe_contents

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

SAMPLES = "PyAV's float32, resampled by FFmpeg, silence for what is missing"
"""How samples are made for an encoder; part of every recipe of sound."""

MOST_MISSING = Fraction(1, 10)
"""Seconds that the sound of a clip may lack at its ends: encoders end it at a whole packet."""

MOST_CHANNELS = 8
"""Channels that sound may have."""
MOST_RATE = 192_000
"""Samples a second that sound may have as it is; what has more is resampled."""

Channels = Literal[1, 2]
"""Mono or stereo."""

AudioTimes = tuple[Fraction, Fraction]
"""From when to before when, in seconds on the file's clock."""

Samples = NDArray[np.float32]
"""Float32 ``[channels, samples]``, full scale from −1 to 1."""

_LAYOUTS: dict[Channels, str] = {1: "mono", 2: "stereo"}

# Seconds around a clip that are resampled with it, so that its edges have their neighbours.
_MARGIN = Fraction(1, 20)

# A difference by which FFmpeg's aresample=async=1 fills a gap or drops what overlaps. Timestamps
# that differ by less are rounded or jitter: samples follow each other.
_JUMP = Fraction(1, 10)
# The same behind a packet that gave no samples.
_JUMP_AFTER_LOSS = Fraction(1, 500)
# A clock that goes back by more starts again.
_RESTART = Fraction(1, 2)

# Sound that lacks less at its beginning or end is complete: many containers count milliseconds.
_ROUNDED = Fraction(1, 1000)

# Seconds of sound that are decoded from the beginning rather than sought.
_NEAR = 10
# Seconds before a clip at which decoding begins, each if the one before fails.
_BACK = (1, 5, 30)
# A decoder needs so many seconds until what it gives is what it gives from the beginning.
_SETTLE = Fraction(1, 5)

# Codecs whose packets need nothing but those shortly before them, and containers whose timestamps
# are told and not estimated after a jump.
_RESTARTABLE = (
    "aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "pcm_",
)  # fmt: skip
_SEEKABLE = ("mov", "matroska", "mpegts", "flv", "wav", "w64", "flac", "mxf", "nut")


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The sound of a clip, as far as there is any."""

    samples: Samples
    """What there is: from where the sound begins to where it ends, or with silence around it if
    that was asked for."""
    sample_rate: int
    """Samples a second; 0 if there are none and no rate was asked for."""
    layout: str
    """FFmpeg's name of the channel layout, such as ``stereo``; empty if nothing says so."""
    count: int
    """How many samples the clip's time has at that rate."""
    late: int
    """Samples from the beginning of the clip to the first that there is."""
    early: int
    """Samples from behind the last that there is to the end of the clip."""
    silence: int
    """Samples of silence that stand where the file has none in between."""
    damage: str | None
    """What the decoder complains of, if it does."""

    @property
    def is_none(self) -> bool:
        """Whether there is no sound: no audio stream, or none at this time."""
        return self.late + self.early >= self.count

    @property
    def is_complete(self) -> bool:
        """Whether there is sound from the beginning of the clip to its end."""
        return not self.late and not self.early and not self.is_none

    @property
    def state(self) -> str:
        """Whether there is sound, in words: ``complete``, ``none``, or what is missing."""
        if self.is_none:
            return "none"
        missing = []
        if self.late:
            missing.append(f"starts {self.late / self.sample_rate:.3f} s late")
        if self.early:
            missing.append(f"ends {self.early / self.sample_rate:.3f} s early")
        return ", ".join(missing) or "complete"


def sample_count(times: AudioTimes, sample_rate: int) -> int:
    """Return how many samples a clip has: its length in samples, rounded half up."""
    return _rounded((times[1] - times[0]) * sample_rate)


def times_of(frames: FrameChoice, rate: Fraction) -> AudioTimes:
    """Return the time that frames span in their file.

    Args:
        frames: the planned frames. If the file does not tell when they are shown, it is opened.
        rate: frames a second at which they are taken.

    Raises:
        MediaError: the file cannot be opened, or has no such frame.
    """
    start = frames.start
    if start is None:
        start = time_of_frame(frames.path, int(frames.indices[0]))
    return start, start + len(frames.indices) / rate


def time_of_frame(path: Path, number: int) -> Fraction:
    """Return when a frame is shown, of a file whose decoder does not tell.

    The file is probed. Where its sound begins tells where its picture does.

    Returns:
        Seconds on the file's clock.

    Raises:
        MediaError: the file cannot be opened, or has no such frame.
    """
    info = probe_contents(path, "-")
    stamps = info.timestamps
    if number >= info.frames:
        raise decode_failed(path, f"frame {number} is missing")
    since_first = int(stamps.ticks[number] - stamps.ticks[0]) * stamps.time_base
    if info.audio is None:
        return since_first
    with open_file(path) as container:
        stream = best_audio_stream(container, container.streams[info.stream])
        for frame in container.decode(stream) if stream is not None else ():
            if frame.pts is not None and frame.time_base is not None:
                begin: Fraction = frame.pts * frame.time_base
                return begin - info.audio.start + since_first
    return since_first


def load_audio(
    path: Path,
    times: AudioTimes,
    sample_rate: int | None = None,
    channels: Channels | None = None,
    *,
    pad: bool = False,
    allow_damaged: bool = False,
) -> Sound:
    """Decode the sound of a clip.

    The best audio stream is taken, as FFmpeg chooses it. Mono becomes stereo by repeating it,
    stereo becomes mono as the mean; more channels are mixed by FFmpeg to stereo, unscaled as it
    does with floats, so that loud passages may exceed 1. Gaps of more than 0.1 s are filled with
    silence.

    Args:
        path: the file.
        times: which part of it; see `times_of`.
        sample_rate: samples a second that are wanted; None: the file's own, up to `MOST_RATE`.
        channels: how many are wanted; None: as many as there are.
        pad: whether to put silence where there is no sound, so that all samples are given.
        allow_damaged: whether to take damaged sound, and say so.

    Raises:
        MediaError: with `Code.DECODE_FAILED` if the sound does not decode, has more than
            `MOST_CHANNELS`, or its clock starts again; with `Code.DAMAGED_SOUND` or
            `Code.CHANGES_MIDWAY` as they say.
        SourceError: the file cannot be read.
    """
    try:
        track = _read(path, times, sample_rate)
    except Exception as error:
        raise_meaning(path, error)
        raise
    if track is not None and track.damage is not None and not allow_damaged:
        raise damaged_sound(path, track.damage)
    return _sound(track, times, sample_rate, channels, pad=pad)


def damaged_sound(path: Path, what: str) -> MediaError:
    """Return the error for a clip whose sound is damaged."""
    return MediaError(
        f"its sound is damaged (the decoder says: {what})",
        code=Code.DAMAGED_SOUND,
        where=str(path),
        remedy="copy or download the file again, or take damaged sound with `allow_damaged`",
    )


# --- planning ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """Which samples of a file are decoded for a clip, and what is kept once they are resampled.

    Positions are counted in the file's samples from the time 0 of its clock.
    """

    begin: int
    """The first sample that is decoded."""
    first: int
    """The clip's first sample."""
    last: int
    """What follows the clip's last sample."""
    end: int
    """What follows the last sample that is decoded."""
    lead: int
    """Samples before the clip's first, at the wanted rate."""
    count: int
    """The clip's samples at the wanted rate."""


def plan_samples(times: AudioTimes, source_rate: int, rate: int) -> SampleWindow:
    """Return which samples a clip needs.

    What is resampled begins where a sample of the file and one of the result are at the same time:
    from 44100 to 16000 Hz, whole blocks of 441 samples before the clip's first, each of which
    becomes 160 samples.
    """
    count = sample_count(times, rate)
    first = _rounded(times[0] * source_rate)
    if rate == source_rate:
        return SampleWindow(first, first, first + count, first + count, 0, count)
    common = gcd(source_rate, rate)
    margin = ceil(_MARGIN * source_rate)
    blocks = -(-margin // (source_rate // common))
    return SampleWindow(
        begin=first - blocks * (source_rate // common),
        first=first,
        last=first + count * source_rate // rate,
        end=first + -(-count * source_rate // rate) + margin,
        lead=blocks * (rate // common),
        count=count,
    )


def _rounded(value: Fraction) -> int:
    """Half up, whatever the sign."""
    return floor(value + Fraction(1, 2))


# --- reading -------------------------------------------------------------------------------------


class _UnprovenJumpError(Exception):
    """After a jump it is not known where in time the decoder is."""


class _Track:
    """Decoded samples at their places in the file's time.

    Attributes:
        rate: samples a second; 0 before the first frame.
        layout: of the channels.
        data: `Samples` of the window; zeros where there is no sound.
        window: which those are.
        parts: from where to where there is sound in it, in order, and apart.
        damage: the first complaint about the clip's own time.
    """

    def __init__(self, path: Path, times: AudioTimes, rate: int | None) -> None:
        self.rate, self.layout = 0, ""
        self.data: Samples = np.zeros((0, 0), np.float32)
        self.window = SampleWindow(0, 0, 0, 0, 0, 0)
        self.parts: list[tuple[int, int]] = []
        self.damage: str | None = None
        self._path, self._times, self._wanted_rate = path, times, rate
        self._next: int | None = None  # where the next frame belongs if it follows the last
        self._filled: int | None = None  # up to where there are samples
        self._lost = False
        self._ended = False

    @property
    def is_full(self) -> bool:
        """Whether nothing that follows is wanted."""
        return self._ended or (self._next is not None and self._next >= self.window.end)

    def complain(self, packet: Packet[AudioStream], complaint: str) -> None:
        """Take note of a packet that is damaged; what it lacks is not closed up."""
        self._lost = True
        base, begin = packet.time_base, packet.pts
        if base is not None and begin is not None:
            # Blocks overlap: one that is damaged spoils the next.
            end = (begin + 2 * (packet.duration or 0)) * base
            if end <= self._times[0] or begin * base >= self._times[1]:
                return
        self.damage = self.damage or complaint

    def put(self, frame: AudioFrame) -> None:
        """Take the samples of the next frame."""
        layout = layout_of(frame)
        if (frame.sample_rate, layout) != (self.rate, self.layout):
            self._change(frame, layout)
            if self._ended:
                return
        place = self._place(frame)
        begin = place if self._filled is None else max(place, self._filled)
        self._next = place + frame.samples
        self._filled = max(begin, self._next)
        window = self.window
        start, end = max(begin, window.begin), min(place + frame.samples, window.end)
        if start < end:
            part = floats_of(frame)[:, start - place : end - place]
            self.data[:, start - window.begin : end - window.begin] = part
            self._cover(start, end)

    def _change(self, frame: AudioFrame, layout: str) -> None:
        """Begin with sound of another kind, if none of the clip's has come yet."""
        if self._has_begun():
            begin = None if frame.pts is None else frame.pts * (frame.time_base or 0)
            if begin is not None and begin >= self._times[1]:
                self._ended = True
                return
            raise self._changed(frame, layout)
        channels = frame.layout.nb_channels
        if channels > MOST_CHANNELS:
            raise decode_failed(
                self._path, f"its sound has {channels} channels, more than {MOST_CHANNELS}"
            )
        self.rate, self.layout = frame.sample_rate, layout
        wanted = self._wanted_rate or min(self.rate, MOST_RATE)
        self.window = plan_samples(self._times, self.rate, wanted)
        size = self.window.end - self.window.begin
        self.data = np.zeros((channels, size), np.float32)
        self.parts.clear()
        self._next = self._filled = None

    def _has_begun(self) -> bool:
        return any(end > self.window.first for _, end in self.parts)

    def _changed(self, frame: AudioFrame, layout: str) -> MediaError:
        old, new = f"{self.rate} Hz {self.layout}", f"{frame.sample_rate} Hz {layout}"
        return MediaError(
            f"the sound changes within the clip from {old} to {new}",
            code=Code.CHANGES_MIDWAY,
            where=str(self._path),
            remedy="cut the video where it changes, or choose a range before that",
        )

    def _place(self, frame: AudioFrame) -> int:
        """Where a frame's first sample lies: behind the one before, or where its time says."""
        told = None
        if frame.pts is not None and frame.time_base is not None:
            told = _rounded(frame.pts * frame.time_base * self.rate)
        follows, lost, self._lost = self._next, self._lost, False
        if told is None or follows is None:
            return told if told is not None else follows or 0
        jump = told - follows
        if -jump > _RESTART * self.rate:
            raise decode_failed(
                self._path, f"the clock of its sound starts again at {follows / self.rate:.2f} s"
            )
        slack = (_JUMP_AFTER_LOSS if lost else _JUMP) * self.rate
        return told if abs(jump) > slack else follows

    def _cover(self, start: int, end: int) -> None:
        if self.parts and self.parts[-1][1] == start:
            start = self.parts.pop()[0]
        self.parts.append((start, end))


def _read(path: Path, times: AudioTimes, rate: int | None) -> _Track | None:
    """Decode what a clip needs; None if the file has no audio stream."""
    for back in _BACK:
        try:
            return _read_from(path, times, rate, times[0] - back)
        except (_UnprovenJumpError, av.error.FFmpegError):
            continue
    return _read_from(path, times, rate, None)


def _read_from(
    path: Path, times: AudioTimes, rate: int | None, begin: Fraction | None
) -> _Track | None:
    """Decode from a time on, or from the beginning, as it is if the time is near to that.

    Raises:
        _UnprovenJumpError: it is not certain where a jump led to.
    """
    with open_file(path) as container:
        stream = best_audio_stream(container, container.streams.best("video"))
        if stream is None:
            return None
        if not stream.codec_context:
            raise decode_failed(path, "there is no decoder for the codec of its sound")
        stream.codec_context.thread_count = 1
        if begin is not None and not _seek(container, stream, begin):
            begin = None
        track = _Track(path, times, rate)
        packets = cast("Iterator[Packet[AudioStream]]", container.demux(stream))
        _decode(track, packets, None if begin is None else times[0] - _SETTLE)
        return track


def _seek(container: InputContainer, stream: AudioStream, begin: Fraction) -> bool:
    """Go to the last packet before a time, if that is safe in such a file and worth it."""
    formats = container.format.name.split(",")
    codec = stream.codec_context.codec.canonical_name
    told = any(name in _SEEKABLE for name in formats)
    if stream.time_base is None or not told or not codec.startswith(_RESTARTABLE):
        return False
    if begin - (stream.start_time or 0) * stream.time_base < _NEAR:
        return False
    container.seek(floor(begin / stream.time_base), stream=stream)
    return True


def _decode(track: _Track, packets: Iterator[Packet[AudioStream]], until: Fraction | None) -> None:
    """Give a track the samples of packets until it is full.

    Args:
        track: takes them.
        packets: those of one stream.
        until: after a jump, the time until which the first has to come; None from the beginning.
    """
    log = DecoderLog()
    while not track.is_full:
        with log.listening():
            packet = next(packets, None)
        complaints = log.take()
        if packet is None:
            return
        if packet.is_corrupt:
            complaints.append("a packet is cut off")
        frames: list[AudioFrame] = []
        with log.listening():
            try:
                frames = packet.decode()
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError as error:
                complaints.append(str(error.strerror))
        complaints += log.take()
        if any(frame.is_corrupt for frame in frames):
            complaints.append("a frame is damaged")
        if until is not None and frames:
            _require_proof(frames[0], until)
            until = None
        if complaints:
            track.complain(packet, complaints[0])
        for frame in frames:
            track.put(frame)


def _require_proof(frame: AudioFrame, until: Fraction) -> None:
    if frame.pts is None or frame.time_base is None or frame.pts * frame.time_base > until:
        raise _UnprovenJumpError


def floats_of(frame: AudioFrame) -> Samples:
    """Return a frame's samples, scaled as FFmpeg does it."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    floats: Samples = values.astype(np.float32)
    if values.dtype == np.uint8:
        floats = (floats - np.float32(128)) / np.float32(128)
    elif np.issubdtype(values.dtype, np.integer):
        floats = floats / np.float32(2.0 ** (8 * values.dtype.itemsize - 1))
    return floats


# --- from what is read to what is wanted ---------------------------------------------------------


def _sound(
    track: _Track | None,
    times: AudioTimes,
    rate: int | None,
    channels: Channels | None,
    *,
    pad: bool,
) -> Sound:
    if track is None or not track.rate:
        count = sample_count(times, rate or 0)
        layout = _LAYOUTS[channels] if channels else ""
        damage = None if track is None else track.damage
        samples = _silence(channels or 1, count if pad else 0)
        return Sound(samples, rate or 0, layout, count, count, 0, 0, damage)
    window, wanted = track.window, rate or min(track.rate, MOST_RATE)
    count = window.count
    late, early, silence = (_rounded(Fraction(n * wanted, track.rate)) for n in _missing(track))
    if late + early >= count:
        layout = _LAYOUTS[channels] if channels else track.layout
        samples = _silence(channels or len(track.data), count if pad else 0)
        return Sound(samples, wanted, layout, count, count, 0, 0, track.damage)
    slack = floor(_ROUNDED * wanted)
    late, early = late if late > slack else 0, early if early > slack else 0
    data, layout = _wanted(track, wanted, channels)
    samples = data[:, window.lead : window.lead + count]
    if not pad:
        samples = samples[:, late : count - early]
    return Sound(samples, wanted, layout, count, late, early, silence, track.damage)


def _wanted(track: _Track, rate: int, channels: Channels | None) -> tuple[Samples, str]:
    """Mix down before resampling, and repeat mono after it, so that least is resampled."""
    data, layout = mixed(track.data, track.layout, track.rate, channels)
    data = resampled(data, layout, track.rate, rate)
    short = track.window.lead + track.window.count - data.shape[1]
    if short > 0:
        data = np.pad(data, ((0, 0), (0, short)))
    if channels == 2 and len(data) == 1:
        return np.repeat(data, 2, axis=0), _LAYOUTS[2]
    return data, layout


def _missing(track: _Track) -> tuple[int, int, int]:
    """How many of the clip's samples there are not: at its beginning, at its end, in between."""
    first, last = track.window.first, track.window.last
    parts = [
        (max(start, first), min(end, last))
        for start, end in track.parts
        if start < last and end > first
    ]
    if not parts:
        return last - first, 0, 0
    begin, end = parts[0][0], parts[-1][1]
    held = sum(stop - start for start, stop in parts)
    return begin - first, last - end, end - begin - held


def _silence(channels: int, count: int) -> Samples:
    return np.zeros((channels, count), np.float32)
