"""How many clips of a plan have media of each role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from videoprep.index.schema import media_column
from videoprep.index.summary import Summary
from videoprep.index.table import BucketIndex
from videoprep.spec.roles import AUDIO, VIDEO


@dataclass(frozen=True, slots=True)
class RoleCounts:
    """Clips by the roles of their media. The video is not among them: every clip has one."""

    clips: Mapping[str, int] = field(default_factory=dict)
    """How many have media of a role; a role that no clip has is not there."""
    files: Mapping[str, int] = field(default_factory=dict)
    """How many of them have it from a file of its own, not from the video."""

    def sentences(self, summary: Summary) -> Iterator[str]:
        """Yield how many of a plan's clips have what, a role at a time."""
        clips, what = summary.assignments, f"{summary.word}s"
        for role, count in self.clips.items():
            files = self.files.get(role, 0)
            own = f", {files:,} of them from files of their own" if files else ""
            if role == AUDIO:
                yield f"{what} with sound: {count:,} of {clips:,}{own}"
            else:
                yield f"{what} with {role}: {count:,} of {clips:,}"


def count_roles(index: BucketIndex) -> RoleCounts:
    """Return how many planned clips have media of each role.

    Nothing is said of sound if the index does not know which clips have it.
    """
    planned = index.table["left_out_code"].is_null().to_numpy()
    clips: dict[str, int] = {}
    files: dict[str, int] = {}
    if index.knows_sound:
        clips[AUDIO] = int(index.has_audio.sum())
    for role in index.roles:
        named = index.table[media_column(role, "path")].is_valid().to_numpy() & planned
        files[role] = int(named.sum())
        if role == AUDIO and index.knows_sound:
            of_file = named[np.flatnonzero(planned)]
            files[role] = int((of_file & index.has_audio).sum())
        else:
            clips[role] = files[role]
    return RoleCounts(
        {role: count for role, count in clips.items() if count and role != VIDEO},
        {role: count for role, count in files.items() if count},
    )
