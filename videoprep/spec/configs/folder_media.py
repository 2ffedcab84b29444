"""The media of a folder with a caption file beside each, as trainers read them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videoprep.errors import Code, Problem
from videoprep.spec.entries import Entries, Entry, PassedOver
from videoprep.spec.folder import levels
from videoprep.spec.readers.base import FolderReader, ReadRequest, fallback_used
from videoprep.spec.readers.caption_files import bad_name, passed_over, read_caption
from videoprep.spec.roles import Role
from videoprep.spec.sample import Extras
from videoprep.spec.text_file import is_text
from videoprep.spec.video_files import is_media_name, suffix_of
from videoprep.spec.video_lookup import is_inside

_EXAMPLES = 3
_NO_CAPTION = "there is no caption file for it"

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptionFound:
    """The captions of a file: texts, or why there are none."""

    texts: Texts = ()
    file: Path | None = None
    """Where they are written; None if nowhere."""
    problem: Problem | None = None


CaptionFinder = Callable[[Path, str], CaptionFound]
"""Finds the captions of a file in a folder: ``(folder, name)``."""


@dataclass(frozen=True, slots=True)
class CaptionBeside:
    """Captions in files beside the media: ``clip.mp4`` has ``clip.txt``."""

    suffix: str = ".txt"
    several: bool = False
    """Whether each line is a caption."""

    def __call__(self, folder: Path, name: str) -> CaptionFound:
        path = folder / (os.path.splitext(name)[0] + self.suffix)
        if not os.path.lexists(path):
            return CaptionFound()
        found = read_caption(path, "several" if self.several else "one", folder)
        if found.code is not None:
            return CaptionFound((), path, _problem(found.code, found.message, found.remedy, path))
        return CaptionFound(found.texts, path)


def _problem(code: Code, message: str, remedy: str, path: Path) -> Problem:
    return Problem(code, message, remedy, os.fspath(path))


@dataclass(frozen=True, slots=True)
class MediaBeside:
    """A folder with a file for each of another folder's, under its name."""

    role: Role
    folder: Path
    suffixes: Sequence[str] | None
    """The endings of files that go with it, in the order in which they are looked for, as they are
    written; None: any."""
    is_needed: bool = True
    """Whether a file without one is not used."""

    def of(self, name: str, by_stem: Mapping[str, str]) -> Path | None:
        """Return the file that goes with another of this name.

        Args:
            name: of the other file.
            by_stem: the last of the files in the folder by each name without its ending.
        """
        stem = os.path.splitext(name)[0]
        if self.suffixes is None:
            other = by_stem.get(stem)
            return None if other is None else self.folder / other
        others = (self.folder / (stem + suffix) for suffix in self.suffixes)
        return next((path for path in (self.folder / name, *others) if path.is_file()), None)

    def by_stem(self) -> Mapping[str, str]:
        """Return the media of the folder by their names without endings."""
        if self.suffixes is not None or not self.folder.is_dir():
            return {}
        with os.scandir(self.folder) as entries:
            names = sorted(one.name for one in entries if one.is_file() and is_media_name(one.name))
        return {os.path.splitext(name)[0]: name for name in names}


@dataclass(frozen=True, slots=True)
class MediaFolder:
    """A folder of media, as a config describes it."""

    root: Path
    """The data root of the dataset; the folder, or one that holds it and what goes with it."""
    folder: Path
    suffixes: frozenset[str]
    """The endings of the media that the trainer reads, in lower case."""
    captions: CaptionFinder
    recursive: bool = False
    """Whether the folders in it are read, too."""
    without: frozenset[str] = frozenset()
    """Names of folders in it that are not read."""
    exact_case: bool = False
    """Whether endings are read in small or in capital letters alone."""
    needs_caption: frozenset[str] = frozenset()
    """The endings of files that are passed over if they have no caption file."""
    beside: tuple[MediaBeside, ...] = ()
    reword: Callable[[str], str] = str
    """What the trainer makes of a caption."""
    no_caption: str = ""
    """What the trainer does with a file without a caption."""
    weight: float = 1.0
    """How often each sample comes in an epoch."""

    def moved(self, root: Path) -> MediaFolder:
        """Return the same of another data root, which the user may have named."""
        if root == self.root:
            return self
        beside = tuple(
            replace(one, folder=root / one.folder.relative_to(self.root)) for one in self.beside
        )
        folder = root / self.folder.relative_to(self.root)
        return replace(self, root=root, folder=folder, beside=beside)


class FolderMedia(FolderReader):
    """Reads the media of a `MediaFolder`. What it passes over is counted and named."""

    name = "trainer-folder"
    summary = "media with a caption file beside each"
    names_all = True

    def __init__(self, trainer: str, media: MediaFolder, remarks: Iterable[Problem] = ()) -> None:
        self._trainer = trainer
        self._media = media
        self._remarks = tuple(remarks)
        self._stems: list[Mapping[str, str]] = []

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        return False

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        return f"{self._media.folder}, as {self._trainer} does"

    def role_folders(self, request: ReadRequest) -> Mapping[Role, str]:
        return {}

    def read(self, request: ReadRequest) -> Entries:
        found = Entries(remarks=[*self._remarks])
        self._media = self._media.moved(request.root)
        self._stems = [one.by_stem() for one in self._media.beside]
        over = _PassedOver()
        for folder, name in self._files(over):
            self._take(folder, name, request, found, over)
        for one in over.found():
            found.passed_over.append(one)
            found.remarks.append(passed_over(one, os.fspath(self._media.folder)))
        return found

    def _files(self, over: _PassedOver) -> Iterator[tuple[Path, str]]:
        """Yield the files: of all folders, or of the first alone, which comes first."""
        media = self._media
        for level in levels(media.folder):
            if media.without.intersection(level.prefix.split("/")):
                continue
            for kind, name in level.other:
                over.add(kind, level.prefix + name)
            for name in level.files:
                yield media.folder / level.prefix, name
            if not media.recursive:
                break

    def _take(
        self, folder: Path, name: str, request: ReadRequest, found: Entries, over: _PassedOver
    ) -> None:
        media, path = self._media, folder / name
        if not self._is_read(name):
            if not self._is_caption(name):
                over.add(f"files that {self._trainer} does not read", name)
            return
        if not is_text(name):
            found.fail(bad_name(os.fspath(path)))
            return
        video = os.path.relpath(path, media.root)
        if not request.allow_outside and not _is_in(path, media.folder):
            found.fail(self._outside(path, video))
            return
        caption = media.captions(folder, name)
        if not caption.texts and caption.file is None and suffix_of(name) in media.needs_caption:
            over.add("still images without a caption", name)
            return
        self._add(video, path, caption, request, found)

    def _add(
        self, video: str, path: Path, caption: CaptionFound, request: ReadRequest, found: Entries
    ) -> None:
        where = os.fspath(path if caption.file is None else caption.file)
        texts = caption.texts
        if caption.problem is not None:
            found.fail(caption.problem)
            return
        if not texts and request.fallback is not None:
            texts = (request.fallback,)
            found.remarks.append(fallback_used(where, None, None, found.total + 1))
        if not texts:
            found.fail(self._no_caption(video, where, empty=caption.file is not None))
            return
        beside, problem = self._beside(path, request)
        if problem is not None:
            found.fail(problem)
            return
        found.total += 1
        first, *further = map(self._media.reword, texts)
        line = None if caption.file is None else 1
        found.entries.append(
            Entry(video, first, found.total, line, None, where, where,
                  Extras(weight=self._media.weight), tuple(further), beside)
        )  # fmt: skip

    def _beside(
        self, path: Path, request: ReadRequest
    ) -> tuple[tuple[tuple[Role, str], ...], Problem | None]:
        """The media that go with a file, by role; or the first that cannot be used."""
        taken: list[tuple[Role, str]] = []
        for one, by_stem in zip(self._media.beside, self._stems, strict=True):
            other = one.of(path.name, by_stem)
            if other is None and not one.is_needed:
                continue
            if other is None:
                message = f"its {one.role}: no file of its name in {one.folder}"
                remedy = f"add one; {self._trainer} ends without it"
                return (), Problem(Code.MISSING_MEDIA, message, remedy, os.fspath(path))
            if not request.allow_outside and not _is_in(other, one.folder):
                return (), self._outside(other, os.fspath(other))
            taken.append((one.role, os.path.relpath(other, self._media.root)))
        return tuple(taken), None

    def _is_read(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1]
        lower = suffix.lower()
        odd = self._media.exact_case and suffix not in (lower, lower.upper())
        return lower in self._media.suffixes and not odd

    def _is_caption(self, name: str) -> bool:
        captions = self._media.captions
        suffix = captions.suffix if isinstance(captions, CaptionBeside) else ".txt"
        return name.endswith(suffix) or name == "captions.json"

    def _outside(self, path: Path, video: str) -> Problem:
        message = f"leads out of the folder that the config names: {os.path.realpath(path)}"
        remedy = "move the file into the folder"
        return Problem(Code.OUTSIDE_ROOT, message, remedy, os.fspath(path), video=video)

    def _no_caption(self, video: str, where: str, *, empty: bool) -> Problem:
        message = "the caption file is empty" if empty else _NO_CAPTION
        if self._media.no_caption and not empty:
            message += f"; {self._trainer} {self._media.no_caption}"
        remedy = "write the caption, or set `caption_fallback` for all that lack one"
        return Problem(Code.EMPTY_CAPTION, message, remedy, where, video=video)


def _is_in(path: Path, folder: Path) -> bool:
    """Whether a file that was found in a folder is there indeed: it may be a link."""
    if not os.path.islink(path):
        return True
    return is_inside(os.path.realpath(path), os.path.realpath(folder))


class _PassedOver:
    """Counts what is not read."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(os.fsencode(name).decode("utf-8", "backslashreplace"))

    def found(self) -> Iterator[PassedOver]:
        for kind, count in sorted(self._counts.items()):
            yield PassedOver(kind, count, tuple(self._examples[kind]))
