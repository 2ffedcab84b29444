"""What is found of a dataset's sound before anything is planned, in sentences for `init`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from videoprep.index.proposals import Glance
from videoprep.spec.discovery import Found
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.sound_beside import add_sounds_beside

_SHOWN = 3


def sound_found(found: Found, seen: Glance, fields: Mapping[str, Any]) -> Iterator[str]:
    """Say where the sound of the videos looked at is.

    Args:
        found: the dataset.
        seen: what a few of its videos are like.
        fields: what the file sets.
    """
    column = fields.get("audio_column")
    if column:
        yield f"Sound: files that the column {column!r} names; if it is empty, the video's own"
    elif column is None:
        yield from _beside(found)
    own = sum(media.audio is not None for media in seen.media)
    if own:
        yield f"Videos with a sound track: {own} of {seen.videos_looked_at} looked at"


def _beside(found: Found) -> Iterator[str]:
    """Say which of the first videos have a sound file beside them."""
    entries = Entries(
        entries=[
            Entry(name, "", number, None, None, "", "")
            for number, name in enumerate(found.names, start=1)
        ]
    )
    add_sounds_beside(entries, found.root)
    if entries.sounds_beside:
        yield (
            f"Sound: files beside {entries.sounds_beside} of {len(found.names)} videos, such as "
            f"{_first(entries)}"
        )
    flaws = [flaw.message for flaw in chain.from_iterable(entries.flaws.values())]
    if flaws:
        more = f"; and {len(flaws) - _SHOWN} more" if len(flaws) > _SHOWN else ""
        yield f"Sound that leaves open what it belongs to: {'; '.join(flaws[:_SHOWN])}{more}"


def _first(entries: Entries) -> str:
    return next(name for entry in entries.entries for _, name in entry.beside)
