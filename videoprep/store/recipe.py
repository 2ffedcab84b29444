"""A recipe: all that decides an artifact besides its clip. It names a folder of shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videoprep.errors import StoreError, nearest
from videoprep.families.component import Component, Source, source_of
from videoprep.families.moments import MOMENTS, POSTERIOR_FORMS, PosteriorForm

_TELLING: Mapping[str, Any] = {"mask_meaning": "loss"}
"""Fields that say how artifacts are to be read, and decide nothing of them. In a recipe's id each
counts as this value, its default, so that another one makes nothing anew."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the artifacts of one component are made.

    Attributes:
        component: which one.
        fields: model identity, dtype, decoder and so on; JSON values.
    """

    component: Component
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Names the recipe: 16 hexadecimal digits, equal for equal fields that decide something."""
        deciding = {name: _TELLING.get(name, value) for name, value in self.fields.items()}
        text = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def source(self) -> Source:
        """What of a clip the artifacts are made from.

        Raises:
            StoreError: This version of videoprep does not know it.
        """
        return source_of(self.component, self.fields)

    @property
    def is_of_vae(self) -> bool:
        """Whether a VAE made the artifacts of frames: moments, or what was taken of them."""
        # An import brings latents and embeddings of captions, and does not say more.
        return self.source.frames and ("tiling" in self.fields or "imported" in self.fields)

    @property
    def posterior_form(self) -> PosteriorForm | None:
        """What the encoder gave of the posterior; None: what a VAE did not make has none.

        Raises:
            StoreError: This version of videoprep does not know it.
        """
        if not self.is_of_vae and not (self.source.sound and "tiling" in self.fields):
            return None
        name = str(self.fields.get("posterior_form", MOMENTS.name))
        if name not in POSTERIOR_FORMS:
            raise StoreError(
                f"{self.component} are of the unknown form {name!r}",
                remedy=f"upgrade videoprep; {nearest(name, POSTERIOR_FORMS, 'the forms are')}",
            )
        return POSTERIOR_FORMS[name]

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What differs from the fields of another recipe, in words."""
        names = sorted({*self.fields, *other})
        return [
            f"{name}: {other.get(name)!r} there, {self.fields.get(name)!r} asked for"
            for name in names
            if self.fields.get(name) != other.get(name)
        ]
