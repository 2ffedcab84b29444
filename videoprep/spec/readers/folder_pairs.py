"""Reader for two folders: videos in one, their captions under the same names in the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from videoprep.errors import Code, SpecError
from videoprep.spec.entries import Entries
from videoprep.spec.folder import Level, levels
from videoprep.spec.readers.base import FolderReader, ReadRequest
from videoprep.spec.readers.caption_files import (
    CAPTION_SUFFIXES,
    UNPAIRED,
    CaptionNames,
    Collector,
)
from videoprep.spec.video_files import is_media_name, is_video_name, suffix_of
from videoprep.spec.video_lookup import is_inside

VIDEO_FOLDER = "videos"
"""The usual name of the folder of videos."""

CAPTION_FOLDERS = ("metas", "labels", "captions")
"""Usual names of the folder of captions, in order of preference."""

_GLANCE = 1000


class FolderPairs(FolderReader):
    """``videos/x.mp4`` has its caption in ``metas/x.txt``.

    The columns ``caption`` and ``video`` name the folders.
    """

    name = "folder-pairs"
    summary = "a folder of videos and a folder of caption files with the same names"
    names_all = True
    named = ("caption", "video")
    order = 40

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        captions, videos = _names(folder, request)
        if captions is None or not os.path.isdir(folder / videos):
            return False
        if not all(_stays(folder / name, folder, request) for name in (captions, videos)):
            return False
        left = _GLANCE
        for level in levels(folder / captions, within=folder):
            if any(suffix_of(name) in CAPTION_SUFFIXES for name in level.files):
                return True
            left -= 1 + len(level.files)
            if left <= 0:
                break
        return False

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        captions, videos = _names(request.root, request)
        return f"the videos in {videos}/ with the captions in {captions}/"

    def read(self, request: ReadRequest) -> Entries:
        root, outside = request.root, request.allow_outside
        captions, videos = _names(root, request)
        if captions is None or not os.path.isdir(root / videos):
            raise SpecError(
                f"there are no folders {videos}/ and {captions or CAPTION_FOLDERS[0]}/",
                where=str(root),
                remedy="name them with `video_column` and `caption_column`",
                code=Code.MISSING_LIST,
            )
        for name in (captions, videos):
            if not _stays(root / name, root, request):
                raise SpecError(
                    f"the folder {name}/ leads outside the data root",
                    where=str(root),
                    remedy="move it inside, or set `allow_outside_root`",
                    code=Code.OUTSIDE_ROOT,
                )
        beside = {
            level.prefix: level.files
            for level in levels(root / captions, within=root, allow_outside=outside)
        }
        collector = Collector(request)
        for level in levels(root / videos, within=root, allow_outside=outside):
            placed = Level(f"{videos}/{level.prefix}", level.files, level.other)
            names = beside.pop(level.prefix, ())
            collector.take(placed, f"{captions}/{level.prefix}", names)
        for prefix, files in beside.items():
            collector.pass_over(UNPAIRED, f"{captions}/{prefix}", files)
        top = next(levels(root), None)
        if top is not None and videos != ".":
            stray = [name for name in top.files if is_video_name(name)]
            collector.pass_over(f"videos outside the folder {videos}", "", stray)
        return collector.finish()

    def mirrored(self, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        videos = f"{columns.get('video') or VIDEO_FOLDER}/"
        folders = [columns["caption"]] if columns.get("caption") else CAPTION_FOLDERS
        stems = [name.removeprefix(videos) for name in names if name.startswith(videos)]
        for folder in folders:
            prefix = f"{folder}/"
            found = CaptionNames([n.removeprefix(prefix) for n in names if n.startswith(prefix)])
            paired = [one for name in stems if is_media_name(name) for one in found.of(name)]
            if paired:
                return [prefix + name for name in paired]
        return []


READER = FolderPairs()


def _names(root: Path, request: ReadRequest) -> tuple[str | None, str]:
    """The folders of captions and of videos, relative to the root if they lie in it."""
    videos = _relative(root, request.columns.get("video") or VIDEO_FOLDER)
    named = request.columns.get("caption")
    folders = [_relative(root, named)] if named else list(CAPTION_FOLDERS)
    return next((name for name in folders if os.path.isdir(root / name)), None), videos


def _relative(root: Path, name: str) -> str:
    """A folder's path as it is best written: a ``videoprep.yaml`` gives absolute ones."""
    whole = os.path.normpath(os.path.join(os.path.abspath(root), name))
    top = os.path.abspath(root)
    return os.path.relpath(whole, top) if is_inside(whole, top) else name.rstrip("/")


def _stays(folder: Path, root: Path, request: ReadRequest) -> bool:
    """Whether a folder lies inside the root, links followed, or need not."""
    inside = is_inside(os.path.realpath(folder), os.path.realpath(root))
    return inside or request.allow_outside
