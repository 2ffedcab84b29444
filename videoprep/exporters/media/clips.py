"""The clips that are exported: each with its name and its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from videoprep.exporters.media.contract import CAPTION_SUFFIX
from videoprep.exporters.names import stems, to_line
from videoprep.index.clip import Clip, ClipMedia, rate_of
from videoprep.index.numbers import to_text
from videoprep.index.table import BucketIndex
from videoprep.media.clip import ClipPixels
from videoprep.spec.roles import AUDIO, VIDEO, Role

FOLDER = "clips"

# Of the folders of clips that are no videos, or have a mask that moves.
_STILL, _MOVING = "still", "moving_"


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file of pixels that is written of a clip: its own, or one that it has beside it."""

    role: Role
    """What it is to the clip."""
    name: str
    """Where it lies in the export."""
    pixels: ClipPixels
    """What is in it."""
    rate: Fraction | None
    """Frames a second; None of a picture."""

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class MediaClip:
    """A planned clip on its way.

    Attributes:
        number: its place in the plan, from 0.
        clip: as it was planned.
        stem: its name: unique, without dots and slashes.
    """

    number: int
    clip: Clip
    stem: str

    @property
    def kind(self) -> str:
        """The name of the folders that hold clips of its bucket that have the same beside them."""
        parts = [self.clip.bucket.plain, *([_STILL] if self.clip.is_still else [])]
        for one in self.clip.beside:
            if one.pixels is not None:
                moving = one.role.is_mask and not self.clip.is_still and not _is_one(one.pixels)
                parts.append(f"{_MOVING if moving else ''}{one.role.words}")
        return "-".join(parts)

    @property
    def video(self) -> str:
        """Where its video file lies in the export; of a still image it is a picture."""
        return f"{FOLDER}/{self.kind}/{self.stem}{'.png' if self.clip.is_still else '.mp4'}"

    @property
    def caption_file(self) -> str:
        """Where its caption lies."""
        return f"{FOLDER}/{self.kind}/{self.stem}{CAPTION_SUFFIX}"

    @property
    def beside(self) -> tuple[MediaFile, ...]:
        """The files of pixels that are written beside its own."""
        kind = self.kind
        return tuple(
            self._file_of(media, media.pixels, kind)
            for media in self.clip.beside
            if media.pixels is not None
        )

    @property
    def files(self) -> tuple[MediaFile, ...]:
        """Its files of pixels; its own comes last: where that is, the others are."""
        rate = None if self.clip.is_still else self.rate
        return (*self.beside, MediaFile(VIDEO, self.video, self.clip.pixels, rate))

    @property
    def caption(self) -> str:
        """On one line: SimpleTuner takes each line of such a file for a caption of its own."""
        return to_line(self.clip.caption)

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return self.clip.rate

    def to_json(self) -> dict[str, Any]:
        """What it was made of, and the caption as it was planned."""
        indices = self.clip.pixels.frames.indices
        return {
            "name": self.video,
            "video": self.clip.video,
            "fps": None if self.clip.is_still else str(self.rate),
            "frame_indices": to_text(np.asarray(indices, dtype=np.int64)),
            "caption": self.clip.caption,
            **({"captions": list(self.clip.captions)} if self.clip.further_captions else {}),
            **self._named(),
        }

    def _named(self) -> dict[str, dict[str, str]]:
        """The control media, references and masks: as the dataset has them, and in the export."""
        files, media = self.beside, self.clip.media
        if not files:
            return {}
        return {
            "media": {one.role: media[one.role].name for one in files},
            "beside": {one.role: one.name for one in files},
        }

    def _file_of(self, media: ClipMedia, pixels: ClipPixels, kind: str) -> MediaFile:
        """A picture, if it goes with a still image, or if a mask or a reference is one.

        What else goes with a video is a video of as many frames, since trainers want it so.
        """
        role, rate = media.role, None if self.clip.is_still else self.rate
        aligned = role.kind.alignment == "frames"
        if rate is None and aligned:
            pass
        elif _is_one(pixels) and (role.is_mask or not aligned):
            pixels, rate = replace(pixels, frames=pixels.frames.select([0])), None
        elif not aligned:
            rate = _rate_of(pixels)
        suffix = ".png" if rate is None else ".mp4"
        return MediaFile(role, f"{role.words}/{kind}/{self.stem}{suffix}", pixels, rate)


def _is_one(pixels: ClipPixels) -> bool:
    """Whether all frames are the same one."""
    return len({int(index) for index in pixels.frames.indices}) == 1


def _rate_of(pixels: ClipPixels) -> Fraction:
    """The average rate of the frames of a reference, which are at its own times."""
    frames = pixels.frames
    if frames.ticks is None or frames.time_base is None:
        return _UNKNOWN
    lasts = (int(frames.ticks[-1]) - int(frames.ticks[0])) * frames.time_base
    return rate_of(float((len(frames.ticks) - 1) / lasts)) if lasts > 0 else _UNKNOWN


_UNKNOWN = Fraction(24)
"""The rate of a reference whose file does not tell."""


def media_clip(number: int, clip: Clip) -> MediaClip:
    """A planned clip at its place in the plan."""
    (stem,) = stems([{"video": clip.video}], number)
    return MediaClip(number, clip, stem)


def media_clips(index: BucketIndex) -> Iterator[MediaClip]:
    """The planned clips, in order."""
    return (media_clip(number, clip) for number, clip in enumerate(index.clips()))


def digest_of(clips: Iterable[MediaClip], *, sound: bool) -> str:
    """Stands for all that is written of some clips, with sound or without: 32 hex digits."""
    digest = hashlib.sha256()
    for clip in clips:
        rate = "still" if clip.clip.is_still else str(clip.rate)
        parts = [clip.video, rate, clip.clip.video_key, clip.clip.prompt_key]
        for one in clip.clip.beside:
            parts += [one.role, one.key] if one.key is not None else []
        if sound and AUDIO in clip.clip.media:  # otherwise `video_key` covers it
            parts.append(clip.clip.audio_key or "")
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()[:32]
