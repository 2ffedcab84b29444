"""What of the media beside videos an export carries, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from videoprep.families.component import Component
from videoprep.store.layout import StoreInfo

if TYPE_CHECKING:
    from videoprep.store.dataset import LatentDataset  # it loads torch


def in_every_clip(data: LatentDataset) -> list[Component]:
    """Return the components that no clip does without: trainers want the same of each clip."""
    return [name for name in data.components if not data.clips_without(name)]


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
