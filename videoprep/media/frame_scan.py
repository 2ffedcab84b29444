"""What decoding every frame of a video shows: damage, and a few numbers a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.logging
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from videoprep.media.probe import best_video_stream, open_file

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WIDTH = 160
"""Pictures are looked at this small: what counts here is seen at a glance."""

_BINS = 32
_MOST_SHARPNESS = 4096.0

_LogLine = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class FrameScan:
    """What the frames of a video show.

    All arrays are uint8 ``[frames]``.

    Attributes:
        decoded: how many frames come out of a decoder.
        errors: how many times the decoder complained.
        first_error: its first complaint, or None.
        brightness: mean luma, 0 (black) to 255.
        contrast: standard deviation of the luma, in levels.
        change: mean difference of the luma from the frame before, in quarters of a level.
        jump: how much the histogram of colours differs from that of the frame before, 0 to 255.
        sharpness: variance of the luma's Laplacian on a logarithmic scale: 0 flat, 255 for 4096.
    """

    decoded: int
    errors: int
    first_error: str | None
    brightness: NDArray[np.uint8]
    contrast: NDArray[np.uint8]
    change: NDArray[np.uint8]
    jump: NDArray[np.uint8]
    sharpness: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write; `from_json` reads it back."""
        return {name: _packed(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FrameScan:
        """The inverse of `to_json`."""
        plain = ("decoded", "errors", "first_error")
        fields: Any = {k: v if k in plain else _unpacked(v) for k, v in data.items()}
        return cls(**fields)


def _packed(value: Any) -> Any:
    return base64.b64encode(value.tobytes()).decode() if isinstance(value, np.ndarray) else value


def _unpacked(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def scan_frames(path: Path) -> FrameScan:
    """Decodes every frame of the best video stream, one at a time.

    What the decoder says of damage is taken from FFmpeg's log: it conceals damaged blocks, and
    marks only some of the frames. Run this alone in its process.

    Raises:
        MediaError: the file holds no video.
        av.error.FFmpegError: the file cannot be opened.
    """
    gauge, complaints = _Gauge(), _Complaints()
    with _logged() as log, open_file(path) as container:
        stream = best_video_stream(container)
        stream.codec_context.thread_count = 1
        for packet in _readable(container.demux(stream), complaints):
            for frame in _frames(packet, complaints):
                gauge.add(frame)
            complaints.take(log)
    complaints.take(log)
    return gauge.result(complaints)


@contextmanager
def _logged() -> Iterator[list[_LogLine]]:
    """What FFmpeg says of errors meanwhile; repetitions, too, whichever file was the first."""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as log:
            yield log
    finally:
        av.logging.set_level(None)


def _readable(
    packets: Iterator[Packet[VideoStream]], complaints: _Complaints
) -> Iterator[Packet[VideoStream]]:
    """The packets up to the first that cannot be read."""
    try:
        yield from packets
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        complaints.add(str(error.strerror))


def _frames(packet: Packet[VideoStream], complaints: _Complaints) -> list[VideoFrame]:
    if packet.is_corrupt:
        complaints.add("a packet is cut off")
    if not packet.size and packet.dts is not None:
        return []  # an empty one shows the frame before once more; to a decoder it is the end
    try:
        frames = packet.decode()
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        complaints.add(str(error.strerror))
        return []
    for frame in frames:
        if frame.is_corrupt:
            complaints.add("a frame is damaged")
    return frames


class _Complaints:
    """How many there are, and the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first: str | None = None

    def add(self, text: str) -> None:
        self.count += 1
        self.first = self.first or text

    def take(self, log: list[_LogLine]) -> None:
        """Takes what is in a log out of it: a hostile file can fill it without end."""
        for level, _, text in log:
            if level <= av.logging.ERROR:
                self.add(text.strip())
        log.clear()


class _Gauge:
    """Measures one frame after the other; keeps the last one only."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()  # one for all frames: making one takes long
        self._measures: dict[str, bytearray] = {
            name: bytearray() for name in ("brightness", "contrast", "change", "jump", "sharpness")
        }
        self._before: NDArray[np.uint8] | None = None
        self._histogram: NDArray[np.float32] | None = None

    def add(self, frame: VideoFrame) -> None:
        width = min(_WIDTH, frame.width)
        height = max(1, round(frame.height * width / frame.width))
        reduced = self._scaler.reformat(frame, width, height, "bgr24", interpolation="AREA")
        small = cast("NDArray[np.uint8]", reduced.to_ndarray())
        luma = cast("NDArray[np.uint8]", cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        histogram = _histogram(small)
        self._put("brightness", float(luma.mean()))
        self._put("contrast", float(luma.std()))
        self._put("sharpness", _sharpness(luma))
        self._put("change", self._change(luma))
        self._put("jump", self._jump(histogram))
        self._before, self._histogram = luma, histogram

    def result(self, complaints: _Complaints) -> FrameScan:
        arrays = {k: np.frombuffer(bytes(v), dtype=np.uint8) for k, v in self._measures.items()}
        return FrameScan(
            decoded=len(self._measures["change"]),
            errors=complaints.count,
            first_error=complaints.first,
            **arrays,
        )

    def _put(self, name: str, value: float) -> None:
        self._measures[name].append(min(255, max(0, round(value))))

    def _change(self, luma: NDArray[np.uint8]) -> float:
        if self._before is None or self._before.shape != luma.shape:
            return 255.0
        return 4 * float(cv2.absdiff(self._before, luma).mean())

    def _jump(self, histogram: NDArray[np.float32]) -> float:
        if self._histogram is None:
            return 0.0
        distance = cv2.compareHist(self._histogram, histogram, cv2.HISTCMP_BHATTACHARYYA)
        return 255 * float(distance)


def _histogram(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Three histograms of `_BINS` bins side by side, each of sum one."""
    rows = [cv2.calcHist([picture], [n], None, [_BINS], [0, 256]) for n in range(3)]
    histogram = np.concatenate(rows).astype(np.float32)
    return cast("NDArray[np.float32]", histogram / histogram.sum())


def _sharpness(luma: NDArray[np.uint8]) -> float:
    variance = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    return float(255 * np.log1p(variance) / np.log1p(_MOST_SHARPNESS))
