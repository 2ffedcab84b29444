"""From stored tensors to what a target takes of them: draws and means, padded embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from videoprep.encoding.draws import seeded
from videoprep.exporters.contract import Exported, Origin
from videoprep.families.component import Component
from videoprep.families.moments import MOMENTS, PosteriorForm, draw, mode
from videoprep.families.registry import families

if TYPE_CHECKING:
    import torch

# What decides a clip's latents besides the model: another export, of more clips, draws the same.
_IDENTITY = (
    "fingerprint", "frame_indices", "crop_x", "crop_y", "crop_width", "crop_height",
    "frames", "height", "width",
)  # fmt: skip
# Of one clip's latents: channels, frames, height, width.
_DIMENSIONS = 4


def unscaled(
    clip: Exported, origin: Origin, component: Component = "video_latents"
) -> torch.Tensor:
    """A draw or the mean, as `Origin.posterior` says: unscaled float32 ``[C, F', H', W']``.

    Of several first frames (``noisy_image_latents``): of each, ``[draws, C, 1, H', W']``.
    """
    facts, form = origin.info.facts, _form_of(origin, component) or MOMENTS
    stored = clip.tensors[component]
    several = stored.ndim > _DIMENSIONS
    moments = stored if several else stored[None]
    if origin.posterior == "mean":
        latents = mode(moments, facts, form)
    else:
        name = repr([origin.seed, component, *(clip.metadata[column] for column in _IDENTITY)])
        generator = seeded(xxhash.xxh3_128_hexdigest(name.encode()))
        latents = draw(moments, facts, generator, form)
    return latents if several else latents[0]


def for_transformer(
    clip: Exported, origin: Origin, component: Component = "video_latents"
) -> torch.Tensor:
    """`unscaled`, then as the family's transformer takes it, without the batch dimension."""
    facts = {**origin.info.facts, "posterior": origin.posterior}  # drawn already
    latents = unscaled(clip, origin, component)[None]
    return families()[origin.info.family].to_transformer(latents, facts)[0]


def as_asked(clip: Exported, origin: Origin, component: Component) -> torch.Tensor:
    """A tensor as it is stored, or the draw or mean of what has moments, in the stored type."""
    stored: torch.Tensor = clip.tensors[component]
    if origin.posterior == "moments" or _form_of(origin, component) is None:
        return stored
    return unscaled(clip, origin, component).to(stored.dtype)


def _form_of(origin: Origin, component: Component) -> PosteriorForm | None:
    return origin.info.recipes[component].posterior_form


def padded(embeds: torch.Tensor, origin: Origin) -> tuple[torch.Tensor, torch.Tensor]:
    """With zeros up to the family's limit ``[limit, features]``, and a mask ``[limit]``, bool."""
    import torch

    limit = families()[origin.info.family].max_tokens
    mask = torch.arange(limit) < len(embeds)
    return torch.nn.functional.pad(embeds, (0, 0, 0, limit - len(embeds))), mask
