"""Reader for ``captions.json``: an object that maps the videos of its folder to their captions."""

from __future__ import annotations

import codecs
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from videoprep.errors import Code, Problem
from videoprep.spec.cells import BadCellError, as_captions, empty_among
from videoprep.spec.encoding import open_utf8
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.folder import levels
from videoprep.spec.readers.base import (
    FolderReader,
    ReadRequest,
    fallback_used,
    some_empty,
    table_error,
)
from videoprep.spec.readers.caption_files import (
    OTHERS,
    STILLS,
    TEXT_SUFFIXES,
    UNREAD,
    CaptionNames,
    Collector,
    bad_name,
)
from videoprep.spec.readers.json_objects import MAX_OBJECT, Flaws, nothing_more
from videoprep.spec.readers.json_pieces import LostError, Pieces, TooLargeError
from videoprep.spec.sound_beside import UNPAIRED_SOUND
from videoprep.spec.text_file import changed, is_text, require_list
from videoprep.spec.video_files import (
    is_media_name,
    is_sound_name,
    is_still_name,
    is_unread_name,
    is_video_name,
    suffix_of,
)

NAME = "captions.json"
"""What the file is called."""

UNPAIRED_ENTRIES = f"entries of {NAME} without a video"
BROKEN_ENTRIES = f"further broken entries of {NAME}"
TEXTS = f"text files, which are not read beside {NAME}"

_REMEDIES = {
    UNPAIRED_ENTRIES: f"check the names: they are paths from the folder of {NAME}, with endings",
    BROKEN_ENTRIES: "write the file again",
    TEXTS: f"take over into {NAME} what is missing there",
}
_SNIFFED = 1 << 16
_MOST_BROKEN = 100  # entries that name no video of the folder, each with a problem of its own
_LONGEST_KEY = 1 << 15  # characters in which an entry's name lies that follows a broken one
_SHOWN = 100
_REMEDY = 'correct the entry, or delete it; an entry is "clip.mp4": "a caption", or a list of them'

_BETWEEN = re.compile(r"[\s,]*")
# Where an entry may begin: with a name, behind the brace, or behind the value before it. A quote in
# a text has a backslash before it, so that looking from each start takes linear time in all. The
# limits of repeats keep the memory of a match small.
_ENTRY = re.compile(r'[{,"\]}]\s*("((?:[^"\\]|\\.){0,5000})"\s*:)\s*(["\[]?)')
_NESTED = re.compile(r'(?:[^"\[\]{}]+|"[^"\\]*"){1,200}|"|[\[{]+|[\]}]')
_IN_TEXT = re.compile(r'[^"\\]+|(?:\\.){1,200}|"', re.DOTALL)
_MOST_NESTED = 4 * MAX_OBJECT  # characters of a value that is too large, behind which to go on


class CaptionsJson(FolderReader):
    """The videos of a folder and of the folders in it, with their captions in one object.

    ``{"clip.mp4": "a caption", "sub/clip.mp4": ["several", "captions"]}``. A video without an entry
    is a sample without a caption. Still images are samples if they have one. Entries without a
    video are counted and named.
    """

    name = "captions-json"
    summary = f"videos, and a {NAME} that maps their names to captions"
    names_all = True
    order = 25

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        path = folder / NAME
        if not os.path.isfile(path):
            return False
        try:
            with open_utf8(path) as file:
                start = file.read(_SNIFFED).removeprefix(codecs.BOM_UTF8)
        except (OSError, UnicodeDecodeError):
            return True  # whoever reads it says what is wrong
        text = start.decode("utf-8", "replace").lstrip()
        return text.startswith("{") and any(
            is_media_name(match[2]) and match[3] for match in _ENTRY.finditer(text)
        )

    def lists(self, request: ReadRequest) -> list[Path]:
        return [request.root / NAME]

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        return NAME

    def read(self, request: ReadRequest) -> Entries:
        path = request.root / NAME
        require_list(path)
        collector = Collector(request, remedies=_REMEDIES)
        collector.found.files.append(str(path))
        videos = _names(request, collector)
        given = _Given(path, frozenset(videos), collector)
        try:
            for entry in _entries(path):
                given.take(entry)
        except LostError as error:
            collector.found.problems.append(nothing_more(error, path, error.line))
        for video in videos:
            if request.fallback is None and is_still_name(video) and not given.names(video):
                collector.pass_over(STILLS, "", [video])
            else:
                _sample(video, given, collector)
        return collector.finish()

    def mirrored(self, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        beside = CaptionNames([name for name in names if name == NAME])
        is_caption = any(is_media_name(name) and beside.of(name) for name in names)
        return [NAME] if NAME in names and not is_caption else []


READER = CaptionsJson()


class Member(NamedTuple):
    """An entry of the object."""

    line: int
    name: str | None
    """The video; None if that much cannot be read."""
    value: Any
    """Its captions, or the exception that says why they cannot be read."""


@dataclass(slots=True)
class _Given:
    """What the object says of the videos in the folder."""

    path: Path
    videos: frozenset[str]
    collector: Collector
    captions: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    """How many captions of a video are empty, if some are."""
    problems: dict[str, Problem] = field(default_factory=dict)
    flaws: Flaws = field(init=False)
    broken: int = 0

    def __post_init__(self) -> None:
        self.flaws = Flaws(self.path, {})

    def names(self, video: str) -> bool:
        """Return whether there is an entry for a file."""
        return video in self.captions or video in self.problems

    def take(self, entry: Member) -> None:
        """Take up an entry: its captions, or what is wrong with it."""
        line, name, value = entry
        video = name if name in self.videos else posixpath.normpath(name) if name else None
        problem = self._flaw(entry)
        if video is None or video not in self.videos:
            self._without_video(entry, video, problem)
            return
        if video in self.captions or video in self.problems:
            message = f"there is more than one entry for {name!r:.{_SHOWN}}"
            remedy = "keep one of them; several captions of a video are a list"
            problem = Problem(Code.MALFORMED_ROW, message, remedy, str(self.path), line)
        if problem is not None:
            self.problems.setdefault(video, replace(problem, video=video))
            return
        try:
            self.captions[video] = line, as_captions(value)
            if empty := empty_among(value):
                self.empty[video] = empty
        except BadCellError as error:
            message, remedy = f"the entry {error}", "write a text, or a list of texts"
            self.problems[video] = Problem(
                Code.BAD_VALUE, message, remedy, str(self.path), line, video=video
            )

    def _flaw(self, entry: Member) -> Problem | None:
        if not isinstance(entry.value, Exception):
            return None
        problem = self.flaws.of(entry.value, entry.line, None)
        if problem is None or problem.code != Code.MALFORMED_ROW:
            return problem
        return replace(problem, remedy=_REMEDY)

    def _without_video(self, entry: Member, video: str | None, problem: Problem | None) -> None:
        if problem is None:
            shown = (entry.name or '""')[:_SHOWN]
            text = shown.encode("utf-8", "backslashreplace").decode()
            self.collector.pass_over(UNPAIRED_ENTRIES, "", [text])
        else:
            self.broken += 1
            if self.broken <= _MOST_BROKEN:
                self.collector.found.problems.append(problem)
            else:
                self.collector.pass_over(BROKEN_ENTRIES, "", [f"line {entry.line}"])


def _names(request: ReadRequest, collector: Collector) -> list[str]:
    """The videos and the still images of the folder; all else is counted."""
    videos: list[str] = []
    for level in levels(request.root, allow_outside=request.allow_outside):
        sounds = collector.sounds_among(level.files)
        beside = {one for name in level.files if is_video_name(name) for one in sounds.of(name)}
        for name in level.files:
            whole = level.prefix + name
            if is_media_name(name):
                videos.append(whole)
            elif is_unread_name(name):
                collector.pass_over(UNREAD, level.prefix, [name])
            elif whole != NAME and name not in beside:
                is_caption = suffix_of(name) in TEXT_SUFFIXES
                other = UNPAIRED_SOUND if sounds and is_sound_name(name) else OTHERS
                collector.pass_over(TEXTS if is_caption else other, level.prefix, [name])
        for kind, name in level.other:
            collector.pass_over(kind, level.prefix, [name])
    return videos


def _sample(video: str, given: _Given, collector: Collector) -> None:
    found, request, where = collector.found, collector.request, str(given.path)
    if not is_text(video):
        found.fail(bad_name(os.path.join(request.root, video)))
        return
    if video in given.problems:
        found.fail(given.problems[video])
        return
    line, texts = given.captions.get(video, (None, ()))
    if not texts and request.fallback is not None:
        texts = (request.fallback,)
        found.remarks.append(fallback_used(where, line, None, found.total + 1))
    if not texts:
        found.fail(_no_caption(video, line, where))
        return
    found.total += 1
    if empty := given.empty.get(video, 0):
        found.remarks.append(some_empty(empty, where, line, None, found.total))
    found.entries.append(
        Entry(video, texts[0], found.total, line, None, where, where, further=texts[1:])
    )


def _no_caption(video: str, line: int | None, where: str) -> Problem:
    message = f"there is no entry for it in {NAME}" if line is None else "the entry is empty"
    remedy = (
        "write its caption, let a model write it (`videoprep caption`), or set `caption_fallback` "
        "for all that lack one"
    )
    return Problem(Code.EMPTY_CAPTION, message, remedy, where, line, video=video)


def _entries(path: Path) -> Iterator[Member]:
    try:
        with open_utf8(path) as file:
            scanner = _ObjectScanner(file)
            if not scanner.begins():
                message = "there is no JSON object in it"
                raise table_error(path, message, 'write {"clip.mp4": "a caption", …}')
            yield from scanner.members()
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error


class _ObjectScanner(Pieces):
    """Goes through the entries of an object."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._lost = False  # whether no entry follows a broken one: the object's end is lost, too

    def begins(self) -> bool:
        """Return whether it is an object, and move into it."""
        self._skip()
        return self._passes("{")

    def members(self) -> Iterator[Member]:
        """Yield the entries; one that is broken costs itself.

        Raises:
            LostError: so much is broken that the rest is not looked through.
        """
        while not self._lost:
            self._skip(_BETWEEN)
            if not self._peek():
                yield Member(self._line, None, EOFError("the file ends before the object does"))
                return
            if self._passes("}"):
                self._skip()
                if self._peek():
                    yield Member(self._line, None, ValueError("text follows the object"))
                return
            yield self._member()

    def _member(self) -> Member:
        line = self._line
        name = self._value() if self._peek() == '"' else ValueError("a name in quotes is missing")
        value = name if _is_broken(name) else self._behind_name()
        if isinstance(name, UnicodeError) and not _is_broken(value):
            value = name
        if isinstance(value, RecursionError | TooLargeError):
            self._leave()
        if _is_broken(value):
            self._resume()
        return Member(line, name if isinstance(name, str) else None, value)

    def _behind_name(self) -> Any:
        """The value of an entry, or the exception that says what is wrong with it."""
        self._skip()
        if not self._passes(":"):
            return ValueError("a colon is missing behind the name")
        self._skip()
        value = self._value()
        if not _is_broken(value):
            self._skip()
            if self._peek() not in ("", ",", "}"):
                return ValueError("a comma is missing behind the captions")
        return value

    def _resume(self) -> None:
        """Move to the next name that is called like a video.

        Raises:
            LostError: so much was broken already that the rest is not looked through.
        """
        if self._peek() == '"' and _ENTRY.match(f",{self._text[self._at :][:_LONGEST_KEY]}"):
            return  # only a comma is missing
        while True:
            self._require_hope()
            match = _ENTRY.search(self._text, self._at)
            if match is not None and is_media_name(match[2]):
                self._move(match.start(1))
                return
            if match is not None:
                self._move(match.end(1))
                continue
            self._move(max(self._at, len(self._text) - _LONGEST_KEY))
            if not self._grow():
                self._move(len(self._text))
                self._lost = True
                return

    def _leave(self) -> None:
        """Move behind a value that is sound and too large; names in it are not ours."""
        depth = passed = 0
        in_text = False
        while passed < _MOST_NESTED:
            match = (_IN_TEXT if in_text else _NESTED).match(self._text, self._at)
            if match is None:
                if not self._grow():
                    return
                continue
            part = match[0]
            self._move(match.end())
            passed += len(part)
            if part == '"':
                in_text = not in_text
            elif not in_text and part[0] in "[{":
                depth += len(part)
            elif not in_text and part in "]}":
                depth -= 1
            if depth <= 0 and not in_text:
                return

    def _passes(self, char: str) -> bool:
        if self._peek() != char:
            return False
        self._move(self._at + 1)
        return True


def _is_broken(value: Any) -> bool:
    """Whether a value ends where nobody knows; one that is not UTF-8 has an end."""
    return isinstance(value, Exception) and not isinstance(value, UnicodeError)
