"""The words that a pipeline puts around a caption."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The words around a caption, of whose embeddings the first are left out."""

    text: str
    """``{}`` stands for the caption."""
    skipped: int
    """How many tokens are left out at the beginning."""

    def wrap(self, caption: str) -> str:
        """Return a caption with the words around it."""
        return self.text.format(caption)

    def counter(self, count: Callable[[str], int]) -> Callable[[str], int]:
        """Return what counts a caption's tokens within the template, but those that are left out.

        Args:
            count: counts the tokens of a text.
        """
        return lambda caption: count(self.wrap(caption)) - self.skipped

    @property
    def fingerprint(self) -> str:
        """Stands for the template in recipes: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.text} {self.skipped}".encode()).hexdigest()[:16]
