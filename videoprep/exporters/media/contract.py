"""What a trainer's config is. One file a trainer defines one, as ``TRAINER``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from videoprep.index.bucket import Bucket

CAPTION_SUFFIX = ".txt"
CAPTION_LIST = "captions.json"
"""The list of a folder's captions, for trainers that draw one of several."""


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """A folder with the clips of one bucket, each with its caption beside it.

    Attributes:
        path: absolute.
        bucket: of all its clips: frames and pixels.
    """

    path: str
    bucket: Bucket

    @property
    def name(self) -> str:
        """Tells it from the others."""
        return self.bucket.plain


class Trainer(ABC):
    """A trainer that reads video files, and makes its own caches of them.

    Attributes:
        name: the trainer's.
        config: the file name of its config.
        resamples: what it does to clips of another rate than its model's, in words; "": nothing.
        draws_captions: whether it reads several captions a clip from ``captions.json``.
    """

    name: ClassVar[str]
    config: ClassVar[str]
    resamples: ClassVar[str] = ""
    draws_captions: ClassVar[bool] = False

    @abstractmethod
    def text(self, folders: Sequence[ClipFolder], cache: str) -> str:
        """The config: with it clips are read as they are, and not resampled, cropped or resized.

        Args:
            folders: those that hold clips.
            cache: an absolute folder where the trainer may put its caches.
        """

    @abstractmethod
    def alters(self, bucket: Bucket) -> str | None:
        """What it does to clips of a bucket whatever its config says, in words, or None."""

    @abstractmethod
    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        """The command that reads the config at a path."""
