"""What a target of `videoprep export` is. One file a target defines one, as ``EXPORTER``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from videoprep.encoding.draws import Posterior as Posterior
from videoprep.exporters.folder import Folder
from videoprep.families.component import Component
from videoprep.fs.atomic import Writer
from videoprep.index.bucket import Bucket
from videoprep.store.layout import StoreInfo


@dataclass(frozen=True, slots=True)
class Origin:
    """The store that is exported, and how.

    Attributes:
        info: what the store says of itself.
        components: those that clips have; some may do without, such as without those of sound.
        buckets: those that its clips are in, each once.
        posterior: what is written of the latents.
        seed: of the draws.
        groups: names of the buckets, and of what their clips do without, with the numbers of
            their clips: all clips of a shard have the same tensors.
    """

    info: StoreInfo
    components: Sequence[Component]
    buckets: Sequence[Bucket]
    posterior: Posterior
    seed: int
    groups: Mapping[str, int] = field(default_factory=dict)

    @property
    def largest_group(self) -> str:
        """The first of the groups with the most clips."""
        return max(self.groups, key=self.groups.__getitem__)


@dataclass(frozen=True, slots=True)
class ListedClip:
    """A clip as a list names it.

    Attributes:
        number: from 0, without gaps.
        stem: its name: unique, without dots and slashes.
        bucket: frames and pixels.
        caption: as it was encoded.
        line: the same on one line; where the target lists captions, another one than those of
            other captions.
        video: its source, as the dataset names it.
    """

    number: int
    stem: str
    bucket: Bucket
    caption: str
    line: str
    video: str


@dataclass(frozen=True, slots=True)
class FurtherCaption:
    """A caption of a clip after the first.

    Attributes:
        number: which, from 1.
        caption: as it was encoded.
        tensors: what the store has of it: the components that are made from captions.
    """

    number: int
    caption: str
    tensors: Mapping[Component, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """A clip on its way.

    Attributes:
        listed: its names.
        tensors: what the store has of it, with its first caption.
        metadata: its row of the catalogue.
        further: its captions after the first.
    """

    listed: ListedClip
    tensors: Mapping[Component, Any]
    metadata: Mapping[str, Any]
    further: Sequence[FurtherCaption] = ()


class Exporter(ABC):
    """A format that a trainer reads: a `ClipExporter` or a `ShardExporter`.

    Attributes:
        name: as it is asked for.
        families: those that the trainer trains from such files; none: any.
        needs: components that a clip has to have.
        also: components that are written where the store has them; None: all there are.
        lists_captions: whether its reader takes captions from a list, a line each.
        posteriors: what it can take of latents; the first is what its own caching takes.
        loses: what is not carried over, in words; "" where nothing is lost.
        captions: which of a clip's captions are written.
        apart: whether clips that do without a component are written apart from those that have it.
            Else all clips have the same components, and stills are no part of an export for
            image-to-video.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[Component, ...]] = ("video_latents", "prompt_embeds")
    also: ClassVar[tuple[Component, ...] | None] = ()
    lists_captions: ClassVar[bool] = False
    posteriors: ClassVar[tuple[Posterior, ...]] = ("moments",)
    loses: ClassVar[str] = ""
    captions: ClassVar[Literal["first", "all"]] = "first"
    apart: ClassVar[bool] = False

    def taken(self, info: StoreInfo) -> Sequence[Component]:
        """Return the components of a store that are written."""
        if self.also is None:
            return tuple(info.recipes)
        return [name for name in info.recipes if name in (*self.needs, *self.also)]

    def refusal(self, origin: Origin) -> str | None:
        """Why a store cannot be exported, or None."""
        family = origin.info.family
        if self.families and family not in self.families:
            return (
                f"the store is of the family {family!r}; {self.name} takes "
                f"{', '.join(self.families)}"
            )
        lacking = [name for name in self.needs if name not in origin.components]
        if lacking:
            return f"the store has no {', '.join(lacking)}, which {self.name} needs"
        return self.bucket_refusal(origin)

    def bucket_refusal(self, origin: Origin) -> str | None:
        """Why clips of the store's sizes cannot be exported, or None."""
        del origin
        return None

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        """Writes what there is once: lists, configs.

        Args:
            clips: all, in order, as often as it is gone over them.
            folder: where to.
            origin: of what.
        """
        del clips, folder, origin

    @abstractmethod
    def command(self, folder: str, origin: Origin) -> str:
        """The command that trains with the result."""


class ClipExporter(Exporter):
    """Files of its own for each clip."""

    @abstractmethod
    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        """The files of a clip's pixels: by path in the folder, what writes each."""

    @abstractmethod
    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        """Those that follow from the caption alone: clips of the same caption share them.

        Their number and order are the same for every clip.
        """


class ShardExporter(Exporter):
    """Files that hold many clips of one bucket.

    Attributes:
        suffix: how their names end, without a dot.
    """

    suffix: ClassVar[str]

    @abstractmethod
    def shard(self, clips: Iterator[Exported], origin: Origin) -> Writer:
        """What writes a file of these clips."""
