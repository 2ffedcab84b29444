"""What is asked of a decoding process: the pixels of a clip, its sound, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

from videoprep.media.audio import MOST_CHANNELS, MOST_RATE, Channels, sample_count
from videoprep.media.clip import ClipPixels
from videoprep.media.decode import FrameChoice

_SAMPLE_BYTES = 4
# Sound begins at a multiple of so many bytes behind the pixels.
_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class ClipSound:
    """All that decides the sound of a clip."""

    path: Path
    """The file whose sound it is."""
    fingerprint: str
    """Of the file that was planned."""
    start: Fraction | None
    """Seconds on the file's clock at which the clip begins; None if its first frame says so."""
    frame: int
    """Number of the clip's first frame, from 0, for a file that does not tell when it is shown."""
    length: Fraction
    """Seconds that the clip lasts."""
    sample_rate: int | None = None
    """Samples a second; None: the file's own."""
    channels: Channels | None = None
    """How many; None: as many as there are."""
    pad: bool = False
    """Whether to put silence where there is no sound."""

    @classmethod
    def of(
        cls,
        frames: FrameChoice,
        fingerprint: str,
        rate: Fraction,
        *,
        sample_rate: int | None = None,
        channels: Channels | None = None,
        pad: bool = False,
    ) -> ClipSound:
        """Return what is asked for to get the sound of frames; see `audio.times_of`.

        Args:
            frames: the planned frames.
            fingerprint: of the file that was planned.
            rate: frames a second at which they are taken.
            sample_rate: see the field.
            channels: see the field.
            pad: see the field.
        """
        return cls(
            path=frames.path,
            fingerprint=fingerprint,
            start=frames.start,
            frame=int(frames.indices[0]),
            length=len(frames.indices) / rate,
            sample_rate=sample_rate,
            channels=channels,
            pad=pad,
        )

    @property
    def most_bytes(self) -> int:
        """How many bytes its samples take at most."""
        count = sample_count((Fraction(0), self.length), self.sample_rate or MOST_RATE)
        return count * (self.channels or MOST_CHANNELS) * _SAMPLE_BYTES

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        return {
            "path": str(self.path),
            "fingerprint": self.fingerprint,
            "start": None if self.start is None else str(self.start),
            "frame": self.frame,
            "length": str(self.length),
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "pad": self.pad,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ClipSound:
        """Return the inverse of `to_json`."""
        start = data["start"]
        changed = {
            "path": Path(data["path"]),
            "start": None if start is None else Fraction(start),
            "length": Fraction(data["length"]),
        }
        return cls(**{**data, **changed})


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """The pixels of a clip, its sound, or both."""

    pixels: ClipPixels | None
    sound: ClipSound | None

    @property
    def path(self) -> Path:
        """The file that an error names if nothing more is known: that of the pixels."""
        return self.paths[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are read, each once."""
        pixels = [] if self.pixels is None else [self.pixels.frames.path]
        sound = [] if self.sound is None else [self.sound.path]
        return tuple(dict.fromkeys([*pixels, *sound]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels: ``(F, 3, H, W)``; of no frames if none are asked for."""
        return (0, 3, 0, 0) if self.pixels is None else self.pixels.shape

    @property
    def sound_offset(self) -> int:
        """The byte at which the sound begins; the pixels begin at 0."""
        return -(-prod(self.shape) // _ALIGNMENT) * _ALIGNMENT

    @property
    def most_bytes(self) -> int:
        """How many bytes all of it takes at most."""
        if self.sound is None:
            return prod(self.shape)
        return self.sound_offset + self.sound.most_bytes

    def absolute(self) -> ClipRequest:
        """Return the same with absolute paths."""
        pixels, sound = self.pixels, self.sound
        if pixels is not None:
            frames = replace(pixels.frames, path=pixels.frames.path.absolute())
            pixels = replace(pixels, frames=frames)
        if sound is not None:
            sound = replace(sound, path=sound.path.absolute())
        return ClipRequest(pixels, sound)

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        return {
            "pixels": None if self.pixels is None else self.pixels.to_json(),
            "sound": None if self.sound is None else self.sound.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ClipRequest:
        """Return the inverse of `to_json`."""
        pixels, sound = data["pixels"], data["sound"]
        return cls(
            pixels=None if pixels is None else ClipPixels.from_json(pixels),
            sound=None if sound is None else ClipSound.from_json(sound),
        )


def request_of(clip: ClipPixels | ClipRequest) -> ClipRequest:
    """Return what is asked for; pixels alone may be asked for without further ado."""
    return clip if isinstance(clip, ClipRequest) else ClipRequest(clip, None)
