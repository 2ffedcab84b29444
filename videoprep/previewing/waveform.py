"""The sound of a clip as a picture: how far its samples reach, from its first frame to its last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoprep.media.audio import Samples, Sound

COLUMNS = 1200
"""Parts of a clip's time, of each of which the least and the greatest sample are kept."""

_GROUND, _WAVE, _AXIS, _MARK, _NOTHING = (
    (36, 42, 51), (122, 180, 255), (70, 80, 94), (255, 214, 10), (24, 28, 34),
)  # fmt: skip
_CHANNEL = 44  # pixels of height


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """The sound of exactly a clip's frames, drawn over their time."""

    low: Samples
    """Float32 ``[channels, columns]``: the least sample of each part of the clip's time."""
    high: Samples
    """The greatest; both are 0 where there is no sound."""
    there: tuple[float, float]
    """From where to where there is sound, as shares of the clip's time."""
    sample_rate: int
    """Samples a second, as the file has them."""
    layout: str
    """FFmpeg's name of the channel layout, such as ``stereo``."""
    state: str
    """Whether there is sound throughout, in words; see `Sound.state`."""

    @classmethod
    def of(cls, sound: Sound, columns: int = COLUMNS) -> Waveform:
        """Return the waveform of a clip's sound.

        Args:
            sound: with silence for what is missing, so that its samples span the clip.
            columns: how many parts the time is cut into; fewer, if there are fewer samples.
        """
        samples = sound.samples
        count = samples.shape[1]
        starts = np.linspace(0, count, min(columns, max(1, count)), endpoint=False).astype(np.int64)
        edges = (sound.late / max(1, sound.count), 1 - sound.early / max(1, sound.count))
        empty = not count
        return cls(
            low=np.zeros((1, 1), np.float32)
            if empty
            else np.minimum.reduceat(samples, starts, axis=1),
            high=np.zeros((1, 1), np.float32)
            if empty
            else np.maximum.reduceat(samples, starts, axis=1),
            there=(0.0, 0.0) if sound.is_none else edges,
            sample_rate=sound.sample_rate,
            layout=sound.layout,
            state=sound.state,
        )

    def __str__(self) -> str:
        """What is said of it: ``stereo, 48,000 Hz``, and what is missing."""
        missing = "" if self.state == "complete" else f", {self.state}"
        return f"{self.layout}, {self.sample_rate:,} Hz{missing}"

    def draw(self, width: int, marks: Sequence[float] = ()) -> NDArray[np.uint8]:
        """Draw it, the channels one below the other; full scale is the height of a channel.

        Args:
            width: pixels.
            marks: shares of the clip's time at which a line is drawn, such as those of frames.

        Returns:
            Uint8 RGB ``[H, width, 3]``.
        """
        drawn = np.concatenate([self._channel(n, width) for n in range(len(self.low))])
        for mark in marks:
            drawn[:, min(width - 1, int(mark * width))] = _MARK
        return drawn

    def _channel(self, channel: int, width: int) -> NDArray[np.uint8]:
        at = np.arange(width) * self.low.shape[1] // width
        # Several columns of the wave may fall into one pixel: none of their peaks is lost.
        low, high = (
            reach.reduceat(values[channel], np.unique(at))[np.searchsorted(np.unique(at), at)]
            for reach, values in ((np.minimum, self.low), (np.maximum, self.high))
        )
        rows = np.arange(_CHANNEL)[:, None]
        top, bottom = (_row(values)[None] for values in (high, low))
        picture = np.full((_CHANNEL, width, 3), _GROUND, np.uint8)
        share = (np.arange(width) + 0.5) / width
        picture[:, (share < self.there[0]) | (share > self.there[1])] = _NOTHING
        picture[_CHANNEL // 2] = _AXIS
        picture[(rows >= top) & (rows <= bottom)] = _WAVE
        picture[-1] = _NOTHING
        return picture


def _row(level: Samples) -> NDArray[np.int64]:
    """The row of pixels at which a level lies: full scale is the first, minus that the last."""
    half = (_CHANNEL - 2) / 2
    row: NDArray[np.int64] = np.rint(half - np.clip(level, -1, 1) * half).astype(np.int64)
    return row
