"""An encoder that has trouble with one clip, put in place of the family's own."""

from __future__ import annotations

from typing import Any

import torch

from videoprep.families.cogvideox import CogVideoX
from videoprep.families.contract import VideoEncoder


class _Spoiled(VideoEncoder):
    """Has trouble with what is as bright as clip b of the small dataset."""

    def __init__(self, real: VideoEncoder, trouble: str) -> None:
        self._real, self._trouble, self._tiling = real, trouble, False

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        result = self._real.encode(pixels)
        # Clip b is lifted by 50 of 255, the others by 10 more or less.
        lift = (pixels[..., 0, 0] - pixels[..., -1, -1]).mean() * 127.5
        if not 45 < lift < 55:
            return result
        if self._trouble == "not-finite":
            result = result.clone()
            result[0, 0, 0, 0, 0] = float("nan")
            return result
        if self._trouble == "no-memory" or not self._tiling:
            raise torch.OutOfMemoryError("a test")
        return result

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._tiling = tiling
        self._real.save_memory(slicing=slicing, tiling=tiling)


def spoil(trouble: str) -> None:
    """From now on: ``not-finite``, ``no-memory``, or ``no-memory-untiled``."""
    load = CogVideoX.load_video_encoder

    def loaded(self: CogVideoX, *arguments: Any, **options: Any) -> VideoEncoder:
        return _Spoiled(load(self, *arguments, **options), trouble)

    CogVideoX.load_video_encoder = loaded  # type: ignore[method-assign]
