"""Channels and sample rates: mixing and resampling by FFmpeg's libswresample."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

_Samples = NDArray[np.float32]


def mixed(samples: _Samples, layout: str, rate: int, channels: int | None) -> tuple[_Samples, str]:
    """Mix channels down; mono is left as it is.

    Stereo becomes mono as the mean of both: FFmpeg, which scales floats by 0.71 instead, would make
    it louder than the same sound on two channels.

    Args:
        samples: float32 ``[channels, samples]``.
        layout: FFmpeg's name of their layout.
        rate: samples a second.
        channels: 1, 2, or None to keep all.

    Returns:
        The samples and their layout.

    Raises:
        ValueError: FFmpeg cannot mix channels of this layout.
    """
    if channels is None or len(samples) <= channels:
        return samples, layout
    if len(samples) > 2:
        samples, layout = _converted(samples, layout, rate, "stereo", rate), "stereo"
    if channels == 1:
        mean: _Samples = (samples[:1] + samples[1:]) * np.float32(0.5)
        return mean, "mono"
    return samples, layout


def resampled(samples: _Samples, layout: str, rate: int, wanted: int) -> _Samples:
    """Return the samples at another rate; the first stays the first."""
    return samples if rate == wanted else _converted(samples, layout, rate, layout, wanted)


def _converted(samples: _Samples, layout: str, rate: int, to: str, wanted: int) -> _Samples:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    converter = av.AudioResampler(format="fltp", layout=to, rate=wanted)
    frames = [*converter.resample(frame), *converter.resample(None)]
    return np.concatenate([one.to_ndarray() for one in frames], axis=1)
