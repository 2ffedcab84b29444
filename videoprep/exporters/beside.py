"""What of the media beside videos an export carries, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from videoprep.families.component import Component
from videoprep.store.layout import StoreInfo
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.store.dataset import LatentDataset  # it loads torch


_SHOWN = 3


def in_every_clip(data: LatentDataset) -> list[Component]:
    """Return the components that no clip does without: trainers want the same of each clip."""
    return [name for name in data.components if not data.clips_without(name)]


def notes_on_stills(data: LatentDataset, target: str, word: str) -> Iterator[str]:
    """Yield which clips are not exported since they do without what the export requires.

    Args:
        data: what is exported of a store.
        target: to which trainer.
        word: what its clips are called.
    """
    if not data.required or not data.incomplete:
        return
    every = type(data)(data.location, split=data.split, components=data.components)
    if every.presence is None:
        return
    for lacks, clips in every.presence.parts(np.arange(len(every), dtype=np.int32)):
        required = [name for name in lacks if name in data.required]
        if not required:
            continue
        videos = dict.fromkeys(str(every.row(number)["video"]) for number in clips.tolist())
        names = ", ".join([*list(videos)[:_SHOWN], *(["…"] if len(videos) > _SHOWN else [])])
        yield (
            f"{counted(len(clips), word)} of still images not exported: {target} takes "
            f"{', '.join(required)} of every clip, and stills have none: {names}"
        )


def notes_on_media(info: StoreInfo, data: LatentDataset, target: str) -> Iterator[str]:
    """Yield which components of media beside videos are not written, and why.

    Args:
        info: the store's.
        data: what is exported of it.
        target: to which trainer.
    """
    for name, recipe in info.recipes.items():
        if recipe.source.may_lack and name not in data.components:
            weighs = recipe.fields.get("mask_meaning") == "loss"
            yield (
                f"{name} not written: {target} has no place for it, or not every clip has it"
                f"{'; nothing weighs the loss there' if weighs else ''}"
            )
