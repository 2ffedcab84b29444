"""What TransNetV2 says of the frames of a video; kept apart from the network, which needs torch."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_FRAMES = 50_000_000


@dataclass(frozen=True, slots=True)
class ShotScores:
    """How likely each frame is the last of a shot, or within a transition."""

    weights: str
    """Which weights said so: a digest."""
    single: NDArray[np.uint8]
    """Uint8 ``[frames]``: that it is the last frame before a change, 255 for certain."""
    many: NDArray[np.uint8]
    """Uint8 ``[frames]``: that it is one of several that belong to a transition."""

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        packed = {name: _packed(getattr(self, name)) for name in ("single", "many")}
        return {"weights": self.weights, "frames": len(self.single), **packed}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShotScores:
        """Return the inverse of `to_json`.

        Raises:
            ValueError: the data are not what they should be.
        """
        frames = int(data["frames"])
        if not 0 < frames <= _MOST_FRAMES:
            raise ValueError("scores of no frames")
        arrays = {name: _unpacked(data[name], frames) for name in ("single", "many")}
        return cls(str(data["weights"]), **arrays)


def _packed(array: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 6)).decode()


def _unpacked(text: str, frames: int) -> NDArray[np.uint8]:
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text), frames + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(data) != frames:
        raise ValueError("scores of another length")
    return np.frombuffer(data, dtype=np.uint8)
