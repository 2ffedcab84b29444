"""What a trainer's config is. One file a trainer defines one, as ``TRAINER``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from videoprep.index.bucket import Bucket
from videoprep.spec.roles import Role

CAPTION_SUFFIX = ".txt"
CAPTION_LIST = "captions.json"
"""The list of a folder's captions, for trainers that draw one of several."""


@dataclass(frozen=True, slots=True)
class BesideFolder:
    """A folder with a file for each clip of another folder, under the clip's name.

    Attributes:
        role: what they are to the clips.
        path: absolute.
        pictures: whether they are pictures; else they are videos.
    """

    role: Role
    path: str
    pictures: bool


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """A folder with clips of one bucket and of one kind, each with its caption beside it.

    Attributes:
        path: absolute.
        bucket: of all its clips: frames and pixels.
        stills: whether they are still images; else they are videos.
        beside: what each of them has beside it.
        clips: how many there are.
    """

    path: str
    bucket: Bucket
    stills: bool = False
    beside: tuple[BesideFolder, ...] = ()
    clips: int = 0

    @property
    def name(self) -> str:
        """Tells it from the others."""
        return self.path.rpartition("/")[2]

    def of(self, *kinds: str, pictures: bool | None = None) -> list[BesideFolder]:
        """Return the folders beside it, of some kinds of roles, in the order of roles.

        Args:
            kinds: such as ``control``.
            pictures: of pictures alone, or of videos alone; None: both.
        """
        return [
            one
            for one in self.beside
            if one.role.kind.name in kinds and pictures in (None, one.pictures)
        ]


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
    def alters(self, bucket: Bucket, *, stills: bool = False) -> str | None:
        """What it does to clips of a bucket whatever its config says, in words, or None.

        Args:
            bucket: of the clips.
            stills: whether they are still images.
        """

    def reads(self, folder: ClipFolder) -> Collection[BesideFolder]:
        """Return what its config names of the folders beside one of clips."""
        del folder
        return ()

    @abstractmethod
    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        """The command that reads the config at a path."""
