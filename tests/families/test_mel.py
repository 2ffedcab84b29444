"""Mel spectrograms: those of torchaudio, which is not needed, and of transformers' own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoprep.families.mel import MelSpectrogram

MEL = MelSpectrogram(16_000, 1024, 160, 64)


def tone() -> torch.Tensor:
    """A second of 440 Hz and of 3 kHz on two channels: ``[2, 16000]``."""
    at = torch.arange(16_000, dtype=torch.float64) / 16_000
    return torch.stack([torch.sin(2 * torch.pi * hertz * at) for hertz in (440, 3000)]).float()


def test_equal_to_the_bit_to_torchaudios() -> None:
    torchaudio = pytest.importorskip("torchaudio")
    theirs = torchaudio.transforms.MelSpectrogram(
        sample_rate=16_000, n_fft=1024, win_length=1024, hop_length=160, f_min=0.0, f_max=8000.0,
        n_mels=64, power=1.0, mel_scale="slaney", norm="slaney",
    )  # fmt: skip
    for samples in (tone(), torch.rand(3, 2, 1024), torch.rand(4001)):
        assert torch.equal(MEL.of(samples), theirs(samples).transpose(-1, -2))


def test_as_transformers_computes_it() -> None:
    """In float64 and by another way: the difference is that of float32."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(
        num_frequency_bins=513, num_mel_filters=64, min_frequency=0.0, max_frequency=8000.0,
        sampling_rate=16_000, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    for channel in tone():
        theirs = spectrogram(
            channel.numpy().astype(np.float64), window_function(1024, "hann"), frame_length=1024,
            hop_length=160, fft_length=1024, power=1.0, center=True, pad_mode="reflect",
            mel_filters=filters,
        )  # fmt: skip
        ours = MEL.of(channel).numpy()
        assert ours.shape == (101, 64) == theirs.T.shape
        assert np.abs(ours - theirs.T).max() < 1e-5 * theirs.max()


def test_values_that_torchaudio_gave() -> None:
    """By torchaudio 2.11.1, in the middle of the second, where each tone is loudest."""
    made = MEL.of(tone())[:, 50]
    assert made.argmax(dim=1).tolist() == [8, 43]
    assert made.amax(dim=1).tolist() == pytest.approx(
        [5.923374652862549, 1.829270601272583], rel=1e-5
    )
