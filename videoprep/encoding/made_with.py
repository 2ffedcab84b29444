"""How a store was made, as its recipes tell."""

from __future__ import annotations

from videoprep.encoding.recipes import Settings
from videoprep.errors import StoreError
from videoprep.store.layout import StoreInfo


def settings_of(info: StoreInfo, where: str) -> Settings:
    """The settings that give the store's own recipes again.

    Args:
        info: what ``store.json`` says.
        where: the store, for the message.

    Raises:
        StoreError: the recipes lack something.
    """
    try:
        text, video = (info.recipes[name].fields for name in ("prompt_embeds", "video_latents"))
        noisy = info.recipes.get("noisy_image_latents")
        return Settings(
            dtype=video["dtype"],
            text_dtype=text["computed_in"],
            decoder=video["decoder"],
            tiling=video["tiling"],
            posterior=video["posterior"],
            image_noise=0 if noisy is None else noisy.fields["draws"],
        )
    except KeyError as error:
        raise StoreError(
            f"its recipes do not say {error}: another version of videoprep made it",
            where=where,
            remedy="use that version, or encode anew",
        ) from error
