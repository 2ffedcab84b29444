"""Masks as weights of the loss: which of a store's, and the mean that they give."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch

from videoprep.errors import TrainError, nearest
from videoprep.families.component import Component
from videoprep.store.recipe import Recipe

NO_MASK = "none"

_logger = logging.getLogger(__name__)


def choose_loss_mask(
    recipes: Mapping[Component, Recipe], asked: str | None, where: str
) -> Component | None:
    """Return the component whose masks weigh the loss; None: all of a clip counts.

    If none is asked for, that is the store's only one for the loss, or of several the one without
    a suffix.

    Args:
        recipes: the store's.
        asked: a component, ``none``, or None.
        where: the store, for messages.

    Raises:
        TrainError: There is no such component, its masks are for something else, or of several
            none is named.
    """
    masks = {name: one for name, one in recipes.items() if one.source.is_mask}
    of_loss = [name for name, one in masks.items() if one.fields.get("mask_meaning") == "loss"]
    if asked == NO_MASK:
        return None
    if asked is not None:
        if asked in of_loss:
            return asked
        why = "are for inpainting, not for the loss" if asked in masks else "are not in the store"
        raise TrainError(
            f"masks called {asked!r} {why}",
            where=where,
            remedy=nearest(asked, [*of_loss, NO_MASK], "there are"),
            option="loss_mask",
        )
    if len(of_loss) < 2:
        if unused := sorted(masks.keys() - of_loss):
            _logger.warning("%s: for inpainting, and do not weigh the loss", ", ".join(unused))
        return next(iter(of_loss), None)
    plain = [name for name in of_loss if ":" not in masks[name].source.role]
    if plain:
        return plain[0]
    raise TrainError(
        f"there are several masks: {', '.join(of_loss)}",
        where=where,
        remedy=f"name one with `loss_mask`, or `loss_mask={NO_MASK!r}`",
        option="loss_mask",
    )


def mean_of_clips(errors: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the mean error of each clip, weighted: ``[B]``.

    A clip counts as much as any other, however little of it is white. One that is all black has
    nothing to learn from: 0.

    Args:
        errors: ``[B, F, C, H, W]``.
        weights: ``[B, F, 1, H, W]``; None: all count the same.
    """
    if weights is None:
        return errors.flatten(1).mean(dim=1)
    weights = weights.to(errors)
    sums = (errors * weights).flatten(1).sum(dim=1)
    total = weights.flatten(1).sum(dim=1) * errors.shape[2]
    return torch.where(total > 0, sums / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
