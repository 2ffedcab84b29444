"""A bucket: clips of one length and one size, which can be batched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """Frames, height and width of a clip, in pixels."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames}×{self.height}×{self.width}"

    @property
    def pixels(self) -> int:
        """Frames × height × width: what encoding a clip costs, up to a factor."""
        return self.frames * self.height * self.width
