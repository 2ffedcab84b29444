"""What an importer is: it finds the precomputed clips of a trainer. One file a trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from videoprep.families.component import Component

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Precomputed:
    """A clip that was encoded elsewhere.

    Attributes:
        video: as the list names it.
        caption: as it was encoded.
        file: the list, relative to the folder.
        line: the line in it, from 1.
        files: where each component lies; they need not exist.
        flaw: why it cannot be taken whatever its files hold, in words; None otherwise.
    """

    video: str
    caption: str
    file: str
    line: int
    files: Mapping[Component, Path]
    flaw: str | None = None


class Importer(ABC):
    """A format that a trainer writes.

    Attributes:
        name: as it is asked for.
        families: those whose latents it writes.
        fps: frames a second that it trains on, since its files do not say theirs.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    fps: ClassVar[int]

    @abstractmethod
    def clips(self, folder: Path) -> Iterator[Precomputed]:
        """The clips in the order of the lists.

        Raises:
            StoreError: the folder holds no such thing, or its lists do not belong together.
        """

    @abstractmethod
    def load(self, file: Path) -> torch.Tensor:
        """A clip's tensor as a store has it; latents are unscaled moments, mean first.

        Large ones are read when they are touched.

        Raises:
            FlawError: it is no such file.
        """


class FlawError(Exception):
    """Why a clip cannot be taken, in words."""
