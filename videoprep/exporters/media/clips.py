"""The clips that are exported: each with its name and its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from videoprep.exporters.media.contract import CAPTION_SUFFIX
from videoprep.exporters.names import stems, to_line
from videoprep.index.clip import Clip
from videoprep.index.numbers import to_text
from videoprep.index.table import BucketIndex
from videoprep.spec.roles import AUDIO

FOLDER = "clips"


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
    def video(self) -> str:
        """Where its video file lies in the export."""
        return f"{FOLDER}/{self.clip.bucket.plain}/{self.stem}.mp4"

    @property
    def caption_file(self) -> str:
        """Where its caption lies."""
        return f"{FOLDER}/{self.clip.bucket.plain}/{self.stem}{CAPTION_SUFFIX}"

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
            "fps": str(self.rate),
            "frame_indices": to_text(np.asarray(indices, dtype=np.int64)),
            "caption": self.clip.caption,
            **({"captions": list(self.clip.captions)} if self.clip.further_captions else {}),
            **({"media": named} if (named := self._named()) else {}),
        }

    def _named(self) -> dict[str, str]:
        """The control media, references and masks, which are not written, as the dataset has it."""
        return {one.role: one.name for one in self.clip.beside if one.pixels is not None}


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
        parts = [clip.video, str(clip.rate), clip.clip.video_key, clip.clip.prompt_key]
        if sound and AUDIO in clip.clip.media:  # otherwise `video_key` covers it
            parts.append(clip.clip.audio_key or "")
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()[:32]
