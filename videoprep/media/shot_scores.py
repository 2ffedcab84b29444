"""What TransNetV2 says of the frames of a video; kept apart from the network, which needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.media.packed_scores import frames_kept, kept, packed, unpacked


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
        arrays = {name: packed(getattr(self, name)) for name in ("single", "many")}
        return {"weights": self.weights, "frames": len(self.single), **arrays}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShotScores:
        """Return the inverse of `to_json`.

        Raises:
            ValueError: the data are not what they should be.
        """
        frames = frames_kept(data)
        arrays = {name: unpacked(data.get(name), frames)[:, 0] for name in ("single", "many")}
        return cls(kept(data, "weights", str), **arrays)
