"""Reader for a caption file beside each video: ``clip.mp4`` and ``clip.txt``."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from videoprep.errors import Code, Problem
from videoprep.spec.cells import BadCellError, as_captions, empty_among
from videoprep.spec.columns import CAPTION_COLUMNS, normalized
from videoprep.spec.encoding import guess_encoding, marked_encoding, wide_encoding
from videoprep.spec.entries import Entries, Entry, PassedOver
from videoprep.spec.folder import HIDDEN, LINKED_AGAIN, LINKED_OUTSIDE, Level, levels
from videoprep.spec.readers.base import (
    CaptionLines,
    FolderReader,
    ReadRequest,
    fallback_used,
    some_empty,
)
from videoprep.spec.readers.json_objects import DECODER, RepeatedKeys, reason_of
from videoprep.spec.sound_beside import UNPAIRED_SOUND, SoundNames, sound_folder
from videoprep.spec.text_file import in_shell, is_text
from videoprep.spec.unlisted import KIND as UNLISTED
from videoprep.spec.video_files import (
    is_media_name,
    is_sound_name,
    is_still_name,
    is_unread_name,
    is_video_name,
    stem_of,
    suffix_of,
)
from videoprep.spec.video_lookup import is_inside

TEXT_SUFFIXES = (".txt", ".caption")
"""Endings of caption files that hold nothing but the caption, in order of preference."""

JSON_SUFFIX = ".json"
"""Ending of caption files that hold an object with a caption."""

CAPTION_SUFFIXES = (*TEXT_SUFFIXES, JSON_SUFFIX)

_MOST_BYTES = 1 << 16  # of one caption file
_GLANCE = 20_000  # videos among which a caption is looked for
_EXAMPLES = 3
_NO_FILE = "there is no caption file for it"

STILLS = "still images without a caption"
COVERS = "still images with the name of a video"
UNREAD = "still images in formats that are not read"
UNPAIRED = "caption files without a video or a still image"
SECOND = "further caption files of a video"
OTHERS = "other files"
_MILD = (HIDDEN, OTHERS, LINKED_AGAIN, UNLISTED)  # that need not be meant for training


class CaptionFiles(FolderReader):
    """The videos and still images of a folder and of the folders in it, with captions beside them.

    ``clip.mp4`` has ``clip.txt`` or ``clip.caption``, ``clip.mp4.txt``, or ``clip.json`` with a
    key such as ``caption``; endings in any letter case. A video without one is a sample without a
    caption. A still image is a sample if it has a caption of its own: without one, or beside a
    video of the same name, it may be a cover. Every other file is counted and named.
    """

    name = "caption-files"
    summary = "videos with a caption file beside each"
    names_all = True
    order = 50

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        left = _GLANCE
        for level in levels(folder, allow_outside=request.allow_outside):
            media = [name for name in level.files if is_media_name(name)]
            captions = CaptionNames(level.files)
            if any(captions.of(name) for name in islice(media, left)):
                return True
            left -= len(media)
            if left <= 0:
                break
        return False

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        lacking = sum(entry.line is None for entry in entries.entries)
        lacking += sum(problem.message == _NO_FILE for problem in entries.problems)
        if not lacking:
            return self.summary
        if lacking == entries.total:
            return "videos without caption files"
        beside = entries.total - lacking
        return f"videos, {beside:,} of {entries.total:,} with a caption file beside it"

    def read(self, request: ReadRequest) -> Entries:
        collector = Collector(request)
        beside = tuple(f"{folder}/" for folder in self.role_folders(request).values())
        for level in levels(request.root, allow_outside=request.allow_outside):
            if not level.prefix.startswith(beside):
                collector.take(level, level.prefix, level.files)
        return collector.finish()

    def mirrored(self, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        captions = CaptionNames(names)
        return [one for name in names if is_media_name(name) for one in captions.of(name)]


READER = CaptionFiles()


class CaptionNames:
    """Finds the caption files of videos among the names of a folder."""

    def __init__(self, names: Sequence[str]) -> None:
        self._by_key: dict[str, str] = {}
        self._others: dict[str, list[str]] = {}  # that differ from those in their ending's case
        for name in names:
            suffix = suffix_of(name)
            if suffix not in CAPTION_SUFFIXES:
                continue
            key = name[: -len(suffix)] + suffix
            other = self._by_key.setdefault(key, name)
            if other != name:
                self._by_key[key] = max(other, name)  # small letters go before capitals
                self._others.setdefault(key, []).append(min(other, name))

    def of(self, video: str) -> list[str]:
        """Return the names of a file's caption files, the preferred one first."""
        stem = video[: -len(suffix_of(video.rstrip())) or None] if suffix_of(video) else video
        keys = [f"{base}{suffix}" for suffix in TEXT_SUFFIXES for base in (stem, video)]
        keys += [f"{base}{JSON_SUFFIX}" for base in (stem, video)]
        there = [key for key in keys if key in self._by_key]
        found = [self._by_key[key] for key in there]
        if self._others:
            found += [name for key in there for name in self._others.get(key, ())]
        return found

    def all(self) -> Iterator[str]:
        """Yield the names of all files that are called like caption files."""
        yield from self._by_key.values()
        for names in self._others.values():
            yield from names


@dataclass(frozen=True, slots=True)
class Caption:
    """What a caption file holds."""

    texts: tuple[str, ...] = ()
    """Its captions; none if the file is empty."""
    code: Code | None = None
    """What is wrong with the file, if something is."""
    message: str = ""
    remedy: str = ""
    encoding: str | None = None
    """The encoding that a byte order mark names, if it is not UTF-8."""
    empty: int = 0
    """How many captions of a list are empty."""
    is_caption: bool = True
    """False for a JSON file in which no key is called like a caption."""


@dataclass(slots=True)
class Collector:
    """Gathers the samples of folders, and counts what is passed over."""

    request: ReadRequest
    found: Entries = field(default_factory=Entries)
    passed: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    remedies: Mapping[str, str] = field(default_factory=dict)
    """What to do about the kinds of files that only one format knows."""
    sounds_in: str | None = field(init=False)
    """The folder of the videos' sound files, if there is one and it is wanted."""

    def __post_init__(self) -> None:
        """Look for the folder of sound files."""
        wanted = self.request.columns.get("audio") != ""
        self.sounds_in = sound_folder(self.request.root) if wanted else None

    def take(self, level: Level, caption_prefix: str, caption_files: Sequence[str]) -> None:
        """Take up a folder's videos and still images.

        Args:
            level: the folder.
            caption_prefix: the folder of its caption files, as `Level.prefix`.
            caption_files: the files of that folder.
        """
        captions, sounds = CaptionNames(caption_files), self.sounds_among(level.files)
        of_videos = {stem_of(name) for name in level.files if is_video_name(name)}
        used: set[str] = set()
        rest: list[str] = []
        for name in level.files:
            beside = captions.of(name) if is_media_name(name) else []
            used.update(beside)
            if is_video_name(name):
                used.update(sounds.of(name))
                self._sample(level.prefix + name, caption_prefix, beside)
            elif is_still_name(name):
                cover = stem_of(name) in of_videos
                self._still(level.prefix, name, caption_prefix, beside, is_cover=cover)
            elif is_unread_name(name):
                self._pass(UNREAD, level.prefix + name)
                used.update(captions.of(name))
            else:
                rest.append(name)
        places = [(level.prefix, rest)]
        if caption_prefix != level.prefix:
            places.append((caption_prefix, list(captions.all())))
        for prefix, names in places:
            for name in names:
                if name not in used:
                    is_caption = suffix_of(name) in TEXT_SUFFIXES
                    other = UNPAIRED_SOUND if sounds and is_sound_name(name) else OTHERS
                    self._pass(UNPAIRED if is_caption else other, prefix + name)
        for kind, name in level.other:
            self._pass(kind, level.prefix + name)

    def sounds_among(self, names: Sequence[str]) -> SoundNames:
        """Return the sound files among the names of a folder; none if they are not wanted."""
        return SoundNames(() if self.request.columns.get("audio") == "" else names)

    def pass_over(self, kind: str, prefix: str, names: Sequence[str]) -> None:
        """Count files of a folder that nothing is made of."""
        for name in names:
            self._pass(kind, prefix + name)

    def finish(self) -> Entries:
        """Return what was found."""
        for kind, count in sorted(self.counts.items()):
            over = PassedOver(kind, count, tuple(self.passed[kind]))
            self.found.passed_over.append(over)
            self.found.remarks.append(passed_over(over, str(self.request.root), self.remedies))
        return self.found

    def _is_meant(self, captions: Sequence[str], is_cover: bool) -> bool:
        """Whether a still image is a sample: it has a caption, or would get one."""
        return bool(captions) or (self.request.fallback is not None and not is_cover)

    def _pass(self, kind: str, name: str) -> None:
        if self.sounds_in and is_sound_name(name) and name.startswith(f"{self.sounds_in}/"):
            return  # who looks there for the sounds of videos tells what is left
        self.counts[kind] += 1
        examples = self.passed.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(_readable(name))

    def _still(
        self, prefix: str, name: str, caption_prefix: str, beside: Sequence[str], *, is_cover: bool
    ) -> None:
        """Take up a still image; one with the name of a video needs a caption of its own."""
        own = [one for one in beside if one.startswith(name)] if is_cover else [*beside]
        if self._is_meant(own, is_cover):
            self._sample(prefix + name, caption_prefix, own)
        else:
            self._pass(COVERS if is_cover else STILLS, prefix + name)

    def _sample(self, video: str, prefix: str, beside: Sequence[str]) -> None:
        found, root, fallback = self.found, self.request.root, self.request.fallback
        file = os.path.join(root, video)
        if not is_text(video):
            found.fail(bad_name(file))
            return
        caption, name = self._caption(prefix, beside)
        where = file if name is None else os.path.join(root, prefix + name)
        if caption.code is not None:
            found.fail(Problem(caption.code, caption.message, caption.remedy, where, video=video))
            return
        texts = caption.texts
        if not texts and fallback is not None:
            texts = (fallback,)
            found.remarks.append(fallback_used(where, None, None, found.total + 1))
        if not texts:
            found.fail(_no_caption(video, name, where, prefix, beside))
            return
        found.total += 1
        if caption.empty:
            found.remarks.append(some_empty(caption.empty, where, None, None, found.total))
        if caption.encoding is not None:
            found.remarks.append(_recoded(video, where, found.total, caption.encoding))
        # The sample is told by its caption file, whose first line is the caption; without one by
        # its video, which has no lines.
        line = None if name is None else 1
        found.entries.append(
            Entry(video, texts[0], found.total, line, None, where, where, further=texts[1:])
        )

    def _caption(self, prefix: str, beside: Sequence[str]) -> tuple[Caption, str | None]:
        """What the first of the files beside a video holds that is a caption, and its name."""
        within = None if self.request.allow_outside else self.request.root
        found: tuple[Caption, str | None] = Caption(), None
        for name in beside:
            if found[1] is None:
                path = self.request.root / (prefix + name)
                caption = read_caption(path, self.request.caption_lines, within)
                if caption.is_caption:
                    found = caption, name
                    continue
            self._pass(OTHERS if suffix_of(name) == JSON_SUFFIX else SECOND, prefix + name)
        return found


def passed_over(over: PassedOver, root: str, more: Mapping[str, str] | None = None) -> Problem:
    """Return the remark on files of one kind that are not read.

    Args:
        over: the files.
        root: the data root.
        more: remedies by kind, beside the usual ones.
    """
    remedies = {
        **(more or {}),
        STILLS: "write captions beside those that are meant, or set `caption_fallback`",
        COVERS: "rename those that are meant, and give them captions of their own",
        UNREAD: "convert those that are meant to PNG",
        UNPAIRED: "check the names: clip.txt belongs to clip.mp4",
        UNPAIRED_SOUND: "check the names: clip.wav belongs to clip.mp4",
        UNLISTED: "write them into the list, if they are meant to be part of the dataset",
        SECOND: "the first of a video's caption files is read: .txt, then .caption, then .json",
    }
    remedy = remedies.get(over.kind, "nothing, unless they are meant to be part of the dataset")
    if over.kind == LINKED_OUTSIDE:
        remedy = "move the files inside, or set `allow_outside_root`"
    return Problem(
        Code.PASSED_OVER,
        f"not read: {over}",
        remedy,
        root,
        severity="note" if over.kind in _MILD else "warning",
    )


def read_caption(path: Path, lines: CaptionLines, within: Path | None = None) -> Caption:
    """Read a caption file: UTF-8, or what its byte order mark says.

    Args:
        path: the file.
        lines: what its lines are.
        within: the folder that it must not lead out of, if it is a link.
    """
    try:
        with _opened(path, within) as file:
            data = file.read(_MOST_BYTES + 1)
            size = os.fstat(file.fileno()).st_size
    except OutsideError:
        message = "the caption file leads outside the data root"
        remedy = "write the caption inside, or set `allow_outside_root`"
        return Caption(code=Code.OUTSIDE_ROOT, message=message, remedy=remedy)
    except OSError as error:  # gone since the folder was listed
        message = f"the caption file cannot be read: {error.strerror}"
        return Caption(code=Code.EMPTY_CAPTION, message=message, remedy="run the command again")
    if len(data) > _MOST_BYTES:
        message = f"the caption file has {size:,} bytes, more than {_MOST_BYTES:,}"
        return Caption(code=Code.BAD_VALUE, message=message, remedy="write the caption alone")
    wide = marked_encoding(data)
    try:
        text = data.decode(wide or "utf-8-sig")
    except UnicodeDecodeError:
        return _undecodable(path)
    if "\0" in text:
        return _undecodable(path)
    if suffix_of(path.name) == JSON_SUFFIX:
        return replace(_of_json(text), encoding=wide)
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    texts = text.split("\n") if lines == "several" else [text]
    return Caption(tuple(one for line in texts if (one := line.strip())), encoding=wide)


class OutsideError(OSError):
    """A link leads outside the data root."""


def _opened(path: Path, within: Path | None) -> BinaryIO:
    """A regular file, opened without waiting; it may have become something else since listed."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        number = os.open(path, flags | (os.O_NOFOLLOW if within is not None else 0))
    except OSError as error:
        if within is None or error.errno != errno.ELOOP:
            raise
        real = os.path.realpath(path)
        if not is_inside(real, os.path.realpath(within)):
            raise OutsideError from error
        number = os.open(real, flags | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(number, "rb")


def _of_json(text: str) -> Caption:
    try:
        value: Any = DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        message = f"the caption file is {reason_of(error)}"
        return Caption(code=Code.MALFORMED_ROW, message=message, remedy="correct it")
    if not isinstance(value, dict):
        return Caption(is_caption=False)
    keys = {normalized(key): key for key in reversed(value)}
    key = next((keys[name] for name in CAPTION_COLUMNS if name in keys), None)
    if key is None:
        return Caption(is_caption=False)
    if isinstance(value, RepeatedKeys) and key in value.repeated:
        message = f"the key {key!r} of the caption file comes more than once"
        return Caption(code=Code.MALFORMED_ROW, message=message, remedy="keep one of them")
    try:
        return Caption(as_captions(value[key]), empty=empty_among(value[key]))
    except BadCellError as error:
        message = f"the key {key!r} of the caption file {error}"
        return Caption(
            code=Code.BAD_VALUE, message=message, remedy="write a text, or a list of texts"
        )


def _recoded(video: str, where: str, number: int, encoding: str) -> Problem:
    return Problem(
        Code.NOT_UTF8,
        f"the caption file is {encoding}, as its byte order mark says; it is read so",
        "other programs may not read it: save it as UTF-8",
        where,
        number=number,
        severity="note",
        video=video,
    )


def _undecodable(path: Path) -> Caption:
    encoding = wide_encoding(path) or guess_encoding(path)
    looks = f": it looks like {encoding}" if encoding else ""
    name, new = in_shell(path), in_shell(path.with_name(f"{path.name}.new"))
    remedy = "save it as UTF-8"
    if encoding:
        convert = f"iconv -f {encoding} -t UTF-8 {name} > {new} && mv {new} {name}"
        remedy += f", for instance, in its folder: {convert}"
    message = f"the caption file is not UTF-8{looks}"
    return Caption(code=Code.NOT_UTF8, message=message, remedy=remedy)


def _no_caption(
    video: str, name: str | None, where: str, prefix: str, beside: Sequence[str]
) -> Problem:
    stem = os.path.splitext(os.path.basename(video))[0]
    message = _NO_FILE
    if name is not None:
        message = f"the caption file {name} is empty"
    elif beside:
        message = f"{beside[0]} has no key such as caption"
    return Problem(
        Code.EMPTY_CAPTION,
        message,
        f"write the caption into {prefix}{stem}.txt, let a model write it (`videoprep caption`), "
        "or set `caption_fallback` for all that lack one",
        where,
        video=video,
    )


def bad_name(file: str) -> Problem:
    """Return the problem of a video whose name cannot be written as UTF-8."""
    return Problem(
        Code.NOT_UTF8,
        "the file's name is not UTF-8",
        "rename it",
        _readable(file),
    )


def _readable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
