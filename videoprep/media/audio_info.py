"""What is in a file's sound: its best stream, when that begins and how long it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_NO_DECODER = "there is no decoder for its codec"
_NO_SAMPLES = "no sample of it can be decoded"

# What FFmpeg takes so many channels for, in the order of their places.
_USUAL_LAYOUTS = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is in the sound of a video file."""

    stream: int
    """Index of the best audio stream, as FFmpeg chooses it."""
    streams: int
    """How many audio streams there are."""
    codec: str
    """FFmpeg's name of the codec; empty if it has none."""
    sample_rate: int
    """Samples a second as they are decoded; 0 if they are not."""
    channels: int
    """As they are decoded; 0 if they are not."""
    layout: str
    """FFmpeg's name of the channel layout, such as ``stereo`` or ``5.1(side)``."""
    start: Fraction
    """Seconds from the first frame of the picture to the first sample; negative if the sound begins
    earlier. Edit lists are applied, and what an encoder needs to get going does not count."""
    duration: Fraction | None
    """Seconds from the first sample to the end of the last packet; None if packets have no times.
    """
    error: str | None
    """Why the sound cannot be decoded, in words; None if it can, as far as its first samples tell.
    """

    @property
    def end(self) -> Fraction | None:
        """When it ends, on the clock of ``start``; None if packets have no times."""
        return None if self.duration is None else self.start + self.duration

    def since(self, time: Fraction) -> AudioInfo:
        """Return the same with ``start`` counted from a time on the file's clock."""
        return replace(self, start=self.start - time)

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        lasts = None if self.duration is None else str(self.duration)
        return {**asdict(self), "start": str(self.start), "duration": lasts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AudioInfo:
        """Return the inverse of `to_json`."""
        lasts = data["duration"]
        times = {
            "start": Fraction(data["start"]),
            "duration": None if lasts is None else Fraction(lasts),
        }
        return cls(**{**data, **times})


def best_audio_stream(
    container: InputContainer, related: Stream | None = None
) -> AudioStream | None:
    """Return the audio stream that FFmpeg's `av_find_best_stream` chooses, or None.

    Args:
        container: an open file.
        related: the video stream; a stream of the same program is preferred.
    """
    return cast("AudioStream | None", container.streams.best("audio", related=related))


def layout_of(frame: AudioFrame) -> str:
    """Return FFmpeg's name of a frame's channel layout.

    Files that only count their channels have the layout that FFmpeg, too, takes for granted.
    """
    count = frame.layout.nb_channels
    said = frame.layout.name
    return _USUAL_LAYOUTS.get(count, said) if said == f"{count} channels" else said


class AudioScan:
    """Follows the packets of a file's sound, also while those of its picture are read.

    Args:
        container: an open file, before its first packet is read.
        video: the stream of the picture; None if there is none.
    """

    def __init__(self, container: InputContainer, video: Stream | None) -> None:
        self._stream = best_audio_stream(container, video)
        self._streams = len(container.streams.audio)
        self._first: AudioFrame | None = None
        self._begin: Fraction | None = None
        self._end: int | None = None  # ticks: fractions take time, and a film has many packets

    def watch(self, container: InputContainer, video: Stream) -> Iterator[Packet[Any]]:
        """Yield the packets of the picture; take note of those of the sound."""
        sound = self._stream
        if sound is None:
            yield from container.demux(video)
            return
        for packet in container.demux(video, sound):
            if packet.stream is sound:
                self._add(cast("Packet[AudioStream]", packet))
            else:
                yield packet

    def read(self, container: InputContainer) -> None:
        """Take note of all packets of the sound."""
        if self._stream is not None:
            for packet in container.demux(self._stream):
                self._add(packet)

    def info(self) -> AudioInfo | None:
        """Return what was found once all packets are read; None if there is no audio stream.

        The file has to be open still. ``start`` is on the file's clock; see `AudioInfo.since`.
        """
        stream, first = self._stream, self._first
        if stream is None:
            return None
        codec, begin = stream.codec_context, self._begin
        ticks, base = self._end, stream.time_base
        end = None if ticks is None or base is None else ticks * base
        error = None if first is not None else _NO_SAMPLES if codec else _NO_DECODER
        return AudioInfo(
            stream=stream.index,
            streams=self._streams,
            codec=codec.codec.canonical_name if codec else "",
            sample_rate=first.sample_rate if first else 0,
            channels=first.layout.nb_channels if first else 0,
            layout=layout_of(first) if first else "",
            start=begin or Fraction(0),
            duration=None if begin is None or end is None else max(Fraction(0), end - begin),
            error=error,
        )

    def _add(self, packet: Packet[AudioStream]) -> None:
        if self._first is None and self._stream is not None and self._stream.codec_context:
            self._decode(packet)
        begin = packet.pts
        if begin is None or not packet.size or packet.is_discard:
            return
        end = begin + (packet.duration or 0)
        if self._end is None or end > self._end:
            self._end = end

    def _decode(self, packet: Packet[AudioStream]) -> None:
        """Decode until there is a frame. A damaged packet may come before it."""
        try:
            frames = packet.decode()
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            return
        if not frames:
            return
        self._first = frames[0]
        pts = self._first.pts if self._first.pts is not None else packet.pts
        if pts is not None and self._first.time_base:
            self._begin = pts * self._first.time_base
