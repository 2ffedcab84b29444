"""Reader for two line files: captions in one, video paths in the other, paired by line number."""

from __future__ import annotations

from pathlib import Path

from videoprep.errors import Code, Problem
from videoprep.spec.entries import Entries, Entry, not_utf8, read_text, split_lines


def read_line_files(captions: Path, videos: Path) -> Entries:
    """Pairs the lines of two files by their number.

    A blank line is a problem and never a shift: the lines after it keep their partners. When
    the counts differ no line can be trusted to have the right partner, so no entry is given.

    Raises:
        SpecError: one of the files is missing or cannot be opened.
    """
    found = Entries()
    columns: list[list[str]] = []
    for path in (captions, videos):
        try:
            columns.append([line for _, line in split_lines(read_text(path))])
        except UnicodeDecodeError as error:
            found.problems.append(not_utf8(path, error))
            found.total = max(found.total, len(error.object.splitlines()))
    found.total = max([found.total, *(len(column) for column in columns)])
    if found.problems:
        return found
    if len(columns[0]) != len(columns[1]):
        found.problems.append(_unequal(captions, videos, *columns))
    for path, column in zip((captions, videos), columns, strict=True):
        found.problems.extend(_blank_lines(path, column))
    if len(columns[0]) == len(columns[1]):
        found.entries = [
            Entry(video, caption, str(videos), number)
            for number, (caption, video) in enumerate(zip(*columns, strict=True), start=1)
            if caption and video
        ]
    return found


def _unequal(
    captions: Path, videos: Path, caption_lines: list[str], video_lines: list[str]
) -> Problem:
    longer = captions if len(caption_lines) > len(video_lines) else videos
    return Problem(
        Code.UNEQUAL_COUNTS,
        f"{captions.name} has {len(caption_lines)} lines and {videos.name} has {len(video_lines)}",
        "line n of one file belongs to line n of the other: "
        "find the line that is missing or too many",
        str(longer),
        min(len(caption_lines), len(video_lines)) + 1,
    )


def _blank_lines(path: Path, column: list[str]) -> list[Problem]:
    return [
        Problem(
            Code.BLANK_LINE,
            "blank line",
            "write the missing entry, or delete this line here and its partner in the other file",
            str(path),
            number,
        )
        for number, line in enumerate(column, start=1)
        if not line
    ]
