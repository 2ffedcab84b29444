"""What is stored of a clip: the components, and what each is made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Component = Literal[
    "video_latents",
    "image_latents",
    "condition_latents",
    "noisy_image_latents",
    "image_embeds",
    "prompt_embeds",
    "pooled_embeds",
]
"""What is stored of a clip. A family makes some of them, see `videoprep.families.contract`.

- ``video_latents``: of all its frames.
- ``image_latents``: of its first frame alone.
- ``condition_latents``: of its first frame followed by zeros (grey), as many frames as the clip.
- ``noisy_image_latents``: of its first frame with noise on its pixels, several times.
- ``image_embeds``: what an image encoder sees in its first frame.
- ``prompt_embeds``: of its caption, a row a token.
- ``pooled_embeds``: of its caption, one for all of it.
"""

COMPONENTS: tuple[Component, ...] = get_args(Component)

KEY_COLUMN: Mapping[Component, str] = {
    "video_latents": "video_key",
    "image_latents": "image_key",
    "condition_latents": "video_key",  # it has as many frames as the clip
    "noisy_image_latents": "image_key",
    "image_embeds": "image_key",
    "prompt_embeds": "prompt_key",
    "pooled_embeds": "prompt_key",
}
"""The index column whose keys name the artifacts of a component."""

MADE_FROM: Mapping[Component, Literal["clip", "image", "caption"]] = {
    "video_latents": "clip",
    "image_latents": "image",
    "condition_latents": "image",
    "noisy_image_latents": "image",
    "image_embeds": "image",
    "prompt_embeds": "caption",
    "pooled_embeds": "caption",
}
"""What of a clip is read: all its frames, the first one, or its caption."""

IS_LATENTS: Mapping[Component, bool] = {name: name.endswith("_latents") for name in COMPONENTS}
"""Whether it is made by the VAE, whose posterior has moments."""
