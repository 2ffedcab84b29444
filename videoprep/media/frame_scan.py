"""What decoding every frame of a video shows: damage, changes, and a few numbers a picture."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from videoprep.media.contents import picture_format
from videoprep.media.probe import best_video_stream, open_file
from videoprep.media.still_image import load_still
from videoprep.media.video_reader import FrameFormat, ReadFrame, VideoReader

_WIDTH = 160
"""Pictures are looked at this small: what counts here is seen at a glance."""

_CHANGE_STEPS = 4  # a level

_BINS = 32
_MOST_SHARPNESS = 4096.0

_CHANGES = 3  # that are named
_AT_FRAME = "at frame "


@dataclass(frozen=True, slots=True)
class FrameScan:
    """What the frames of a video show.

    All arrays are uint8 ``[frames]``.

    Attributes:
        decoded: how many frames come out of a decoder.
        damaged: the numbers of frames that are damaged, from 0.
        complaint: what the decoder said of the first, or of the part that cannot be read; or None.
        changes: the frames at which size, pixel format, colour tags, pixel aspect, fields or
            orientation change, and how; the first few.
        brightness: mean luma, 0 (black) to 255.
        contrast: standard deviation of the luma, in levels.
        change: mean difference of the luma from the frame before, in quarters of a level.
        jump: how much the histogram of colours differs from that of the frame before, 0 to 255.
        sharpness: variance of the luma's Laplacian on a logarithmic scale: 0 flat, 255 for 4096.
    """

    decoded: int
    damaged: tuple[int, ...]
    complaint: str | None
    changes: tuple[str, ...]
    brightness: NDArray[np.uint8]
    contrast: NDArray[np.uint8]
    change: NDArray[np.uint8]
    jump: NDArray[np.uint8]
    sharpness: NDArray[np.uint8]

    def part(self, frames: range) -> FrameScan:
        """Return the same of some frames that follow each other; the numbers stay the file's.

        For example, of the frames 100 to 200 with a change of size at frame 90, and with frame 150
        damaged: no change, and frame 150 damaged. A complaint that no damaged frame comes with
        stays only if frames are missing.
        """
        damaged = tuple(number for number in self.damaged if number in frames)
        decoded = len(range(self.decoded)[frames.start : frames.stop])
        is_silent = not damaged and decoded == len(frames)
        cut = slice(frames.start, frames.stop)
        return FrameScan(
            decoded=decoded,
            damaged=damaged,
            complaint=None if is_silent else self.complaint,
            changes=tuple(text for text in self.changes if _changed_at(text) in frames[1:]),
            brightness=self.brightness[cut],
            contrast=self.contrast[cut],
            change=self.change[cut],
            jump=self.jump[cut],
            sharpness=self.sharpness[cut],
        )

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write; `from_json` reads it back."""
        return {name: _packed(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FrameScan:
        """The inverse of `to_json`."""
        lists = {name: tuple(data[name]) for name in ("damaged", "changes")}
        plain = {"decoded": data["decoded"], "complaint": data["complaint"], **lists}
        fields: Any = plain | {k: _unpacked(v) for k, v in data.items() if k not in plain}
        return cls(**fields)


def count_still(change: NDArray[np.uint8], limit: float) -> int:
    """Return how many frames differ from the one before by less than a limit.

    Args:
        change: see `FrameScan.change`.
        limit: in levels of luma.
    """
    return int((change < _CHANGE_STEPS * limit).sum())


def _changed_at(text: str) -> int:
    """Return the frame of one of `FrameScan.changes`."""
    return int(text.removeprefix(_AT_FRAME).partition(" ")[0])


def _packed(value: Any) -> Any:
    return base64.b64encode(value.tobytes()).decode() if isinstance(value, np.ndarray) else value


def _unpacked(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def scan_frames(path: Path) -> FrameScan:
    """Decodes every frame of the best video stream, one at a time; of a still image the only one.

    Raises:
        MediaError: the file holds no video.
        av.error.FFmpegError: the file cannot be opened.
    """
    gauge, findings = _Gauge(), _Findings()
    if picture_format(path) is not None:
        gauge.add(VideoFrame.from_ndarray(load_still(path), format="rgb24"))
        return gauge.result(findings)
    with open_file(path) as container:
        stream = best_video_stream(container).index
    with VideoReader(path, stream) as reader:
        ended: list[str] = []
        try:
            for frame in reader.all_frames():
                gauge.add(frame.frame)
                findings.add(frame)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:  # what follows cannot be read
            ended.append(str(error.strerror))
        for complaint in (*reader.complaints, *ended):
            findings.complain(complaint)
    return gauge.result(findings)


class _Findings:
    """What is wrong with frames, beside what they show."""

    def __init__(self) -> None:
        self.damaged: list[int] = []
        self.complaint: str | None = None
        self.changes: list[str] = []
        self._format: FrameFormat | None = None

    def complain(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint

    def add(self, frame: ReadFrame) -> None:
        if frame.damage is not None:
            self.damaged.append(frame.number)
            self.complain(frame.damage)
        difference = frame.format.difference(self._format) if self._format else None
        if difference is not None and len(self.changes) < _CHANGES:
            self.changes.append(f"{_AT_FRAME}{frame.number} the {difference}")
        self._format = frame.format


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

    def result(self, findings: _Findings) -> FrameScan:
        arrays = {k: np.frombuffer(bytes(v), dtype=np.uint8) for k, v in self._measures.items()}
        return FrameScan(
            decoded=len(self._measures["change"]),
            damaged=tuple(findings.damaged),
            complaint=findings.complaint,
            changes=tuple(findings.changes),
            **arrays,
        )

    def _put(self, name: str, value: float) -> None:
        self._measures[name].append(min(255, max(0, round(value))))

    def _change(self, luma: NDArray[np.uint8]) -> float:
        if self._before is None or self._before.shape != luma.shape:
            return 255.0
        return _CHANGE_STEPS * float(cv2.absdiff(self._before, luma).mean())

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
