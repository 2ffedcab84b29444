"""What every reader of lists gives: entries as written, before anything is looked up on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from videoprep.errors import Problem
from videoprep.spec.sample import NO_EXTRAS, Extras


class Entry(NamedTuple):
    """A caption and a video's path, at ``line`` of their files, and what goes with them."""

    video: str
    caption: str
    line: int
    extras: Extras = NO_EXTRAS


@dataclass(slots=True)
class Entries:
    """The usable entries of a dataset, what is wrong with the others, and how many there are.

    Attributes:
        video_file: the file that the videos are written in.
        caption_file: the file that the captions are written in.
        entries: those that can be used.
        problems: all that makes an entry unusable.
        remarks: what is odd and may be meant.
        total: entries written down.
    """

    video_file: str
    caption_file: str
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    total: int = 0
