"""What decoding all of a file's sound shows: how loud it is, what is clipped, what is damaged."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.media.audio import Samples, floats_of
from videoprep.media.audio_info import best_audio_stream, layout_of
from videoprep.media.contents import picture_format
from videoprep.media.damage import DecoderLog
from videoprep.media.probe import open_file

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

WINDOWS = 10
"""Stretches of a second, each of which is measured by itself."""

NOTHING = 255
"""The code of a level that is lower than any, and of a stretch without sound."""

_STEPS = 2  # a decibel
_FULL = 0.999  # of full scale: what three samples in a row are at is clipped
_RUN = 3
_MOST_WINDOWS = 24 * 60 * 60 * WINDOWS

# Seconds by which timestamps may differ from where samples follow each other; see `load_audio`.
_JUMP = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class SoundScan:
    """How loud sound is, a tenth of a second after the other, from its first sample on."""

    samples: int
    """How many come out of the decoder, of each channel."""
    sample_rate: int
    """Samples a second; 0 if there are none."""
    channels: int
    """How many channels; 0 if there are no samples."""
    complaint: str | None
    """What the decoder said first, or what else keeps the sound from being used; or None."""
    peak: NDArray[np.uint8]
    """Uint8 ``[stretches]``: the highest level, in half decibels below full scale."""
    loudness: NDArray[np.uint8]
    """Uint8 ``[stretches]``: the same of the root of the mean square over all channels."""
    clipped: NDArray[np.int32]
    """Int32 ``[stretches]``: samples of all channels that follow two others of their channel at
    full scale, and are there themselves."""

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        return {name: _packed(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SoundScan:
        """Return the inverse of `to_json`."""
        arrays = {
            name: np.frombuffer(base64.b64decode(data[name]), kind)
            for name, kind in (("peak", "u1"), ("loudness", "u1"), ("clipped", "<i4"))
        }
        return cls(**{**data, **arrays})

    def stretches(self, start: float, end: float) -> slice:
        """Return which stretches a time touches, in seconds from the first sample."""
        first, last = (round(seconds * WINDOWS, 6) for seconds in (start, end))
        return slice(max(0, int(np.floor(first))), max(0, int(np.ceil(last))))


def decibels(code: float) -> float:
    """Return what a code of a level stands for, in decibels: 0 is full scale."""
    return -code / _STEPS


def scan_sound(path: Path) -> SoundScan:
    """Decode the best audio stream of a file, a packet at a time.

    Returns:
        What it shows; of no samples, if there is no sound, as in a still image.

    Raises:
        av.error.FFmpegError: the file cannot be opened.
    """
    gauge = _SoundGauge()
    if picture_format(path) is not None:
        return gauge.result()
    with open_file(path) as container:
        stream = best_audio_stream(container, container.streams.best("video"))
        if stream is None:
            return gauge.result()
        if not stream.codec_context:
            gauge.complain("there is no decoder for its codec")
            return gauge.result()
        stream.codec_context.thread_count = 1
        for frame in _decoded(container, stream, gauge):
            if not gauge.add(frame):
                break
    return gauge.result()


def _decoded(
    container: InputContainer, stream: AudioStream, gauge: _SoundGauge
) -> Iterator[AudioFrame]:
    """Yield what decodes; the gauge is told what the decoder says."""
    packets = container.demux(stream)
    log = DecoderLog()
    while not gauge.has_given_up:
        with log.listening():
            frames = _next_frames(packets, gauge)
        for complaint in log.take():
            gauge.complain(complaint)
        if frames is None:
            return
        for frame in frames:
            if frame.is_corrupt:
                gauge.complain("a frame is damaged")
            yield frame


def _next_frames(
    packets: Iterator[Packet[AudioStream]], gauge: _SoundGauge
) -> list[AudioFrame] | None:
    """Decode the next packet; None if there is none."""
    try:
        packet = next(packets, None)
        if packet is None:
            return None
        if packet.is_corrupt:
            gauge.complain("a packet is cut off")
        return packet.decode()
    except av.error.MemoryError:
        raise
    except av.error.EOFError:
        return None
    except av.error.FFmpegError as error:
        gauge.fail(str(error.strerror))
        return []


# A file may fail so often without giving a sample in between.
_MOST_FAILURES = 1000


class _SoundGauge:
    """Measures one frame after the other; keeps three numbers of each stretch."""

    def __init__(self) -> None:
        self._codes = {"peak": bytearray(), "loudness": bytearray()}
        self._clipped: list[int] = []
        self._samples, self._rate, self._layout = 0, 0, ""
        self._channels = 0
        self._complaint: str | None = None
        self._failures = 0
        self._begin = 0.0  # of the first sample, on the file's clock
        self._next = 0.0  # where the next sample belongs, in seconds from the first
        self._window = 0  # the stretch that is open
        self._peak, self._squares, self._values, self._run = 0.0, 0.0, 0, 0
        self._at_full: NDArray[np.bool_] | None = None  # of the last samples

    @property
    def has_given_up(self) -> bool:
        """Whether nothing is to be had of the file."""
        return self._failures >= _MOST_FAILURES

    def complain(self, complaint: str) -> None:
        """Take note of what is wrong; the first counts."""
        self._complaint = self._complaint or complaint

    def fail(self, complaint: str) -> None:
        """Take note of a packet that does not decode."""
        self.complain(complaint)
        self._failures += 1

    def add(self, frame: AudioFrame) -> bool:
        """Measure the samples of the next frame; return whether more are wanted."""
        self._failures = 0
        layout = f"{frame.sample_rate} Hz {layout_of(frame)}"
        if not self._rate:
            self._rate, self._layout = frame.sample_rate, layout
            self._channels = frame.layout.nb_channels
            self._begin = _time(frame) or 0.0
        elif layout != self._layout:
            self.complain(f"it changes from {self._layout} to {layout}")
            self._layout, self._at_full = layout, None
        samples = floats_of(frame)
        if not np.isfinite(samples).all():
            self.complain("samples are not finite numbers")
            samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        self._place(frame)
        self._measure(samples, frame.sample_rate)
        self._samples += frame.samples
        if self._window >= _MOST_WINDOWS:
            self.complain("it lasts longer than a day: what follows is not looked at")
        return self._window < _MOST_WINDOWS

    def result(self) -> SoundScan:
        """Return what was found once all is added."""
        if self._values:
            self._close()
        return SoundScan(
            samples=self._samples,
            sample_rate=self._rate,
            channels=self._channels,
            complaint=self._complaint,
            peak=np.frombuffer(bytes(self._codes["peak"]), np.uint8),
            loudness=np.frombuffer(bytes(self._codes["loudness"]), np.uint8),
            clipped=np.array(self._clipped, "<i4"),
        )

    def _place(self, frame: AudioFrame) -> None:
        """Samples follow each other, but for gaps of the file's clock."""
        told = _time(frame)
        if told is None:
            return
        jump = told - self._begin - self._next
        if jump > _JUMP:
            self._next += jump
            self._at_full = None

    def _measure(self, samples: Samples, rate: int) -> None:
        levels = np.abs(samples)
        clipped = self._clipped_among(levels)
        done, count = 0, samples.shape[1]
        while done < count:
            # The edge of a stretch is that of a sample: 4410 of them at 44.1 kHz.
            window = max(self._window, int(self._next * WINDOWS + 1e-6))
            self._open(window)
            if self._window >= _MOST_WINDOWS:
                return
            room = max(1, round(((self._window + 1) / WINDOWS - self._next) * rate))
            part = slice(done, min(count, done + room))
            self._take(levels[:, part], clipped[:, part])
            self._next += (part.stop - done) / rate
            done = part.stop

    def _take(self, levels: Samples, clipped: NDArray[np.bool_]) -> None:
        self._peak = max(self._peak, float(levels.max(initial=0.0)))
        self._squares += float(np.square(levels, dtype=np.float64).sum())
        self._values += levels.size
        self._run += int(clipped.sum())

    def _clipped_among(self, levels: Samples) -> NDArray[np.bool_]:
        """Which samples are at full scale after two others that are; bool, as ``levels``."""
        at_full = levels >= _FULL
        before = self._at_full
        if before is None:
            before = np.zeros((len(levels), _RUN - 1), np.bool_)
        whole = np.concatenate([before, at_full], axis=1)
        self._at_full = whole[:, -(_RUN - 1) :]
        found: NDArray[np.bool_] = whole[:, :-2] & whole[:, 1:-1] & whole[:, 2:]
        return found

    def _open(self, window: int) -> None:
        """Go on to a stretch; those between have no sound."""
        if window == self._window:
            return
        self._close()
        while self._window < min(window, _MOST_WINDOWS):
            self._close()

    def _close(self) -> None:
        mean = self._squares / self._values if self._values else 0.0
        self._codes["peak"].append(_code(self._peak))
        self._codes["loudness"].append(_code(float(np.sqrt(mean))))
        self._clipped.append(self._run)
        self._peak, self._squares, self._values, self._run = 0.0, 0.0, 0, 0
        self._window += 1


def _time(frame: AudioFrame) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base)


def _code(level: float) -> int:
    """A level as half decibels below full scale."""
    if level <= 0:
        return NOTHING
    return int(min(NOTHING, max(0, round(-20 * _STEPS * float(np.log10(level))))))


def _packed(value: Any) -> Any:
    return base64.b64encode(value.tobytes()).decode() if isinstance(value, np.ndarray) else value
