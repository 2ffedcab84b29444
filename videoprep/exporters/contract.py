"""What a target of `videoprep export` is. One file a target defines one, as ``EXPORTER``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from videoprep.durable import Writer
from videoprep.exporters.folder import Folder
from videoprep.families.component import Component
from videoprep.index.bucket import Bucket
from videoprep.store.layout import StoreInfo


@dataclass(frozen=True, slots=True)
class Exported:
    """A clip on its way.

    Attributes:
        number: from 0, without gaps.
        stem: its name: unique, without dots and slashes.
        tensors: what the store has of it.
        caption: as it was encoded.
        metadata: its row of the catalogue.
    """

    number: int
    stem: str
    tensors: Mapping[Component, Any]
    caption: str
    metadata: Mapping[str, Any]


class Exporter(ABC):
    """A format that a trainer reads.

    Attributes:
        name: as it is asked for.
        families: those that the trainer trains from such files.
        needs: components that a clip has to have.
        also: components that are written where the store has them.
        needs_moments: whether stored means or samples do not do.
        loses: what is not carried over, in words; "" where nothing is lost.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[Component, ...]] = ("video_latents", "prompt_embeds")
    also: ClassVar[tuple[Component, ...]] = ()
    needs_moments: ClassVar[bool] = False
    loses: ClassVar[str] = ""

    def refusal(self, info: StoreInfo, components: Sequence[Component]) -> str | None:
        """Why a store cannot be exported, or None."""
        if info.family not in self.families:
            return (
                f"the store is of the family {info.family!r}; {self.name} takes "
                f"{', '.join(self.families)}"
            )
        lacking = [component for component in self.needs if component not in components]
        if lacking:
            return f"the store has no {', '.join(lacking)}, which {self.name} needs"
        posterior = info.facts.get("posterior", "moments")
        if self.needs_moments and posterior != "moments":
            return f"the store was made with --posterior {posterior}; {self.name} takes moments"
        return None

    @abstractmethod
    def files(self, clip: Exported, info: StoreInfo) -> Mapping[str, Writer]:
        """The files of a clip: by path in the folder, what writes each."""

    @abstractmethod
    def finish(self, clips: Iterable[tuple[str, str]], folder: Folder, info: StoreInfo) -> None:
        """Writes what there is once: lists, configs.

        Args:
            clips: stem and caption of each, in order.
            folder: where to.
            info: of the store.
        """

    @abstractmethod
    def command(self, folder: str, info: StoreInfo, buckets: Sequence[Bucket]) -> str:
        """The command that trains with the result."""
