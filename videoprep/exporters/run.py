"""`export`: from a store to the files of another trainer, clip by clip."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import StoreError
from videoprep.exporters.beside import in_every_clip, notes_on_media, notes_on_stills
from videoprep.exporters.contract import (
    ClipExporter,
    Exported,
    Exporter,
    FurtherCaption,
    ListedClip,
    Origin,
    Posterior,
    ShardExporter,
)
from videoprep.exporters.folder import NAMES, Folder
from videoprep.exporters.held_out import held_out_notes
from videoprep.exporters.names import FirstOfCaption, UniqueLines, stems, to_line
from videoprep.exporters.registry import MEDIA, exporters, get_exporter
from videoprep.families.caption_places import FURTHER_CAPTIONS
from videoprep.families.component import Component
from videoprep.index.bucket import Bucket
from videoprep.index.caption_draws import ClipDraw
from videoprep.index.row_words import CLIP, row_word
from videoprep.index.table import BucketIndex
from videoprep.store.layout import Store, StoreInfo
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.store.dataset import LatentDataset  # it loads torch, and `registry` this file

VERSION = 2

_SHARD_BYTES = 2**30
_SHARD_CLIPS = 1_000
_DIGITS = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was exported.

    Attributes:
        target: to which trainer.
        path: the folder.
        clips: how many are there now, of what `word` names.
        written: files written in this run; the others were there already.
        incomplete: clips of the store that lack a component, and are not exported; so do still
            images if the export is for image-to-video.
        posterior: what was written of the latents.
        loses: what is not carried over, in words.
        notes: what had to be changed, in words.
        command: the command that trains with it.
    """

    target: str
    path: str
    clips: int
    written: int
    incomplete: int
    posterior: Posterior
    loses: str
    notes: tuple[str, ...]
    command: str
    word: str = CLIP
    """What ``clips`` counts: ``clip``, or ``bucket assignment`` if a clip may be in several
    buckets."""


def export(
    store: str | os.PathLike[str],
    *,
    to: str,
    output: str | os.PathLike[str],
    split: str | None = None,
    posterior: Posterior | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> ExportResult:
    """Writes a store in the form that another trainer reads.

    One clip is in memory at a time. Each file is whole or not there; stopped in any way and called
    again, it goes on. What clips of the same caption have in common is written once and linked.

    Args:
        store: the store, a path or URL.
        to: the target; see `videoprep.exporters.registry.exporters`.
        output: the folder: new, empty, or an export of the same that goes on.
        split: only the clips of this split; None: all, without those of several datasets that are
            for validation or regularization.
        posterior: what to write of the latents; None: what the target's own caching writes.
        seed: of the draws.
        on_progress: called with how many clips are done, and how many there are.

    Raises:
        StoreError: the store is not finished or damaged, the target cannot take it, or the folder
            holds something else.
        VideoprepError: there is no such target.
    """
    exporter = get_exporter(to)
    data, origin = _open(store, exporter, split, posterior, seed)
    held = _held_out(store, data) if split is None else 0
    word = row_word(Store.open(store).read_accepted(BucketIndex.policy_of))
    clips = _Clips(data, exporter, word)
    if exporter.lists_captions:
        _require_words(clips, to)
    folder = Folder(output, _identity(exporter, data, origin))
    progress = on_progress or (lambda done, total: None)
    if isinstance(exporter, ShardExporter):
        _write_shards(exporter, clips, origin, folder, progress)
    elif isinstance(exporter, ClipExporter):
        _write_clips(exporter, clips, origin, folder, progress)
    folder.write_lines(NAMES, map(_named, clips))
    exporter.finish(clips, folder, origin)
    return ExportResult(
        target=to,
        path=str(folder.path),
        clips=len(data),
        written=folder.written,
        incomplete=data.incomplete,
        posterior=origin.posterior,
        loses=exporter.loses,
        notes=(
            *clips.notes,
            *notes_on_stills(data, exporter.name, word),
            *notes_on_media(origin.info, data, exporter.name),
            *held_out_notes(held, word),
        ),
        command=exporter.command(str(folder.path.resolve()), origin),
        word=word,
    )


def _open(
    store: str | os.PathLike[str],
    exporter: Exporter,
    split: str | None,
    posterior: Posterior | None,
    seed: int,
) -> tuple[LatentDataset, Origin]:
    """The clips that are exported.

    Raises:
        StoreError: the target cannot take them.
    """
    from videoprep.store.dataset import LatentDataset

    info = Store.open(store).read_info()
    taken = _posterior(info, exporter, posterior, str(store))
    origin = Origin(info, tuple(info.recipes), (), taken, seed)
    reason = exporter.refusal(origin)
    if reason is None:
        wanted = exporter.taken(info)
        of_video = [name for name in wanted if info.recipes[name].source.of_video_alone]
        required = [] if exporter.apart else of_video
        data = LatentDataset(store, split=split, components=wanted, required=required)
        splits = data.splits_trained_on if split is None else split
        if splits != split:
            data = LatentDataset(store, split=splits, components=wanted, required=required)
        everywhere = in_every_clip(data)
        if len(everywhere) < len(data.components) and not exporter.apart:
            required = [name for name in required if name in everywhere]
            data = LatentDataset(store, split=splits, components=everywhere, required=required)
        buckets = tuple(data.buckets.counts())
        groups = {name: len(members) for name, members in _groups(data)}
        origin = replace(origin, components=data.components, buckets=buckets, groups=groups)
        reason = exporter.refusal(origin) if len(data) else "the store has no complete clip"
        if reason is None:
            return data, origin
    raise StoreError(reason, where=str(store), remedy=_other_targets(info, exporter), option="to")


def _held_out(store: str | os.PathLike[str], data: LatentDataset) -> int:
    """How many clips of the store are not exported, since they are held out of training."""
    from videoprep.store.dataset import LatentDataset

    if data.split is None:
        return 0
    return len(LatentDataset(store, components=data.components)) - len(data)


def _other_targets(info: StoreInfo, exporter: Exporter) -> str:
    """What else the store, or at least its videos, can be exported to."""
    takers = [
        f"`to={name!r}`"
        for name, other in exporters().items()
        if info.family in other.families and name != exporter.name
    ]
    others = f"choose another target, such as {' or '.join(takers)}; or " if takers else ""
    return (
        f"{others}write its clips as video files, with `to={MEDIA!r}`, which any trainer reads; or "
        f"encode for {exporter.name} into another store"
    )


def _posterior(
    info: StoreInfo, exporter: Exporter, asked: Posterior | None, where: str
) -> Posterior:
    """What is written of latents, by what the store has and the target takes.

    Raises:
        StoreError: it is not to be had of this store, or not for this target.
    """
    stored: Posterior = info.facts.get("posterior", "moments")
    takes = exporter.posteriors
    if asked is not None and asked not in takes:
        raise StoreError(
            f"{exporter.name} takes {' or '.join(takes)}, not {asked}",
            where=where,
            remedy=f"leave `posterior` out, or give {takes[0]}",
            option="posterior",
        )
    if stored == "moments":
        return asked or takes[0]
    if stored not in takes or asked not in (None, stored):
        raise StoreError(
            f"the store was made with `posterior={stored!r}`; "
            + (f"{exporter.name} takes {takes[0]}" if asked is None else f"{asked} was asked for"),
            where=where,
            remedy="encode again with `posterior='moments'`, into another store",
        )
    return stored


def _identity(exporter: Exporter, data: LatentDataset, origin: Origin) -> dict[str, Any]:
    return {
        "version": VERSION,
        "target": exporter.name,
        "clips": data.digest,
        "components": list(data.components),
        "posterior": origin.posterior,
        "seed": origin.seed,
    }


class _Clips(Iterable[ListedClip]):
    """The clips of a store, by name and with their tensors, as often as they are gone over.

    Args:
        data: the store.
        exporter: what they are written for. If it lists captions, clips of different ones have
            different lines.
        word: what they are called.
    """

    def __init__(self, data: LatentDataset, exporter: Exporter, word: str) -> None:
        self.data = data
        self._exporter = exporter
        self._word = word
        self._to_line = UniqueLines(_Captions(data)) if exporter.lists_captions else to_line

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[ListedClip]:
        return map(self.listed, range(len(self)))

    def listed(self, number: int) -> ListedClip:
        """A clip's names."""
        return self._listed(number, self.data.row(number))

    def _listed(self, number: int, row: Mapping[str, Any]) -> ListedClip:
        (stem,) = stems([row], start=number)
        bucket = Bucket(row["frames"], row["height"], row["width"])
        caption = row["caption"]
        return ListedClip(number, stem, bucket, caption, self._to_line(caption), row["video"])

    def __getitem__(self, number: int) -> Exported:
        row = self.data.row(number)
        tensors = _Tensors(self.data, number, self.data.components)
        return Exported(self._listed(number, row), tensors, row, self._further(number, row))

    def _further(self, number: int, row: Mapping[str, Any]) -> Sequence[FurtherCaption]:
        recipes = self.data.info.recipes
        names = [name for name in self.data.components if recipes[name].source.caption]
        return [
            FurtherCaption(caption, text, _Tensors(self.data, ClipDraw(number, caption), names))
            for caption, text in enumerate(row.get(FURTHER_CAPTIONS) or (), start=1)
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be changed, in words."""
        return (*self._notes_on_captions(), *self._notes_on_lines())

    def _notes_on_captions(self) -> Iterator[str]:
        counts = self.data.caption_counts
        if counts is None:
            return
        several, rows = int((counts > 1).sum()), counted(len(self), self._word)
        clips = f"{several:,} of {rows} have several captions"
        if self._exporter.captions == "all":
            yield f"{clips}, and all are written"
        else:
            yield f"{clips}: the first is written, as {self._exporter.name} takes one"

    def _notes_on_lines(self) -> Iterator[str]:
        if isinstance(self._to_line, UniqueLines) and self._to_line.marked:
            yield (
                f"{len(self._to_line.marked):,} captions differ from another one in spaces or line "
                "breaks alone, which a list cannot hold: a number in brackets tells their lines "
                "apart"
            )


class _Captions(Iterable[str]):
    def __init__(self, data: LatentDataset) -> None:
        self._data = data

    def __iter__(self) -> Iterator[str]:
        return (self._data.row(number)["caption"] for number in range(len(self._data)))


def _require_words(clips: Iterable[ListedClip], target: str) -> None:
    """Checks that no caption is empty.

    Raises:
        StoreError: one is.
    """
    for clip in clips:
        if not clip.line:
            raise StoreError(
                f"the caption of {clip.video} is empty, and {target} drops empty lines of its "
                "list: every caption after it would go to another video",
                remedy="write that caption and encode again; only it is made anew",
            )


def _named(clip: ListedClip) -> str:
    return json.dumps({"name": clip.stem, "video": clip.video, "bucket": clip.bucket.plain})


class _Tensors(Mapping[Component, Any]):
    """A clip's tensors, read when the first of them is asked for: what is there already is not.

    Args:
        data: the store.
        number: the clip's, which may be a `ClipDraw`.
        components: those that there are.
    """

    def __init__(self, data: LatentDataset, number: int, components: Sequence[Component]) -> None:
        self._data, self._number, self._components = data, number, components

    @cached_property
    def _item(self) -> Mapping[str, Any]:
        return self._data[self._number]

    def __getitem__(self, component: Component) -> Any:
        if component not in self._components:
            raise KeyError(component)
        return self._item[component]

    def __iter__(self) -> Iterator[Component]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)

    @cached_property
    def _there(self) -> Sequence[Component]:
        absent = self._data.absent(self._number)
        return [name for name in self._components if name not in absent]


def _write_clips(
    exporter: ClipExporter, clips: _Clips, origin: Origin, folder: Folder, progress: Progress
) -> None:
    captions = _Captions(clips.data)
    first_of = FirstOfCaption(captions, lambda number: clips.data.row(number)["caption"])
    for number in range(len(clips)):
        clip = clips[number]
        for name, write in exporter.files(clip, origin).items():
            folder.write(name, write)
        _write_caption(exporter, clip, clips[first_of(number)], origin, folder)
        progress(number + 1, len(clips))


def _write_caption(
    exporter: ClipExporter, clip: Exported, first: Exported, origin: Origin, folder: Folder
) -> None:
    sources = exporter.caption_files(first, origin)
    for (name, write), source in zip(
        exporter.caption_files(clip, origin).items(), sources, strict=True
    ):
        if name == source:
            folder.write(name, write)
        else:
            folder.link(name, source, write)


def _write_shards(
    exporter: ShardExporter, clips: _Clips, origin: Origin, folder: Folder, progress: Progress
) -> None:
    done = 0
    for name, numbers in _shards(clips.data, exporter.suffix):
        folder.write(name, exporter.shard(map(clips.__getitem__, numbers), origin))
        done += len(numbers)
        progress(done, len(clips))


def _shards(data: LatentDataset, suffix: str) -> Iterator[tuple[str, Sequence[int]]]:
    """A group's clips in files of about a gigabyte, which are the same in every run."""
    for name, members in _groups(data):
        first = data[int(members[0])]
        there = (component for component in data.components if component not in first["absent"])
        size = sum(first[component].nbytes for component in there)
        most = max(1, min(_SHARD_CLIPS, _SHARD_BYTES // size))
        for part, start in enumerate(range(0, len(members), most)):
            numbers = members[start : start + most].tolist()
            yield f"{name}/{part:0{_DIGITS}d}.{suffix}", numbers


def _groups(data: LatentDataset) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """The clips of each bucket, apart by what they do without: their names, and their numbers."""
    for bucket in data.buckets.counts():
        code = data.buckets.kinds.index(bucket)
        members = np.flatnonzero(data.buckets.codes == code).astype(np.int32)
        if data.presence is None:
            yield bucket.plain, members
            continue
        for lacks, some in data.presence.parts(members):
            yield "-without-".join([bucket.plain, *lacks]), some
