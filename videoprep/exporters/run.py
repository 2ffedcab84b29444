"""`export`: from a store to the files of another trainer, clip by clip."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from videoprep.errors import StoreError
from videoprep.exporters.contract import Exported, Exporter
from videoprep.exporters.folder import Folder
from videoprep.exporters.names import stems
from videoprep.exporters.registry import get_exporter
from videoprep.store.dataset import LatentDataset
from videoprep.store.layout import Store

VERSION = 1


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was exported.

    Attributes:
        target: to which trainer.
        path: the folder.
        clips: how many are there now.
        written: files written in this run; the others were there already.
        incomplete: clips of the store that lack a component, and are not exported.
        loses: what is not carried over, in words.
        command: the command that trains with it.
    """

    target: str
    path: str
    clips: int
    written: int
    incomplete: int
    loses: str
    command: str


def export(
    store: str | os.PathLike[str],
    *,
    to: str,
    output: str | os.PathLike[str],
    split: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportResult:
    """Writes a store in the form that another trainer reads.

    One clip is in memory at a time. Each file is whole or not there; stopped in any way and called
    again, it goes on.

    Args:
        store: the store, a path or URL.
        to: the target; see `videoprep.exporters.registry.exporters`.
        output: the folder: new, empty, or an export of the same that goes on.
        split: only the clips of this split; None: all.
        on_progress: called with how many clips are done, and how many there are.

    Raises:
        StoreError: the store is not finished or damaged, the target cannot take it, or the folder
            holds something else.
        VideoprepError: there is no such target.
    """
    exporter = get_exporter(to)
    data = _open(store, exporter, split)
    identity = {
        "version": VERSION,
        "target": to,
        "clips": data.digest,
        "components": list(data.components),
    }
    folder = Folder(output, identity)
    written = 0
    for clip in _clips(data):
        for name, write in exporter.files(clip, data.info).items():
            if not folder.has(name):
                folder.write(name, write)
                written += 1
        if on_progress is not None:
            on_progress(clip.number + 1, len(data))
    exporter.finish(_names(data), folder, data.info)
    return ExportResult(
        target=to,
        path=str(folder.path),
        clips=len(data),
        written=written,
        incomplete=data.incomplete,
        loses=exporter.loses,
        command=exporter.command(str(folder.path.resolve()), data.info, data.buckets.kinds),
    )


def _open(store: str | os.PathLike[str], exporter: Exporter, split: str | None) -> LatentDataset:
    info = Store.open(store).read_info()
    reason = exporter.refusal(info, tuple(info.recipes))
    if reason is None:
        wanted = [name for name in info.recipes if name in (*exporter.needs, *exporter.also)]
        data = LatentDataset(store, split=split, components=wanted)
        if len(data):
            return data
        reason = "the store has no complete clip"
    raise StoreError(
        reason,
        where=str(store),
        remedy="choose another target, or encode for this one into another store",
    )


def _clips(data: LatentDataset) -> Iterator[Exported]:
    for number, stem in enumerate(stems(_rows(data))):
        item = data[number]
        yield Exported(
            number=number,
            stem=stem,
            tensors={component: item[component] for component in data.components},
            caption=item["caption"],
            metadata=item["metadata"],
        )


def _names(data: LatentDataset) -> Iterator[tuple[str, str]]:
    for row, stem in zip(_rows(data), stems(_rows(data)), strict=True):
        yield stem, row["caption"]


def _rows(data: LatentDataset) -> Iterator[dict[str, Any]]:
    return (data.row(number) for number in range(len(data)))
