"""Reader for two line files: captions in one, video paths in the other, paired by line number."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from videoprep.errors import Code, Problem
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.text_file import read_lines, survey

# Stands in for the partner that a line lacks: it is not blank, and nothing pairs with it.
_NO_LINE = "\0"


def read_line_files(captions: Path, videos: Path) -> Entries:
    """Pairs the lines of two files by their number.

    A blank line is a problem and never a shift: the lines after it keep their partners. When
    the counts differ no line can be trusted to have the right partner, so no entry is given.

    Raises:
        SpecError: one of the files is missing or cannot be opened.
    """
    found = Entries(video_file=str(videos), caption_file=str(captions))
    surveys = {path: survey(path) for path in (captions, videos)}
    for surveyed in surveys.values():
        found.problems += surveyed.problems
        found.remarks += surveyed.remarks
    found.total = max(surveyed.lines for surveyed in surveys.values())
    if not any(surveyed.fatal for surveyed in surveys.values()):
        counts = surveys[captions].lines, surveys[videos].lines
        if counts[0] != counts[1]:
            found.problems.append(_unequal(captions, videos, *counts))
        _pair(captions, videos, found, trusted=counts[0] == counts[1])
    return found


def _pair(captions: Path, videos: Path, found: Entries, *, trusted: bool) -> None:
    lines = zip_longest(read_lines(captions), read_lines(videos), fillvalue=_NO_LINE)
    for number, (caption, video) in enumerate(lines, start=1):
        caption, video = caption.strip(), video.strip()
        if not caption:
            found.problems.append(_blank(captions, number))
        if not video:
            found.problems.append(_blank(videos, number))
        # A line with NUL bytes has a problem of its own already.
        if trusted and caption and video and "\0" not in caption and "\0" not in video:
            found.entries.append(Entry(video, caption, number))


def _unequal(captions: Path, videos: Path, caption_lines: int, video_lines: int) -> Problem:
    return Problem(
        Code.UNEQUAL_COUNTS,
        f"{captions.name} has {caption_lines} lines and {videos.name} has {video_lines}",
        "line n of one file belongs to line n of the other: "
        "find the line that is missing or too many",
        str(captions if caption_lines > video_lines else videos),
        min(caption_lines, video_lines) + 1,
    )


def _blank(path: Path, number: int) -> Problem:
    return Problem(
        Code.BLANK_LINE,
        "blank line",
        "write the missing entry, or delete this line here and its partner in the other file",
        str(path),
        number,
    )
