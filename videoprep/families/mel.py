"""Mel spectrograms on Slaney's scale, as torchaudio computes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Slaney's scale: a mel is 200 / 3 Hz up to 1 kHz; above, 27 mels multiply the frequency by 6.4.
_LINEAR = 200.0 / 3
_BREAK = 1000.0
_LOG_STEP = math.log(6.4) / 27.0


@dataclass(frozen=True, slots=True)
class MelSpectrogram:
    """The magnitudes of a short-time Fourier transform in bands of equal area, from 0 Hz up.

    The same to the bit as torchaudio's with ``norm`` and ``mel_scale`` ``slaney``, ``power`` 1, a
    Hann window of ``n_fft`` samples and reflected ends; torchaudio itself is not needed.
    """

    sample_rate: int
    """Samples a second. The bands end at half of it."""
    n_fft: int
    """Samples of a window."""
    hop: int
    """Samples from one window to the next."""
    bins: int
    """How many bands there are."""

    def of(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the spectrogram.

        Args:
            samples: float32 ``[…, samples]``, more than half a window.

        Returns:
            Float32 ``[…, 1 + samples // hop, bins]``, not negative.
        """
        import torch

        flat = samples.reshape(-1, samples.shape[-1])
        spectrum = torch.stft(
            flat,
            self.n_fft,
            self.hop,
            window=torch.hann_window(self.n_fft, device=samples.device),
            return_complex=True,
        ).abs()
        bands = spectrum.transpose(-1, -2) @ self._filters().to(samples.device)
        return bands.reshape(*samples.shape[:-1], *bands.shape[1:])

    def _filters(self) -> torch.Tensor:
        """What each band takes of each frequency: triangles, ``[n_fft // 2 + 1, bins]``."""
        import torch

        frequencies = torch.linspace(0, self.sample_rate // 2, self.n_fft // 2 + 1)
        top = _mel_of(self.sample_rate / 2)
        edges = _hertz_of(torch.linspace(0.0, top, self.bins + 2))
        widths = edges[1:] - edges[:-1]
        distances = edges[None] - frequencies[:, None]
        falling, rising = distances[:, 2:] / widths[1:], -distances[:, :-2] / widths[:-1]
        triangles = torch.minimum(falling, rising).clamp_min(0.0)
        return triangles * (2.0 / (edges[2:] - edges[:-2]))


def _mel_of(hertz: float) -> float:
    if hertz < _BREAK:
        return hertz / _LINEAR
    return _BREAK / _LINEAR + math.log(hertz / _BREAK) / _LOG_STEP


def _hertz_of(mels: torch.Tensor) -> torch.Tensor:
    import torch

    logarithmic = _BREAK * torch.exp(_LOG_STEP * (mels - _BREAK / _LINEAR))
    return torch.where(mels < _BREAK / _LINEAR, _LINEAR * mels, logarithmic)
