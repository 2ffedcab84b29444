"""What to call the rows of a plan: clips, or bucket assignments if a clip may be in several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoprep.index.policy import is_multi_bucket
from videoprep.text import counted

CLIP = "clip"
ASSIGNMENT = "bucket assignment"


def row_word(policy: Mapping[str, Any] | None) -> str:
    """Return what a planned row is called, in the singular.

    Args:
        policy: of the index; None if there is no index.
    """
    return ASSIGNMENT if policy is not None and is_multi_bucket(policy) else CLIP


def of_stills(count: int, word: str) -> str:
    """Return how many rows are still images, such as ``2 still images``.

    Args:
        count: how many rows.
        word: what a row is called.
    """
    if word == CLIP:
        return counted(count, "still image")
    return f"{counted(count, word)} of still images"
