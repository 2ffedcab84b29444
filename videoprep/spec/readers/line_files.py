"""Reader for two line files: captions in one, video paths in the other, paired by line number."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from videoprep.errors import Code, Problem
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.readers.base import FolderReader, ReadRequest, fallback_used
from videoprep.spec.text_file import is_text, read_lines, survey

PROMPTS = "prompt.txt"
"""The usual name of the file of captions."""

VIDEOS = "videos.txt"
"""The usual name of the file of video paths."""

# Stands in for the partner that a line lacks: it is not blank, and nothing pairs with it.
_NO_LINE = "\0"


class LineFiles(FolderReader):
    """Line n of one file belongs to line n of the other; ``caption`` and ``video`` name the files.

    A blank line is a problem and never a shift: the lines after it keep their partners. If the
    counts differ no line can be trusted to have the right partner, so no entry is given.
    """

    name = "line-files"
    summary = "two text files: a caption per line, and a video path per line"
    named = ("caption", "video")
    order = 10

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        return all(os.path.exists(folder / name) for name in names_of(request))

    def lists(self, request: ReadRequest) -> list[Path]:
        return [request.root / name for name in names_of(request)]

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        captions, videos = names_of(request)
        return f"{os.path.basename(captions)} and {os.path.basename(videos)}, line by line"

    def read(self, request: ReadRequest) -> Entries:
        captions, videos = self.lists(request)
        found = Entries(files=[str(videos), str(captions)])
        surveys = {path: survey(path) for path in (captions, videos)}
        lines = {path: surveyed.lines for path, surveyed in surveys.items()}
        for surveyed in surveys.values():
            found.remarks += map(_about_line, surveyed.remarks)
        if any(surveyed.fatal for surveyed in surveys.values()):
            for surveyed in surveys.values():
                found.problems += surveyed.problems
            found.total = max(lines.values())
            return found
        # Line n is sample n: what is wrong with a line concerns that sample alone.
        for surveyed in surveys.values():
            found.problems += [_of_line(problem) for problem in surveyed.problems]
        trusted = lines[captions] == lines[videos]
        known = len(found.problems)
        _pair(captions, videos, found, request.fallback, trusted=trusted)
        if not trusted:
            unequal = _unequal(captions, videos, lines, found.problems[known:])
            found.problems.insert(known, unequal)
        found.total = max(lines.values())
        return found


READER = LineFiles()


def names_of(request: ReadRequest) -> tuple[str, str]:
    """Return the names of both files: captions, then videos."""
    return request.columns.get("caption") or PROMPTS, request.columns.get("video") or VIDEOS


def _about_line(remark: Problem) -> Problem:
    """Give a remark on a line to its sample; one on the whole file has none."""
    return _of_line(remark) if remark.code is Code.UNUSUAL_SEPARATOR else remark


def _of_line(problem: Problem) -> Problem:
    return replace(problem, number=problem.line)


def _pair(
    captions: Path, videos: Path, found: Entries, fallback: str | None, *, trusted: bool
) -> None:
    video_file, caption_file = str(videos), str(captions)
    lines = zip_longest(read_lines(captions), read_lines(videos), fillvalue=_NO_LINE)
    for number, (caption, video) in enumerate(lines, start=1):
        caption, video = caption.strip(), video.strip()
        written = caption
        if not caption and fallback is not None and video != _NO_LINE:
            caption = fallback
            found.remarks.append(fallback_used(caption_file, number, None, number))
        elif not caption:
            found.problems.append(_blank(captions, number, partner=video))
        if not video:
            found.problems.append(_blank(videos, number, partner=written))
        # A line with NUL bytes, or with others that are not text, has a problem of its own already.
        if trusted and caption and video and _is_sound(caption) and _is_sound(video):
            found.entries.append(
                Entry(video, caption, number, number, None, video_file, caption_file)
            )


def _is_sound(text: str) -> bool:
    return "\0" not in text and is_text(text)


def _unequal(
    captions: Path, videos: Path, lines: Mapping[Path, int], problems: Iterable[Problem]
) -> Problem:
    """Say that the counts differ, and whether the lines too many are blank ones at the end."""
    longer = captions if lines[captions] > lines[videos] else videos
    paired, surplus = min(lines.values()), abs(lines[captions] - lines[videos])
    remedy = "line n of one file belongs to line n of the other: "
    remedy += "find the line that is missing or too many"
    if sum(one.code is Code.BLANK_LINE and (one.line or 0) > paired for one in problems) == surplus:
        which = f"blank line {paired + 1}" if surplus == 1 else f"{surplus} blank lines"
        remedy = f"delete the {which} at the end of {longer.name}"
    return Problem(
        Code.UNEQUAL_COUNTS,
        f"{captions.name} has {lines[captions]} lines and {videos.name} has {lines[videos]}",
        remedy,
        str(longer),
        paired + 1,
    )


def _blank(path: Path, number: int, partner: str) -> Problem:
    """A blank line; one that the other file has nothing for is one too many at the end."""
    remedy = "write the missing entry, or delete this line here and its partner in the other file"
    if partner == _NO_LINE:
        remedy = "delete this line: the other file has none for it"
    elif not partner:
        remedy = "delete this line, which is blank in both files, or write the missing entries"
    return Problem(
        Code.BLANK_LINE,
        "blank line",
        remedy,
        str(path),
        number,
        number=number,
    )
